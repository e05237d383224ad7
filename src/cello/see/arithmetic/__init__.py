"""The arithmetic of one step of one unit, with its numbers filled in.

Imports `recording` and `formulas`; the drawings and the page import it.
"""
