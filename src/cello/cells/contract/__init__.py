"""What a step takes and gives: shapes, states, and the checks of both.

Knows nothing of any kind of cell; the cells, the layers and the engines ask it.
"""
