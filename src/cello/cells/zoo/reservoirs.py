"""Networks of neuroscience, of rates and of spikes, and a random one that is never trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.activations import Activation, activation_function
from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.cells.zoo.checks import number

__all__ = ["CTRNNCell", "EchoStateCell", "LIFCell"]

Step = tuple[Tensor, tuple[Tensor]]


class CTRNNCell(Cell):
    """A continuous-time network in small steps: currents that leak, firing rates, and noise::

        r_prev = f(h_prev)
        h = (1 − alpha) h_prev + alpha (W x + R r_prev + b) + sqrt(2 alpha) noise · N(0, 1)
        y = f(h)

    alpha is the length of a step over the time constant of a unit. The noise is drawn anew for
    each step, row and unit, in training only.

    Source: H. F. Song, G. R. Yang and X.-J. Wang, "Training Excitatory-Inhibitory Recurrent
    Neural Networks for Cognitive Tasks: A Simple and Flexible Framework", PLoS Computational
    Biology 12 (2016), where h is x, y is r and x is u.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        alpha: above 0, at most 1.
        noise: standard deviation of a current that gets nothing but noise, for small alpha.
        activation: f, a name (see `cello.cells.ACTIVATIONS`) or a callable on tensors.

    Shapes: W [H, I], R [H, H], b [H]; x [B, I], h [B, H].

    Raises:
        ArgumentError: a size is not positive, the activation's name is unknown, `alpha` is out of
            bounds or `noise` is negative.

    >>> cell = CTRNNCell(3, 2, noise=0.1).eval()
    >>> bool((cell(torch.ones(5, 3))[0] == cell(torch.ones(5, 3))[0]).all())
    True
    """

    state = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        alpha: float = 0.2,
        noise: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        super().__init__(input_size, hidden_size)
        activation_function(activation)
        self.alpha = number("alpha", alpha, above=0, at_most=1)
        self.noise = number("noise", noise, at_least=0)
        self.activation = activation
        self.W = self._uniform(hidden_size, input_size)
        self.R = self._uniform(hidden_size, hidden_size)
        self.b = self._uniform(hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → y [B, H], (h,)."""
        f = activation_function(self.activation)
        drive = F.linear(x, self.W, self.b) + F.linear(f(h), self.R)
        h = (1 - self.alpha) * h + self.alpha * drive
        if self.noise and self.training:
            noise = torch.randn_like(h)
            h = h + math.sqrt(2 * self.alpha) * self.noise * noise
        y = f(h)
        return y, (h,)


class EchoStateCell(Cell):
    """An echo state network: a random reservoir; only the readout after it is trained::

        h = (1 − leak) h_prev + leak tanh(W x + R h_prev + b)

    W, R and b are drawn once. They are buffers, not parameters: saved and loaded, never trained.
    R is scaled to `spectral_radius`, the largest absolute value among its eigenvalues; below 1
    an input mostly fades from the state.

    Sources: H. Jaeger, "The 'echo state' approach to analysing and training recurrent neural
    networks", GMD Report 148 (2001); this form: M. Lukoševičius, "A Practical Guide to Applying
    Echo State Networks", Neural Networks: Tricks of the Trade (2012), equations 2 and 3.

    Args:
        input_size: features of one input, I.
        hidden_size: units of the reservoir, H.
        spectral_radius: of R.
        leak: how fast units follow, above 0 and at most 1.
        input_scale: W and b are drawn between −input_scale and input_scale.
        connections: from how many units each unit hears, all if there are fewer.

    Shapes: W [H, I], R [H, H], b [H]; x [B, I], h [B, H].

    Raises:
        ArgumentError: a size is not positive, or a constant is out of bounds.

    >>> cell = EchoStateCell(3, 50, spectral_radius=0.8)
    >>> list(cell.parameters())
    []
    >>> print(f"{torch.linalg.eigvals(cell.R).abs().max():.4f}")
    0.8000
    """

    state = ("h",)
    W: Tensor
    R: Tensor
    b: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        input_scale: float = 1.0,
        connections: int = 10,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.spectral_radius = number("spectral_radius", spectral_radius, above=0)
        self.leak = number("leak", leak, above=0, at_most=1)
        self.input_scale = number("input_scale", input_scale, above=0)
        self.connections = positive("connections", connections)
        self.register_buffer("W", self._drawn(hidden_size, input_size) * input_scale)
        self.register_buffer("R", self._reservoir())
        self.register_buffer("b", self._drawn(hidden_size) * input_scale)

    def _drawn(self, *shape: int) -> Tensor:
        return torch.empty(*shape).uniform_(-1, 1)

    def _reservoir(self) -> Tensor:
        """A random matrix with as many entries in a row as there are connections."""
        H = self.hidden_size
        chosen = torch.rand(H, H).argsort(dim=-1) < self.connections
        R = self._drawn(H, H) * chosen
        radius: Tensor = torch.linalg.eigvals(R.double()).abs().max()
        return R * (self.spectral_radius / radius)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        n = torch.tanh(F.linear(x, self.W, self.b) + F.linear(h, self.R))
        h = (1 - self.leak) * h + self.leak * n
        return h, (h,)


class LIFCell(Cell):
    """Leaky integrate and fire: a unit's voltage u fires at 1, a spike s, and is lowered by 1::

        i = decay_i · i_prev + W x + R s_prev
        u = decay_u · u_prev + i − s_prev
        s = 1 where u > 1, else 0

    A spike has no gradient of use, so s has that of v / (1 + slope |v|), with v = u − 1: written
    with `detach`, by which the same arithmetic is fused.

    Source: E. O. Neftci, H. Mostafa and F. Zenke, "Surrogate Gradient Learning in Spiking Neural
    Networks", IEEE Signal Processing Magazine 36 (2019), with the surrogate of
    F. Zenke and S. Ganguli, "SuperSpike", Neural Computation 30 (2018).

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        decay_i: what is left of a current after a step.
        decay_u: what is left of a voltage.
        slope: the narrowness of the surrogate's gradient.

    Shapes: W [H, I], R [H, H]; x [B, I], i, u and s [B, H].

    Raises:
        ArgumentError: a size is not positive, or a number is out of bounds.

    >>> y, state = LIFCell(3, 2)(torch.full((5, 3), 9.0))
    >>> bool(((y == 0) | (y == 1)).all())
    True
    """

    state = ("i", "u", "s")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        decay_i: float = 0.8,
        decay_u: float = 0.9,
        slope: float = 10.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.decay_i = number("decay_i", decay_i, at_least=0, below=1)
        self.decay_u = number("decay_u", decay_u, at_least=0, at_most=1)
        self.slope = number("slope", slope, above=0)
        self.W = self._uniform(hidden_size, input_size)
        self.R = self._uniform(hidden_size, hidden_size)

    def step(
        self, x: Tensor, i: Tensor, u: Tensor, s: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """One step: x [B, I], i, u and s [B, H] → s, (i, u, s)."""
        i = self.decay_i * i + F.linear(x, self.W) + F.linear(s, self.R)
        u = self.decay_u * u + i - s
        v = u - 1
        smooth = v / (1 + self.slope * v.abs())
        fired = (v > 0).to(v)
        s = smooth + (fired - smooth).detach()
        return s, (i, u, s)
