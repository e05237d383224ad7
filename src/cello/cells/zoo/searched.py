"""Cells that a computer has found."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.cell import Cell
from cello.cells.zoo.packed import PackedCell

__all__ = ["MUT1Cell", "MUT2Cell", "MUT3Cell", "NASCell"]


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


class MUT1Cell(Cell):
    """The best of ten thousand mutated cells; its update gate does not look back::

        z = σ(W_z x + b_z)
        r = σ(W_r x + R_r h_prev + b_r)
        n = tanh(tanh(W_n x) + R_n (r ⊙ h_prev) + b_n)
        h = z ⊙ n + (1 − z) ⊙ h_prev

    Source: R. Jozefowicz, W. Zaremba and I. Sutskever, "An Empirical Exploration of Recurrent
    Network Architectures", ICML (2015), MUT1. There is no W_n there, for x has as
    many features as there are units; nor is there here, if it has.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W_z and W_r [H, I], W_n [H, I] unless I = H; R_r and R_n [H, H]; b [3H], in the
    order z r n; x [B, I], h [B, H].

    >>> y, state = MUT1Cell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("z", "r", "n")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W_z = self._uniform(hidden_size, input_size)
        self.W_r = self._uniform(hidden_size, input_size)
        self.W_n = self._optional(input_size != hidden_size, hidden_size, input_size)
        self.R_r = self._uniform(hidden_size, hidden_size)
        self.R_n = self._uniform(hidden_size, hidden_size)
        self.b = self._uniform(3 * hidden_size)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        b_z, b_r, b_n = self.b.chunk(3)
        x_n = x if self.W_n is None else F.linear(x, self.W_n)
        z = torch.sigmoid(F.linear(x, self.W_z, b_z))
        r = torch.sigmoid(F.linear(x, self.W_r, b_r) + F.linear(h, self.R_r))
        n = torch.tanh(torch.tanh(x_n) + F.linear(r * h, self.R_n, b_n))
        h = z * n + (1 - z) * h
        return h, (h,)


class MUT2Cell(Cell):
    """Another of these; the reset gate has the input as it is::

        z = σ(W_z x + R_z h_prev + b_z)
        r = σ(W_r x + R_r h_prev + b_r)
        n = tanh(W_n x + R_n (r ⊙ h_prev) + b_n)
        h = z ⊙ n + (1 − z) ⊙ h_prev

    Source: R. Jozefowicz, W. Zaremba and I. Sutskever, "An Empirical Exploration of Recurrent
    Network Architectures", ICML (2015), MUT2. There is no W_r there, for x has as
    many features as there are units; nor is there here, if it has.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W_z and W_n [H, I], W_r [H, I] unless I = H; R [3H, H] and b [3H], in the order
    z r n; x [B, I], h [B, H].

    >>> y, state = MUT2Cell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("z", "r", "n")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W_z = self._uniform(hidden_size, input_size)
        self.W_r = self._optional(input_size != hidden_size, hidden_size, input_size)
        self.W_n = self._uniform(hidden_size, input_size)
        self.R = self._uniform(3 * hidden_size, hidden_size)
        self.b = self._uniform(3 * hidden_size)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        R_z, R_r, R_n = self.R.chunk(3)
        b_z, b_r, b_n = self.b.chunk(3)
        x_r = x if self.W_r is None else F.linear(x, self.W_r)
        z = torch.sigmoid(F.linear(x, self.W_z) + F.linear(h, R_z, b_z))
        r = torch.sigmoid(x_r + F.linear(h, R_r, b_r))
        n = torch.tanh(F.linear(x, self.W_n) + F.linear(r * h, R_n, b_n))
        h = z * n + (1 - z) * h
        return h, (h,)


class MUT3Cell(PackedCell):
    """Another of these, a GRU whose update gate hears tanh of the state::

        z = σ(W_z x + R_z tanh(h_prev) + b_z)
        r = σ(W_r x + R_r h_prev + b_r)
        n = tanh(W_n x + R_n (r ⊙ h_prev) + b_n)
        h = z ⊙ n + (1 − z) ⊙ h_prev

    Source: R. Jozefowicz, W. Zaremba and I. Sutskever, "An Empirical Exploration of Recurrent
    Network Architectures", ICML (2015), MUT3.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [3H, I], R [3H, H], b [3H], in the order z r n; x [B, I], h [B, H].

    >>> y, state = MUT3Cell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("z", "r", "n")

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        x_z, x_r, x_n = self._from_input(x)
        R_z, R_r, R_n = self.R.chunk(3)
        z = torch.sigmoid(x_z + F.linear(torch.tanh(h), R_z))
        r = torch.sigmoid(x_r + F.linear(h, R_r))
        n = torch.tanh(x_n + F.linear(r * h, R_n))
        h = z * n + (1 - z) * h
        return h, (h,)
