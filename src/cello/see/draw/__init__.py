"""Cells and nets as pictures.

`step` makes a diagram of a cell's equations, `net` one of a net; `layout` places the blocks, and
`paint` writes the picture. Imports formulas and arithmetic; the page imports it.
"""

from cello.see.draw.draw_net import draw
from cello.see.draw.drawing import Drawing

__all__ = ["Drawing", "draw"]
