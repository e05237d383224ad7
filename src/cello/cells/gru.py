"""The gated recurrent unit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.activations import Activation, activation_function
from cello.cells.cell import Cell
from cello.errors import ArgumentError

__all__ = ["GRUCell"]


class GRUCell(Cell):
    """The gated recurrent unit; its update gate z keeps the old state::

        r = gate_activation(W_r x + R_r h_prev + b_r)
        z = gate_activation(W_z x + R_z h_prev + b_z)
        n = activation(W_n x + b_n + r * (R_n h_prev + d))     reset_after=True
        n = activation(W_n x + b_n + R_n (r * h_prev))         reset_after=False
        h = (1 - z) * n + z * h_prev

    Sources: K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder …",
    EMNLP (2014), section 2.3, which resets before the product; the form that resets after it is
    that of cuDNN and PyTorch, which also have the bias d (`recurrent_bias=True`).

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        gate_activation: of r and z, a name (see `cello.cells.ACTIVATIONS`) or a callable.
        activation: of n.
        reset_after: whether the reset gate acts after the product with R_n, or before it.
        recurrent_bias: whether there is a d beside b; needs `reset_after`.
        bias: whether there is a b.

    Shapes: W [3H, I], R [3H, H], b [3H], in the order r z n; d [H].

    Raises:
        ArgumentError: a size is not positive, an activation's name is unknown, or
            `recurrent_bias` is asked for with the reset before the product.

    >>> y, state = GRUCell(3, 2)(torch.zeros(1, 3))
    >>> state.h.shape
    torch.Size([1, 2])
    """

    state = ("h",)
    gates = ("r", "z", "n")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        gate_activation: Activation = "sigmoid",
        activation: Activation = "tanh",
        reset_after: bool = True,
        recurrent_bias: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size)
        activation_function(gate_activation, "gate_activation")
        activation_function(activation)
        if recurrent_bias and not reset_after:
            raise ArgumentError(
                "recurrent_bias=True needs reset_after=True: with the reset before the product "
                "b and d would simply add up"
            )
        self.gate_activation = gate_activation
        self.activation = activation
        self.reset_after = reset_after
        self.recurrent_bias = recurrent_bias
        self.bias = bias
        self._make_parameters()

    def _make_parameters(self) -> None:
        H = self.hidden_size
        self.W = self._uniform(3 * H, self.input_size)
        self.R = self._uniform(3 * H, H)
        self.b = self._optional(self.bias, 3 * H)
        self.d = self._optional(self.recurrent_bias, H)

    def follows_autocast(self, device: torch.device) -> bool:
        """As `nn.GRU` does, on a GPU only: on a CPU its state keeps its dtype."""
        return device.type != "cpu"

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        gate = activation_function(self.gate_activation)
        squash = activation_function(self.activation)

        x_r, x_z, x_n = F.linear(x, self.W, self.b).chunk(3, dim=-1)
        if self.reset_after:
            h_r, h_z, h_n = F.linear(h, self.R).chunk(3, dim=-1)
            if self.recurrent_bias:
                h_n = h_n + self.d
            r, z = gate(x_r + h_r), gate(x_z + h_z)
            n = squash(x_n + r * h_n)
        else:
            R_rz, R_n = self.R.split([2 * self.hidden_size, self.hidden_size])
            h_r, h_z = F.linear(h, R_rz).chunk(2, dim=-1)
            r, z = gate(x_r + h_r), gate(x_z + h_z)
            h_n = F.linear(r * h, R_n)
            n = squash(x_n + h_n)
        h = (1 - z) * n + z * h
        return h, (h,)
