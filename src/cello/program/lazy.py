"""Modules that take their shapes from what they are given first, such as `nn.LazyLinear`."""

from __future__ import annotations

import torch

from cello.cells import Cell
from cello.cells.contract.shapes import as_shaped, width_of
from cello.cells.isolated import isolated

__all__ = ["initialize"]


def initialize(cell: Cell, dtype: torch.dtype, device: torch.device) -> None:
    """Let the lazy modules of a cell take their shapes, from one step on zeros."""
    with isolated(cell), torch.no_grad():
        rows = torch.zeros(2, width_of(cell.input_size), dtype=dtype, device=device)
        cell(as_shaped(cell.input_size, rows))
