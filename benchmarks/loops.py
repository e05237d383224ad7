"""What one would write without Cello: a loop over a cell's step."""

from __future__ import annotations

import torch
from torch import Tensor

import cello

__all__ = ["plain_loop"]


def plain_loop(cell: cello.Cell, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run over x [T, B, I]; return the outputs and the final state."""
    state = tuple(x.new_zeros(x.shape[1], size) for size in cell.state_sizes.values())
    outputs = []
    for x_t in x:
        y, state = cell.step(x_t, *state)
        outputs.append(y)
    return torch.stack(outputs), state
