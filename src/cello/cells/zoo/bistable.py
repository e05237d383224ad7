"""Cells whose units can settle in either of two states, and remember so."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.cell import Cell

__all__ = ["BRCCell", "NBRCCell"]

Step = tuple[Tensor, tuple[Tensor]]


class BRCCell(Cell):
    """The bistable cell: where a exceeds 1, a unit has two states of rest, and stays in one::

        a = 1 + tanh(W_a x + w_a ⊙ h_prev)
        c = σ(W_c x + w_c ⊙ h_prev)
        h = c ⊙ h_prev + (1 − c) ⊙ tanh(W_n x + a ⊙ h_prev)

    No unit hears another: all is remembered by the unit itself.

    Source: N. Vecoven, D. Ernst and G. Drion, "A bio-inspired bistable recurrent cell allows for
    long-lasting memory", PLoS ONE 16 (2021), where W is U.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [3H, I], in the order a c n; w_a and w_c [H]; x [B, I], h [B, H].

    >>> y, state = BRCCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("a", "c", "n")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = self._uniform(3 * hidden_size, input_size)
        self.w_a = self._uniform(hidden_size)
        self.w_c = self._uniform(hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        x_a, x_c, x_n = F.linear(x, self.W).chunk(3, dim=-1)
        a, c = 1 + torch.tanh(x_a + self.w_a * h), torch.sigmoid(x_c + self.w_c * h)
        h = c * h + (1 - c) * torch.tanh(x_n + a * h)
        return h, (h,)


class NBRCCell(Cell):
    """The bistable cell whose gates hear all units (neuromodulated)::

        a = 1 + tanh(W_a x + R_a h_prev)
        c = σ(W_c x + R_c h_prev)
        h = c ⊙ h_prev + (1 − c) ⊙ tanh(W_n x + a ⊙ h_prev)

    Source: N. Vecoven, D. Ernst and G. Drion, "A bio-inspired bistable recurrent cell allows for
    long-lasting memory", PLoS ONE 16 (2021), where W is U and R is W.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [3H, I], in the order a c n; R_a and R_c [H, H]; x [B, I], h [B, H].

    >>> y, state = NBRCCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("a", "c", "n")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = self._uniform(3 * hidden_size, input_size)
        self.R_a = self._uniform(hidden_size, hidden_size)
        self.R_c = self._uniform(hidden_size, hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        x_a, x_c, x_n = F.linear(x, self.W).chunk(3, dim=-1)
        a = 1 + torch.tanh(x_a + F.linear(h, self.R_a))
        c = torch.sigmoid(x_c + F.linear(h, self.R_c))
        h = c * h + (1 - c) * torch.tanh(x_n + a * h)
        return h, (h,)
