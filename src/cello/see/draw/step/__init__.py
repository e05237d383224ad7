"""The picture of one step of a cell: what it computes, as which blocks, and their names.

Imports `paint`, the formulas and the arithmetic; `draw_net` and `net` import it.
"""
