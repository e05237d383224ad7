"""What the gated cells share: weights packed by gate, and what they make of input and state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.cell import Cell

__all__ = ["PackedCell"]


class PackedCell(Cell):
    """A cell whose W [G·H, I], R [G·H, H] and b [G·H] hold one part for each of its G gates."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        packed = len(self.gates) * hidden_size
        self.W = self._uniform(packed, input_size)
        self.R = self._uniform(packed, hidden_size)
        self.b = self._uniform(packed)

    def _from_input(self, x: Tensor) -> tuple[Tensor, ...]:
        """W x + b, gate by gate."""
        return F.linear(x, self.W, self.b).chunk(len(self.gates), dim=-1)

    def _drive(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """W x + R h_prev + b, gate by gate."""
        drive = F.linear(x, self.W, self.b) + F.linear(h, self.R)
        return drive.chunk(len(self.gates), dim=-1)

    def _add_to_bias(self, gate: str, value: float | Tensor) -> None:
        """Let the part of b that drives `gate` start with `value` more."""
        first = self.gates.index(gate) * self.hidden_size
        with torch.no_grad():
            self.b[first : first + self.hidden_size] += value
