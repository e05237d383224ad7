"""The picture of one step of a cell: what it computes, as which blocks, and their names.

Imports `paint`, the formulas and the arithmetic; `front` and `net` import it.
"""
