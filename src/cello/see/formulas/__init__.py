"""How a step is written as mathematics: notation, styles, symbols, and the equations of a cell.

Imports `program` and below; the arithmetic and the drawings import it.
"""
