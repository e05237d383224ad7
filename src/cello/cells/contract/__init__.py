"""What a step takes and gives: shapes, states, and the checks of both.

Imports errors only, and knows no kind of cell; the cells, the layers and the engines import it.
"""
