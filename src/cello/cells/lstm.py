"""The LSTM block: a memory with an input gate, a forget gate and an output gate."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.activations import Activation, activation_function
from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.errors import ArgumentError

__all__ = ["LSTMCell"]


class LSTMCell(Cell):
    """Long short-term memory, each of its activations free to choose::

        z_i, z_f, z, z_o = W x + R h_prev + b      what drives the gates and the block input
        i, f, o = gate_activation(z_i, z_f, z_o)   1 is open, 0 is shut
        g = activation(z)
        c = i * g + f * c_prev                     forget gate 1 remembers all, 0 forgets all
        h = o * output_activation(c)

    With `peephole` the memory joins what drives the gates: z_i and z_f gain p_i c_prev and
    p_f c_prev, z_o gains p_o c (diagonal weights). With `projection_size` the output is P h,
    and so is what is fed back.

    Sources: S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9
    (1997); the forget gate: F. Gers et al., "Learning to Forget", Neural Computation 12 (2000);
    peepholes: F. Gers et al., JMLR 3 (2002), section 3; projection: H. Sak et al.,
    "Long Short-Term Memory Recurrent Neural Network Architectures …", Interspeech (2014).

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.
        gate_activation: of the three gates, a name (see `cello.cells.ACTIVATIONS`) or a callable.
        activation: of the block input.
        output_activation: of the memory on its way out.
        peephole: whether the gates see the memory.
        projection_size: size of the projected output, or None for no projection.
        forget_bias: what the forget gate's bias starts with, added to the drawn value; a large
            one tends to remember.
        bias: whether there is a b.
        recurrent: whether h_prev is fed back at all; the memory c stays either way.

    Shapes: W [4H, I], R [4H, H or projection_size], b [4H], in the order i f g o;
    p_i, p_f, p_o [H]; P [projection_size, H].

    Raises:
        ArgumentError: a size is not positive, an activation's name is unknown, or a
            `forget_bias` is asked for without a bias.

    >>> cell = LSTMCell(3, 2, activation="identity", output_activation="identity")
    >>> y, (h, c) = cell(torch.zeros(1, 3))
    >>> h.shape, c.shape
    (torch.Size([1, 2]), torch.Size([1, 2]))
    """

    state = ("h", "c")
    gates: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        gate_activation: Activation = "sigmoid",
        activation: Activation = "tanh",
        output_activation: Activation = "tanh",
        peephole: bool = False,
        projection_size: int | None = None,
        forget_bias: float = 0.0,
        bias: bool = True,
        recurrent: bool = True,
    ) -> None:
        if projection_size is not None:
            positive("projection_size", projection_size)
        out = projection_size or hidden_size
        super().__init__(input_size, hidden_size, output_size=out, state_sizes={"h": out})
        activation_function(gate_activation, "gate_activation")
        activation_function(activation)
        activation_function(output_activation, "output_activation")
        if forget_bias and not bias:
            raise ArgumentError(
                f"forget_bias={forget_bias} needs bias=True: there is no b to add it to"
            )
        self.gate_activation = gate_activation
        self.activation = activation
        self.output_activation = output_activation
        self.peephole = peephole
        self.projection_size = projection_size
        self.forget_bias = forget_bias
        self.bias = bias
        self.recurrent = recurrent
        self._make_parameters()

    def _make_parameters(self) -> None:
        H, out = self.hidden_size, self.output_size
        self.W = self._uniform(4 * H, self.input_size)
        self.R = self._optional(self.recurrent, 4 * H, out)
        self.b = self._optional(self.bias, 4 * H)
        self.p_i = self._optional(self.peephole, H)
        self.p_f = self._optional(self.peephole, H)
        self.p_o = self._optional(self.peephole, H)
        self.P = self._optional(self.projection_size is not None, out, H)
        if self.b is not None and self.forget_bias:
            with torch.no_grad():
                self.b[H : 2 * H] += self.forget_bias

    def _drive(self, x: Tensor, h: Tensor) -> Tensor:
        """W x + R h_prev + b, for the three gates and the block input at once."""
        drive = F.linear(x, self.W, self.b)
        return drive + F.linear(h, self.R) if self.recurrent else drive

    def follows_autocast(self, _device: torch.device) -> bool:
        """As `nn.LSTM` does."""
        return True

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I], h [B, H or projection_size], c [B, H] → h, (h, c)."""
        gate = activation_function(self.gate_activation)
        squash = activation_function(self.activation)
        squash_out = activation_function(self.output_activation)

        z_i, z_f, z, z_o = self._drive(x, h).chunk(4, dim=-1)
        if self.peephole:
            z_i = z_i + self.p_i * c
            z_f = z_f + self.p_f * c
        i, f, g = gate(z_i), gate(z_f), squash(z)
        c = i * g + f * c
        if self.peephole:
            z_o = z_o + self.p_o * c
        o = gate(z_o)
        h = o * squash_out(c)
        if self.projection_size is not None:
            h = F.linear(h, self.P)
        return h, (h, c)
