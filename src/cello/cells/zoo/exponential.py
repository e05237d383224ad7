"""The LSTM with exponential gates."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.zoo.checks import number
from cello.cells.zoo.packed import PackedCell

__all__ = ["SLSTMCell"]


class SLSTMCell(PackedCell):
    """The sLSTM: an input gate that grows without bound, and a count n of what has come in::

        z_i, z_f, z, z_o = W x + R h_prev + b
        kept = log σ(z_f) + m_prev
        m = max(kept, z_i)
        i = exp(z_i − m)
        f = exp(kept − m)
        c = i ⊙ tanh(z) + f ⊙ c_prev
        n = i + f ⊙ n_prev
        h = σ(z_o) ⊙ c / n

    m keeps the exponentials from overflowing and cancels in c / n. As long as nothing has come in
    (n_prev = 0) nothing can be kept, and f is 0: so whatever a first input's size, h is finite.

    Source: M. Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS (2024), section 2.2,
    with one head and the sigmoid as the forget gate's activation.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.
        forget_bias: what the forget gate's bias starts with, added to the drawn value.

    Shapes: W [4H, I], R [4H, H], b [4H], in the order i f g o; x [B, I], h, c, n and m [B, H].

    >>> cell = SLSTMCell(3, 2)
    >>> y, state = cell(torch.full((5, 3), 1000.0))
    >>> bool(state.m.abs().max() > 100), bool(y.abs().max() <= 1)
    (True, True)
    """

    state = ("h", "c", "n", "m")
    gates = ("i", "f", "g", "o")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.forget_bias = number("forget_bias", forget_bias)
        self._add_to_bias("f", forget_bias)

    def step(
        self, x: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """One step: x [B, I], h, c, n and m [B, H] → h, (h, c, n, m)."""
        z_i, z_f, z, z_o = self._drive(x, h)
        kept = torch.where(n == 0, -torch.inf, F.logsigmoid(z_f) + m)
        m = torch.maximum(kept, z_i)
        i, f = torch.exp(z_i - m), torch.exp(kept - m)
        g, o = torch.tanh(z), torch.sigmoid(z_o)
        c = i * g + f * c
        n = i + f * n
        h = o * c / n
        return h, (h, c, n, m)
