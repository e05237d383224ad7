"""Cells that somebody else wrote: how they are called, what they return, and a `Cell` of each.

Imports the cells of ours; `cello.cells` hands on what it makes, and the layers import that.
"""

from cello.cells.foreign.cell import ForeignCell

__all__ = ["ForeignCell"]
