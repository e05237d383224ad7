"""Cells that are differential equations of second order, or of two time scales, stepped by dt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.cell import Cell
from cello.cells.zoo.checks import number
from cello.cells.zoo.packed import PackedCell

__all__ = ["CoRNNCell", "LEMCell", "UnICORNNCell"]

Step = tuple[Tensor, tuple[Tensor, Tensor]]


class CoRNNCell(Cell):
    """Units that are damped, driven oscillators coupled to each other; y is where, z how fast::

        z = z_prev + dt (tanh(W x + R_y y_prev + R_z z_prev + b) − gamma y_prev − epsilon z_prev)
        y = y_prev + dt z

    Source: T. K. Rusch and S. Mishra, "Coupled Oscillatory Recurrent Neural Network (coRNN): An
    accurate and (gradient) stable architecture for learning long time dependencies", ICLR (2021),
    the explicit form, where W is V and R_y, R_z are two kinds of W. The constants are those that
    the authors use for sequential MNIST.

    Args:
        input_size: features of one input, I.
        hidden_size: oscillators, H.
        dt: length of a step.
        gamma: stiffness of the spring: how fast a unit swings by itself.
        epsilon: damping.

    Shapes: W [H, I], R_y and R_z [H, H], b [H]; x [B, I], y and z [B, H].

    Raises:
        ArgumentError: a size or `dt` is not positive, or `gamma` or `epsilon` is negative.

    >>> y, state = CoRNNCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.z.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("y", "z")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        dt: float = 0.042,
        gamma: float = 2.7,
        epsilon: float = 4.7,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.dt = number("dt", dt, above=0)
        self.gamma = number("gamma", gamma, at_least=0)
        self.epsilon = number("epsilon", epsilon, at_least=0)
        self.W = self._uniform(hidden_size, input_size)
        self.R_y = self._uniform(hidden_size, hidden_size)
        self.R_z = self._uniform(hidden_size, hidden_size)
        self.b = self._uniform(hidden_size)

    def step(self, x: Tensor, y: Tensor, z: Tensor) -> Step:
        """One step: x [B, I], y and z [B, H] → y, (y, z)."""
        force = torch.tanh(
            F.linear(x, self.W, self.b) + F.linear(y, self.R_y) + F.linear(z, self.R_z)
        )
        z = z + self.dt * (force - self.gamma * y - self.epsilon * z)
        y = y + self.dt * z
        return y, (y, z)


class UnICORNNCell(Cell):
    """Oscillators that are neither damped nor coupled, each with a pace of its own::

        pace = dt σ(c)
        z = z_prev − pace ⊙ (tanh(w ⊙ y_prev + W x + b) + alpha y_prev)
        y = y_prev + pace ⊙ z

    Source: T. K. Rusch and S. Mishra, "UnICORNN: A recurrent model for learning very long time
    dependencies", ICML (2021), where W is V. The constants are those that the authors use for
    permuted sequential MNIST; w and c start as theirs.

    Args:
        input_size: features of one input, I.
        hidden_size: oscillators, H.
        dt: length of a step.
        alpha: stiffness of the spring.

    Shapes: W [H, I], w, c and b [H]; x [B, I], y and z [B, H].

    Raises:
        ArgumentError: a size or `dt` is not positive, or `alpha` is negative.

    >>> y, state = UnICORNNCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.z.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("y", "z")

    def __init__(
        self, input_size: int, hidden_size: int, dt: float = 0.19, alpha: float = 30.65
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.dt = number("dt", dt, above=0)
        self.alpha = number("alpha", alpha, at_least=0)
        self.W = self._uniform(hidden_size, input_size)
        self.b = nn.Parameter(torch.zeros(hidden_size))
        self.w = nn.Parameter(torch.empty(hidden_size).uniform_(0, 1))
        self.c = nn.Parameter(torch.empty(hidden_size).uniform_(-0.1, 0.1))

    def step(self, x: Tensor, y: Tensor, z: Tensor) -> Step:
        """One step: x [B, I], y and z [B, H] → y, (y, z)."""
        pace = self.dt * torch.sigmoid(self.c)
        force = torch.tanh(self.w * y + F.linear(x, self.W, self.b))
        z = z - pace * (force + self.alpha * y)
        y = y + pace * z
        return y, (y, z)


class LEMCell(PackedCell):
    """Long expressive memory: two states that choose at each step how far they go::

        dt_1 = dt σ(W_1 x + R_1 y_prev + b_1)
        dt_2 = dt σ(W_2 x + R_2 y_prev + b_2)
        z = (1 − dt_1) ⊙ z_prev + dt_1 ⊙ tanh(W_z x + R_z y_prev + b_z)
        y = (1 − dt_2) ⊙ y_prev + dt_2 ⊙ tanh(W_y x + R_y z + b_y)

    Source: T. K. Rusch, S. Mishra, N. B. Erichson and M. W. Mahoney, "Long Expressive Memory for
    Sequence Modeling", ICLR (2022), where W is V and R is W.

    Args:
        input_size: features of one input, I.
        hidden_size: units of each state, H.
        dt: the longest step.

    Shapes: W [4H, I], R [4H, H], b [4H], in the order 1 2 z y; x [B, I], y and z [B, H].

    Raises:
        ArgumentError: a size or `dt` is not positive.

    >>> y, state = LEMCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.z.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("y", "z")
    gates = ("1", "2", "z", "y")

    def __init__(self, input_size: int, hidden_size: int, dt: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.dt = number("dt", dt, above=0)

    def step(self, x: Tensor, y: Tensor, z: Tensor) -> Step:
        """One step: x [B, I], y and z [B, H] → y, (y, z)."""
        x_1, x_2, x_z, x_y = self._from_input(x)
        R_12z, R_y = self.R.split([3 * self.hidden_size, self.hidden_size])
        y_1, y_2, y_z = F.linear(y, R_12z).chunk(3, dim=-1)
        dt_1, dt_2 = self.dt * torch.sigmoid(x_1 + y_1), self.dt * torch.sigmoid(x_2 + y_2)
        z = (1 - dt_1) * z + dt_1 * torch.tanh(x_z + y_z)
        y = (1 - dt_2) * y + dt_2 * torch.tanh(x_y + F.linear(z, R_y))
        return y, (y, z)
