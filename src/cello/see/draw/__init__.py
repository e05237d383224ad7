"""Cells and nets as pictures.

A cell's equations become a diagram (`cells`, `blocks`; what is a gate in `gates`, what it does in
`roles`). Its blocks are put into layers (`ranks`, `grid`), the layers sorted (`order`) and placed
(`place`), and wires led between them (`route`); `layout` makes a picture of it, `svg` the text.
Nets come as `stages`, and through time they have a layout of their own (`unrolled`).
"""

from cello.see.draw.drawing import Drawing
from cello.see.draw.front import draw

__all__ = ["Drawing", "draw"]
