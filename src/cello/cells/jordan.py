"""Jordan's network: its memory is its own output."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from cello.cells.activations import Activation, activation_function
from cello.cells.cell import Cell

__all__ = ["JordanCell"]


class JordanCell(Cell):
    """The network's output of a step is what the next step remembers::

        h = f(W x + R y_prev + b)
        y = g(V h + d)

    The output has a target, so in training the memory can be the known right output instead of
    the network's own: `layer(x, targets=...)` does that (teacher forcing); without targets the
    network runs free.

    Source: M. I. Jordan, "Serial Order: A Parallel Distributed Processing Approach",
    ICS Report 8604, UC San Diego (1986).

    Args:
        input_size: features of one input, I.
        hidden_size: hidden units, H.
        output_size: features of one output, O.
        activation: f, a name (see `cello.cells.ACTIVATIONS`) or a callable on tensors.
        output_activation: g, likewise.
        bias: whether there are b and d.

    Shapes: W [H, I], R [H, O], b [H], V [O, H], d [O]; x [B, I], h [B, H], y [B, O].

    Raises:
        ArgumentError: a size is not positive, or an activation's name is unknown.

    >>> cell = JordanCell(3, 4, output_size=2, output_activation="softmax")
    >>> y, state = cell(torch.ones(1, 3))
    >>> y.shape, state.y is y
    (torch.Size([1, 2]), True)
    """

    state = ("y",)
    feedback = "y"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        activation: Activation = "sigmoid",
        output_activation: Activation = "identity",
        bias: bool = True,
    ) -> None:
        super().__init__(
            input_size, hidden_size, output_size=output_size, state_sizes={"y": output_size}
        )
        activation_function(activation)
        activation_function(output_activation, "output_activation")
        self.activation = activation
        self.output_activation = output_activation
        self.bias = bias
        self.W = self._uniform(hidden_size, input_size)
        self.R = self._uniform(hidden_size, output_size)
        self.b = self._optional(bias, hidden_size)
        self.V = self._uniform(output_size, hidden_size)
        self.d = self._optional(bias, output_size)

    def step(self, x: Tensor, y: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], y [B, O] → y [B, O]."""
        f = activation_function(self.activation)
        g = activation_function(self.output_activation)
        h = f(F.linear(x, self.W, self.b) + F.linear(y, self.R))
        y = g(F.linear(h, self.V, self.d))
        return y, (y,)
