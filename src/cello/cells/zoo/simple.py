"""Simple recurrent networks whose recurrent weights have a shape that keeps memories alive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.activations import Activation, activation_function
from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.cells.zoo.checks import number
from cello.errors import ArgumentError

__all__ = ["AntisymmetricCell", "ClockworkCell", "IndRNNCell", "RHNCell", "SCRNCell"]


class IndRNNCell(Cell):
    """Elman's network with units that each remember nothing but themselves::

        h = f(W x + u ⊙ h_prev + b)

    Source: S. Li, W. Li, C. Cook, C. Zhu and Y. Gao, "Independently Recurrent Neural Network
    (IndRNN): Building A Longer and Deeper RNN", CVPR (2018). u starts between 0 and 1; with |u|
    above 1 and a ReLU, a long sequence overflows.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        activation: f, a name (see `cello.cells.ACTIVATIONS`) or a callable on tensors.

    Shapes: W [H, I], u and b [H]; x [B, I], h [B, H].

    Raises:
        ArgumentError: a size is not positive, or the activation's name is unknown.

    >>> y, state = IndRNNCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)

    def __init__(self, input_size: int, hidden_size: int, activation: Activation = "relu") -> None:
        super().__init__(input_size, hidden_size)
        activation_function(activation)
        self.activation = activation
        self.W = self._uniform(hidden_size, input_size)
        self.u = nn.Parameter(torch.empty(hidden_size).uniform_(0, 1))
        self.b = self._uniform(hidden_size)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        f = activation_function(self.activation)
        h = f(F.linear(x, self.W, self.b) + self.u * h)
        return h, (h,)


class AntisymmetricCell(Cell):
    """A stable differential equation, stepped by epsilon: what turns, neither grows nor fades::

        drift = (R − Rᵀ) h_prev − gamma h_prev
        h = h_prev + epsilon tanh(W x + drift + b)                                  gated=False
        h = h_prev + epsilon σ(W_z x + drift + b_z) ⊙ tanh(W x + drift + b)         gated=True

    Source: B. Chang, M. Chen, E. Haber and E. H. Chi, "AntisymmetricRNN: A Dynamical System View
    on Recurrent Neural Networks", ICLR (2019), where W is V and R is W.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        epsilon: length of a step.
        gamma: how much fades, to make up for steps of a length.
        gated: whether there is a gate z.

    Shapes: W and W_z [H, I], R [H, H], b and b_z [H]; x [B, I], h [B, H].

    Raises:
        ArgumentError: a size or `epsilon` is not positive, or `gamma` is negative.

    >>> cell = AntisymmetricCell(3, 2, gated=True)
    >>> y, state = cell(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        epsilon: float = 0.01,
        gamma: float = 0.01,
        gated: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.epsilon = number("epsilon", epsilon, above=0)
        self.gamma = number("gamma", gamma, at_least=0)
        self.gated = gated
        self.W = self._uniform(hidden_size, input_size)
        self.R = self._uniform(hidden_size, hidden_size)
        self.b = self._uniform(hidden_size)
        self.W_z = self._optional(gated, hidden_size, input_size)
        self.b_z = self._optional(gated, hidden_size)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        drift = F.linear(h, self.R - self.R.T) - self.gamma * h
        n = torch.tanh(F.linear(x, self.W, self.b) + drift)
        if self.gated:
            z = torch.sigmoid(F.linear(x, self.W_z, self.b_z) + drift)
            n = z * n
        h = h + self.epsilon * n
        return h, (h,)


class SCRNCell(Cell):
    """Elman's network beside a context s that changes slowly::

        s = (1 − alpha) B x + alpha s_prev
        h = σ(W x + P s + R h_prev)
        y = h and s, one after the other

    A readout of y is the paper's U h + V s.

    Source: T. Mikolov et al., "Learning Longer Memory in Recurrent Neural Networks",
    arXiv:1412.7753 (2014), section 3, where W is A.

    Args:
        input_size: features of one input, I.
        hidden_size: fast units, H.
        context_size: slow units, S.
        alpha: how much of the context stays.

    Shapes: W [H, I], R [H, H], B [S, I], P [H, S]; x [B, I], h [B, H], s [B, S], y [B, H + S].

    Raises:
        ArgumentError: a size is not positive, or `alpha` is not between 0 and 1.

    >>> y, state = SCRNCell(3, 4, context_size=2)(torch.ones(5, 3))
    >>> y.shape, state.s.shape
    (torch.Size([5, 6]), torch.Size([5, 2]))
    """

    state = ("h", "s")

    def __init__(
        self, input_size: int, hidden_size: int, context_size: int, alpha: float = 0.95
    ) -> None:
        positive("hidden_size", hidden_size)
        super().__init__(
            input_size,
            hidden_size,
            output_size=hidden_size + positive("context_size", context_size),
            state_sizes={"s": context_size},
        )
        self.context_size = context_size
        self.alpha = number("alpha", alpha, at_least=0, at_most=1)
        self.W = self._uniform(hidden_size, input_size)
        self.R = self._uniform(hidden_size, hidden_size)
        self.B = self._uniform(context_size, input_size)
        self.P = self._uniform(hidden_size, context_size)

    def step(self, x: Tensor, h: Tensor, s: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I], h [B, H], s [B, S] → y [B, H + S], (h, s)."""
        s = (1 - self.alpha) * F.linear(x, self.B) + self.alpha * s
        h = torch.sigmoid(F.linear(x, self.W) + F.linear(s, self.P) + F.linear(h, self.R))
        y = torch.cat([h, s], dim=-1)
        return y, (h, s)


class ClockworkCell(Cell):
    """Elman's network in groups of units, each of which moves only every so many steps::

        due = wait_prev ≤ 0
        h = tanh(W x + (mask ⊙ R) h_prev + b)   where due, else h_prev
        wait = period − 1                       where due, else wait_prev − 1

    A group hears from itself and from slower ones alone: mask is 1 from units of the same or a
    longer period, else 0. wait is how many steps a unit still rests; in the zero state all are
    due, so that steps 0, T, 2T, … are those of a unit of period T.

    Source: J. Koutník, K. Greff, F. Gomez and J. Schmidhuber, "A Clockwork RNN", ICML (2014),
    where steps count from 1.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H, shared out evenly among the periods.
        periods: of the groups, in steps; in bfloat16 at most 256.

    Shapes: W [H, I], R [H, H], b [H]; x [B, I], h and wait [B, H].

    Raises:
        ArgumentError: a size is not positive, or the periods are no positive integers or too many.

    >>> cell = ClockworkCell(3, 4, periods=(1, 2))
    >>> y, state = cell(torch.ones(5, 3))
    >>> state.wait[0]
    tensor([0., 0., 1., 1.])
    """

    state = ("h", "wait")
    period: Tensor
    mask: Tensor

    def __init__(
        self, input_size: int, hidden_size: int, periods: Sequence[int] = (1, 2, 4, 8)
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.periods = tuple(periods)
        each, rest = divmod(hidden_size, len(self.periods) or hidden_size + 1)
        if rest or not self.periods:
            raise ArgumentError(
                f"periods must be as many as share out the {hidden_size} units evenly, got "
                f"{len(self.periods)}"
            )
        for place, steps in enumerate(self.periods):
            positive(f"periods[{place}]", steps)
        period = torch.tensor(self.periods).repeat_interleave(each)
        mask = period[:, None] <= period[None, :]
        default = torch.get_default_dtype()
        self.register_buffer("period", period.to(default), persistent=False)
        self.register_buffer("mask", mask.to(default), persistent=False)
        self.W = self._uniform(hidden_size, input_size)
        self.R = self._uniform(hidden_size, hidden_size)
        self.b = self._uniform(hidden_size)

    def step(self, x: Tensor, h: Tensor, wait: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I], h and wait [B, H] → h, (h, wait)."""
        due = wait <= 0
        n = torch.tanh(F.linear(x, self.W, self.b) + F.linear(h, self.mask * self.R))
        h = torch.where(due, n, h)
        wait = torch.where(due, self.period, wait) - 1
        return h, (h, wait)


class RHNCell(Cell):
    """The recurrent highway network: a step is several layers deep, each with a carry gate::

        s = h_prev
        n = tanh(R_n1 s + b_n1 + W_n x)
        t = σ(R_t1 s + b_t1 + W_t x)
        s = t ⊙ n + (1 − t) ⊙ s             and so on, `depth` times, x at the first alone
        h = s

    Source: J. G. Zilly, R. K. Srivastava, J. Koutník and J. Schmidhuber, "Recurrent Highway
    Networks", ICML (2017), with coupled gates; n is h there.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        depth: layers in a step.
        gate_bias: what b_t starts with, added to the drawn value; a low one tends to keep.

    Shapes: W [2H, I], each R [2H, H] and each b [2H], in the order n t; x [B, I], h [B, H].

    >>> y, state = RHNCell(3, 2, depth=4)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("n", "t")

    def __init__(
        self, input_size: int, hidden_size: int, depth: int = 5, gate_bias: float = -2.0
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.depth = positive("depth", depth)
        self.gate_bias = number("gate_bias", gate_bias)
        self.W = self._uniform(2 * hidden_size, input_size)
        packed = 2 * hidden_size
        self.R = nn.ParameterList(self._uniform(packed, hidden_size) for _ in range(depth))
        self.b = nn.ParameterList(self._uniform(packed) for _ in range(depth))
        with torch.no_grad():
            for b in self.b:
                b[hidden_size:] += gate_bias

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        for layer, (R, b) in enumerate(zip(self.R, self.b, strict=True)):
            drive = F.linear(h, R, b)
            if layer == 0:
                drive = drive + F.linear(x, self.W)
            z_n, z_t = drive.chunk(2, dim=-1)
            n, t = torch.tanh(z_n), torch.sigmoid(z_t)
            h = t * n + (1 - t) * h
        return h, (h,)
