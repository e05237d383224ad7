"""Modules that take their shapes from what they are given first, such as `nn.LazyLinear`."""

from __future__ import annotations

from itertools import chain

import torch
from torch.nn.parameter import is_lazy

from cello.cells import Cell
from cello.cells.apart import apart

__all__ = ["initialize"]


def initialize(cell: Cell, dtype: torch.dtype, device: torch.device) -> None:
    """Let the lazy modules of a cell take their shapes, from one step on zeros, if it has any."""
    if any(map(is_lazy, chain(cell.parameters(), cell.buffers()))):
        with apart(cell), torch.no_grad():
            cell(torch.zeros(2, cell.input_size, dtype=dtype, device=device))
