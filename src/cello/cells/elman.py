"""The simple recurrent network: its memory is the hidden layer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.activations import Activation, activation_function
from cello.cells.cell import Cell

__all__ = ["ElmanCell"]


class ElmanCell(Cell):
    """The hidden layer of a step is what the next step remembers::

        h = f(W x + R h_prev + b)

    Source: J. L. Elman, "Finding Structure in Time", Cognitive Science 14 (1990), figure 2.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        activation: f, a name (see `cello.cells.ACTIVATIONS`) or a callable on tensors.
        bias: whether there is a b.

    Shapes: W [H, I], R [H, H], b [H]; x [B, I], h [B, H].

    Raises:
        ArgumentError: a size is not positive, or the activation's name is unknown.

    >>> cell = ElmanCell(3, 2, activation="relu")
    >>> y, state = cell(torch.ones(1, 3))
    >>> bool((y == state.h).all())
    True
    """

    state = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "tanh",
        bias: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size)
        activation_function(activation)
        self.activation = activation
        self.bias = bias
        self._make_parameters()

    def _make_parameters(self) -> None:
        self.W = self._uniform(self.hidden_size, self.input_size)
        self.R = self._uniform(self.hidden_size, self.hidden_size)
        self.b = self._optional(self.bias, self.hidden_size)

    def follows_autocast(self, _device: torch.device) -> bool:
        """As `nn.RNN` does."""
        return True

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        f = activation_function(self.activation)
        z = F.linear(x, self.W, self.b) + F.linear(h, self.R)
        h = f(z)
        return h, (h,)
