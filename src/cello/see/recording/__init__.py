"""What a recording holds; how it is made, saved, and laid out as a table or arrays.

Imports `layers` and below; everything in `see` that asks a question of a recording imports it.
"""
