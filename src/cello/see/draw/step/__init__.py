"""The picture of one step of a cell: what it computes, as which blocks, and their names.

Imports `layout` and `paint`; `front` imports it.
"""
