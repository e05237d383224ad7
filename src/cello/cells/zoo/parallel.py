"""Cells whose gates see the input alone, so that all but a weighted sum can be computed ahead."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.cell import Cell

__all__ = ["MinGRUCell", "MinLSTMCell"]

Step = tuple[Tensor, tuple[Tensor]]


class MinGRUCell(Cell):
    """A GRU whose gate and candidate do not look back::

        z = σ(W_z x + b_z)
        n = W_n x + b_n
        h = (1 − z) ⊙ h_prev + z ⊙ n

    Here z lets the new in, unlike that of `GRUCell`, which keeps the old.

    Source: L. Feng et al., "Were RNNs All We Needed?", arXiv:2410.01201 (2024), section 3.1.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [2H, I], b [2H], in the order z n; x [B, I], h [B, H].

    >>> y, state = MinGRUCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("z", "n")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = self._uniform(2 * hidden_size, input_size)
        self.b = self._uniform(2 * hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        z_z, n = F.linear(x, self.W, self.b).chunk(2, dim=-1)
        z = torch.sigmoid(z_z)
        h = (1 - z) * h + z * n
        return h, (h,)


class MinLSTMCell(Cell):
    """An LSTM whose gates do not look back, and share out 1 between old and new::

        f = σ(W_f x + b_f)
        i = σ(W_i x + b_i)
        g = W_g x + b_g
        h = (f ⊙ h_prev + i ⊙ g) / (f + i)

    Source: L. Feng et al., "Were RNNs All We Needed?", arXiv:2410.01201 (2024), section 3.2.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [3H, I], b [3H], in the order f i g; x [B, I], h [B, H].

    >>> y, state = MinLSTMCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("f", "i", "g")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = self._uniform(3 * hidden_size, input_size)
        self.b = self._uniform(3 * hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        z_f, z_i, g = F.linear(x, self.W, self.b).chunk(3, dim=-1)
        f, i = torch.sigmoid(z_f), torch.sigmoid(z_i)
        total = f + i
        h = f / total * h + i / total * g
        return h, (h,)
