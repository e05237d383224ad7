"""What one would write without Cello: a loop over a cell's step."""

from __future__ import annotations

import torch
from torch import Tensor

import cello
from cello.cells.contract.shapes import as_shaped

__all__ = ["plain_loop"]


def plain_loop(cell: cello.Cell, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run over x [T, B, I], or [T, B, *shape]; return the outputs and the final state."""
    state = tuple(cell.zero_state(x.shape[1], dtype=x.dtype))
    outputs = []
    for x_t in x:
        y, state = cell.step(as_shaped(cell.input_size, x_t), *state)
        outputs.append(y)
    return torch.stack(outputs), state
