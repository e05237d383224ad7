"""LSTMs that draw random masks while they train."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.zoo.checks import number
from cello.cells.zoo.packed import PackedCell

__all__ = ["RecurrentDropoutLSTMCell", "ZoneoutLSTMCell"]

Step = tuple[Tensor, tuple[Tensor, Tensor]]


class ZoneoutLSTMCell(PackedCell):
    """An LSTM whose units now and then keep what they had, instead of dropping out::

        z_i, z_f, z, z_o = W x + R h_prev + b
        c_new = σ(z_i) ⊙ tanh(z) + σ(z_f) ⊙ c_prev
        h_new = σ(z_o) ⊙ tanh(c_new)
        c = keep_c ⊙ c_prev + (1 − keep_c) ⊙ c_new
        h = keep_h ⊙ h_prev + (1 − keep_h) ⊙ h_new

    In training keep_c and keep_h are drawn anew for each step, row and unit, 1 with probability
    `zoneout_c` and `zoneout_h`, else 0; in evaluation they are these probabilities themselves.

    Source: D. Krueger et al., "Zoneout: Regularizing RNNs by Randomly Preserving Hidden
    Activations", ICLR (2017), section 3.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.
        zoneout_c: how often a memory stays as it is.
        zoneout_h: how often an output stays as it is.

    Shapes: W [4H, I], R [4H, H], b [4H], in the order i f g o; x [B, I], h and c [B, H].

    Raises:
        ArgumentError: a size is not positive, or a probability is not between 0 and 1.

    >>> cell = ZoneoutLSTMCell(3, 100, zoneout_c=0.5)
    >>> y, state = cell(torch.ones(5, 3))
    >>> print(f"{(state.c == 0).double().mean():.1f}")      # the zero state, kept by half of them
    0.5
    """

    state = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        zoneout_c: float = 0.5,
        zoneout_h: float = 0.05,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.zoneout_c = number("zoneout_c", zoneout_c, at_least=0, at_most=1)
        self.zoneout_h = number("zoneout_h", zoneout_h, at_least=0, at_most=1)

    def _keep(self, like: Tensor, rate: float) -> Tensor | float:
        """1 for what stays, drawn by `rate` in training; in evaluation the rate itself."""
        if not self.training:
            return rate
        return (torch.rand_like(like, dtype=torch.float32) < rate).to(like.dtype)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Step:
        """One step: x [B, I], h [B, H], c [B, H] → h, (h, c)."""
        z_i, z_f, z, z_o = self._drive(x, h)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        g = torch.tanh(z)
        keep_c = self._keep(c, self.zoneout_c)
        keep_h = self._keep(h, self.zoneout_h)
        c_new = i * g + f * c
        h_new = o * torch.tanh(c_new)
        c = keep_c * c + (1 - keep_c) * c_new
        h = keep_h * h + (1 - keep_h) * h_new
        return h, (h, c)


class RecurrentDropoutLSTMCell(PackedCell):
    """An LSTM that drops out what it would add to its memory, never the memory itself::

        z_i, z_f, z, z_o = W x + R h_prev + b
        g = dropout(tanh(z))
        c = σ(z_i) ⊙ g + σ(z_f) ⊙ c_prev
        h = σ(z_o) ⊙ tanh(c)

    In training each unit of g is 0 with probability `dropout`, drawn anew for each step and row,
    and those that stay are divided by 1 − dropout; in evaluation g stays as it is.

    Source: S. Semeniuta, A. Severyn and E. Barth, "Recurrent Dropout without Memory Loss",
    COLING (2016), section 3.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.
        dropout: how often a candidate is dropped.

    Shapes: W [4H, I], R [4H, H], b [4H], in the order i f g o; x [B, I], h and c [B, H].

    Raises:
        ArgumentError: a size is not positive, or `dropout` is not at least 0 and below 1.

    >>> cell = RecurrentDropoutLSTMCell(3, 100, dropout=0.3)
    >>> y, state = cell(torch.ones(5, 3))
    >>> print(f"{(state.c == 0).double().mean():.1f}")      # nothing was added to these
    0.3
    """

    state = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(self, input_size: int, hidden_size: int, dropout: float = 0.25) -> None:
        super().__init__(input_size, hidden_size)
        self.dropout = number("dropout", dropout, at_least=0, below=1)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Step:
        """One step: x [B, I], h [B, H], c [B, H] → h, (h, c)."""
        z_i, z_f, z, z_o = self._drive(x, h)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        g = F.dropout(torch.tanh(z), self.dropout, self.training)
        c = i * g + f * c
        h = o * torch.tanh(c)
        return h, (h, c)
