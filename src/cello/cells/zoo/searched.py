"""A cell that a computer has found."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.cell import Cell

__all__ = ["NASCell"]


class NASCell(Cell):
    """The cell that neural architecture search found for language, a tree over eight pairs::

        x_0 … x_7 = W x
        h_0 … h_7 = R h_prev + b
        a = tanh(σ(x_0 + h_0) ⊙ relu(x_1 + h_1))
        b = tanh(σ(x_2 + h_2) + relu(x_3 ⊙ h_3))
        d = tanh(tanh(x_4 + h_4) ⊙ σ(x_5 + h_5))
        e = σ(tanh(x_6 + h_6) + σ(x_7 + h_7))
        c = tanh(a + c_prev) ⊙ b
        h = tanh(c ⊙ tanh(d + e))

    Source: B. Zoph and Q. V. Le, "Neural Architecture Search with Reinforcement Learning", ICLR
    (2017), the cell of the appendix, in the form of TensorFlow's contrib.rnn.NASCell.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        bias: whether there is a b.

    Shapes: W [8H, I], R [8H, H], b [8H], in the order 0 to 7; x [B, I], h and c [B, H].

    >>> y, state = NASCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.c.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("h", "c")
    gates = ("0", "1", "2", "3", "4", "5", "6", "7")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = False) -> None:
        super().__init__(input_size, hidden_size)
        self.bias = bias
        self.W = self._uniform(8 * hidden_size, input_size)
        self.R = self._uniform(8 * hidden_size, hidden_size)
        self.b = self._optional(bias, 8 * hidden_size)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I], h and c [B, H] → h, (h, c)."""
        x_0, x_1, x_2, x_3, x_4, x_5, x_6, x_7 = F.linear(x, self.W).chunk(8, dim=-1)
        h_0, h_1, h_2, h_3, h_4, h_5, h_6, h_7 = F.linear(h, self.R, self.b).chunk(8, dim=-1)
        a = torch.tanh(torch.sigmoid(x_0 + h_0) * torch.relu(x_1 + h_1))
        b = torch.tanh(torch.sigmoid(x_2 + h_2) + torch.relu(x_3 * h_3))
        d = torch.tanh(torch.tanh(x_4 + h_4) * torch.sigmoid(x_5 + h_5))
        e = torch.sigmoid(torch.tanh(x_6 + h_6) + torch.sigmoid(x_7 + h_7))
        c = torch.tanh(a + c) * b
        h = torch.tanh(c * torch.tanh(d + e))
        return h, (h, c)
