"""A cell that stands still where a mask says that there is no input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell

__all__ = ["MaskedCell"]


class MaskedCell(Cell):
    """`cell` where the mask is not 0; elsewhere its state stays, as Keras's masks have it::

        y, state = cell(x, state_prev)     where mask
        y, state = y_prev, state_prev      elsewhere (y = 0 with zero_output)

    Source: the behaviour of `keras.layers.RNN` with a mask (Keras 3, "Masking and padding").

    Args:
        cell: what runs, with one input.
        zero_output: whether the output is 0 where the mask is, and not the one before.

    A step's input is a tuple: x [B, I] and mask [B].

    >>> import cello
    >>> cell = MaskedCell(cello.GRUCell(3, 2))
    >>> y, state = cell((torch.ones(1, 3), torch.zeros(1)))
    >>> bool((state.h == 0).all())
    True
    """

    def __init__(self, cell: Cell, zero_output: bool = False) -> None:
        self.state = (*cell.state, "held")  # type: ignore[misc]
        super().__init__(
            ((cell.input_size,), ()),
            cell.hidden_size,
            output_size=cell.output_size,
            state_sizes={**cell.state_sizes, "held": cell.output_size},
        )
        self.cell = cell
        self.zero_output = zero_output

    def config(self) -> dict[str, Any]:
        """The arguments that make this cell again."""
        return {"cell": self.cell, "zero_output": self.zero_output}

    def step(self, x: tuple[Tensor, Tensor], *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: (x [B, I], mask [B]) and the states → y, (*states, the output)."""
        value, mask = x
        there = mask.unsqueeze(1) != 0
        *old, held = state
        y, new = self.cell.step(value, *old)
        kept = [torch.where(there, after, before) for after, before in zip(new, old, strict=True)]
        held = torch.where(there, y, torch.zeros_like(y) if self.zero_output else held)
        return held, (*kept, held)
