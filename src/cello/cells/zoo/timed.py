"""Cells that are told the time, for data that come at odd moments or with gaps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.cells.zoo.checks import number

__all__ = ["CfCCell", "GRUDCell", "LTCCell", "PhasedLSTMCell"]

Inputs = dict[str, Tensor]


class GRUDCell(Cell):
    """A GRU for values of which some are missing: what is old fades, value and memory alike::

        fading = exp(−max(0, w_x ⊙ gap + b_x))
        last = value where it was seen, else last_prev
        filled = value where it was seen, else fading ⊙ last + (1 − fading) ⊙ mean
        faded = exp(−max(0, W_h gap + b_h)) ⊙ h_prev
        z = σ(W_z filled + R_z faded + V_z seen + b_z)
        r = σ(W_r filled + R_r faded + V_r seen + b_r)
        n = tanh(W_n filled + R_n (r ⊙ faded) + V_n seen + b_n)
        h = (1 − z) ⊙ faded + z ⊙ n

    A value counts as seen where `seen` is above 0.5; what stands in its place otherwise, be it NaN,
    does not matter.

    Source: Z. Che et al., "Recurrent Neural Networks for Multivariate Time Series with Missing
    Values", Scientific Reports 8 (2018), where seen is m and gap is δ.

    Args:
        in_features: values of one step, F.
        hidden_size: units, H.
        mean: to which values fade, 0 if they are normalised.

    Shapes: w_x and b_x [F], W_h [H, F], b_h [H]; W and V [3H, F], R [3H, H], b [3H], in the order
    z r n; value, seen and gap [B, F], the gap being the time since each was last seen; h [B, H],
    last [B, F].

    >>> seen = torch.tensor([[1.0, 0.0, 1.0]])
    >>> x = {"value": torch.ones(1, 3), "seen": seen, "gap": torch.ones(1, 3)}
    >>> y, state = GRUDCell(3, 2)(x)
    >>> state.last
    tensor([[1., 0., 1.]])
    """

    state = ("h", "last")
    gates = ("z", "r", "n")

    def __init__(self, in_features: int, hidden_size: int, mean: float = 0.0) -> None:
        sizes = dict.fromkeys(("value", "seen", "gap"), in_features)
        super().__init__(
            sizes, hidden_size, state_sizes={"last": positive("in_features", in_features)}
        )
        self.in_features = in_features
        self.mean = number("mean", mean)
        self.w_x = self._uniform(in_features)
        self.b_x = self._uniform(in_features)
        self.W_h = self._uniform(hidden_size, in_features)
        self.b_h = self._uniform(hidden_size)
        self.W = self._uniform(3 * hidden_size, in_features)
        self.V = self._uniform(3 * hidden_size, in_features)
        self.R = self._uniform(3 * hidden_size, hidden_size)
        self.b = self._uniform(3 * hidden_size)

    def step(self, x: Inputs, h: Tensor, last: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: value, seen and gap [B, F], h [B, H], last [B, F] → h, (h, last)."""
        value, seen, gap = x["value"], x["seen"], x["gap"]
        fading = torch.exp(-torch.relu(self.w_x * gap + self.b_x))
        last = torch.where(seen > 0.5, value, last)
        filled = torch.where(seen > 0.5, value, fading * last + (1 - fading) * self.mean)
        faded = torch.exp(-torch.relu(F.linear(gap, self.W_h, self.b_h))) * h
        R_z, R_r, R_n = self.R.chunk(3)
        x_z, x_r, x_n = (F.linear(filled, self.W, self.b) + F.linear(seen, self.V)).chunk(3, dim=-1)
        z = torch.sigmoid(x_z + F.linear(faded, R_z))
        r = torch.sigmoid(x_r + F.linear(faded, R_r))
        n = torch.tanh(x_n + F.linear(r * faded, R_n))
        h = (1 - z) * faded + z * n
        return h, (h, last)


class LTCCell(Cell):
    """Liquid time constants: how fast a unit moves depends on what it hears::

        f = σ(W x + R h + b)
        h = (h + dt f ⊙ A) / (1 + dt (1 / tau + f))     and so on, `unfolds` times a step

    This is a solver's step of dh/dt = −(1/tau + f) ⊙ h + f ⊙ A that no dt makes unstable. dt is the
    time since the step before, |gap|, over `unfolds`; tau is exp(log_tau).

    Source: R. Hasani et al., "Liquid Time-constant Networks", AAAI (2021), with its
    fused solver and the sigmoid as f.

    Args:
        in_features: of one value, F.
        hidden_size: units, H.
        unfolds: the solver's steps in one of the cell's.

    Shapes: W [H, F], R [H, H], b, A and log_tau [H]; value [B, F], gap [B, 1]; h [B, H].

    >>> cell = LTCCell(3, 2)
    >>> y, state = cell({"value": torch.ones(5, 3), "gap": torch.ones(5, 1)})
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)

    def __init__(self, in_features: int, hidden_size: int, unfolds: int = 6) -> None:
        super().__init__({"value": positive("in_features", in_features), "gap": 1}, hidden_size)
        self.in_features = in_features
        self.unfolds = positive("unfolds", unfolds)
        self.W = self._uniform(hidden_size, in_features)
        self.R = self._uniform(hidden_size, hidden_size)
        self.b = self._uniform(hidden_size)
        self.A = self._uniform(hidden_size)
        self.log_tau = nn.Parameter(torch.zeros(hidden_size))

    def step(self, x: Inputs, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: value [B, F], gap [B, 1], h [B, H] → h, (h,)."""
        value, gap = x["value"], x["gap"]
        dt, leak = gap.abs() / self.unfolds, torch.exp(-self.log_tau)
        drive = F.linear(value, self.W, self.b)
        for _ in range(self.unfolds):
            f = torch.sigmoid(drive + F.linear(h, self.R))
            h = (h + dt * f * self.A) / (1 + dt * (leak + f))
        return h, (h,)


class CfCCell(Cell):
    """The liquid network in closed form: time alone fades from one answer to the other::

        trunk = tanh(W value + R h_prev + b)
        f, g, k = V trunk + a
        t = σ(−f ⊙ gap)
        h = t ⊙ tanh(g) + (1 − t) ⊙ tanh(k)

    Source: R. Hasani et al., "Closed-form continuous-time neural networks", Nature Machine
    Intelligence 4 (2022), with a shared trunk of one layer, where k is h.

    Args:
        in_features: of one value, F.
        hidden_size: units, H.
        trunk_size: units of what f, g and k share, K; as many as H unless given.

    Shapes: W [K, F], R [K, H], b [K]; V [3H, K], a [3H], in the order f g k; value [B, F], gap
    [B, 1]; h [B, H].

    >>> cell = CfCCell(3, 2)
    >>> y, state = cell({"value": torch.ones(5, 3), "gap": torch.ones(5, 1)})
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("f", "g", "k")

    def __init__(self, in_features: int, hidden_size: int, trunk_size: int | None = None) -> None:
        super().__init__({"value": positive("in_features", in_features), "gap": 1}, hidden_size)
        self.in_features = in_features
        self.trunk_size = trunk_size
        size = hidden_size if trunk_size is None else positive("trunk_size", trunk_size)
        self.W = self._uniform(size, in_features)
        self.R = self._uniform(size, hidden_size)
        self.b = self._uniform(size)
        self.V = self._uniform(3 * hidden_size, size)
        self.a = self._uniform(3 * hidden_size)

    def step(self, x: Inputs, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: value [B, F], gap [B, 1], h [B, H] → h, (h,)."""
        value, gap = x["value"], x["gap"]
        trunk = torch.tanh(F.linear(value, self.W, self.b) + F.linear(h, self.R))
        f, g, k = F.linear(trunk, self.V, self.a).chunk(3, dim=-1)
        t = torch.sigmoid(-f * gap)
        h = t * torch.tanh(g) + (1 - t) * torch.tanh(k)
        return h, (h,)


class PhasedLSTMCell(Cell):
    """An LSTM whose units wake by the clock, each at its own period and shift::

        phase = ((time − shift) mod period) / period
        k = 2 phase / ratio            while phase < ratio / 2
        k = 2 − 2 phase / ratio        while phase < ratio
        k = leak · phase               else
        z_i, z_f, z, z_o = W value + R h_prev + b
        c_new = σ(z_i) ⊙ tanh(z) + σ(z_f) ⊙ c_prev
        c = k ⊙ c_new + (1 − k) ⊙ c_prev
        h = k ⊙ σ(z_o) ⊙ tanh(c_new) + (1 − k) ⊙ h_prev

    leak is 0 in evaluation. period starts as exp(u), u drawn from 0 to `log_longest`; shift is
    drawn from 0 to the period.

    Source: D. Neil, M. Pfeiffer and S.-C. Liu, "Phased LSTM: Accelerating Recurrent Network
    Training for Long or Event-based Sequences", NeurIPS (2016), without peepholes.

    Args:
        in_features: of one value, F.
        hidden_size: memories, H.
        ratio: the part of a period in which a unit is awake.
        leak: see above.
        log_longest: the logarithm of the longest period.

    Shapes: W [4H, F], R [4H, H], b [4H], in the order i f g o; period and shift [H]; value [B, F],
    time [B, 1], the moment of the step; h and c [B, H].

    Raises:
        ArgumentError: a size is not positive, or a number is out of bounds.

    >>> cell = PhasedLSTMCell(3, 2)
    >>> y, state = cell({"value": torch.ones(5, 3), "time": torch.ones(5, 1)})
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(
        self,
        in_features: int,
        hidden_size: int,
        ratio: float = 0.05,
        leak: float = 0.001,
        log_longest: float = 3.0,
    ) -> None:
        super().__init__({"value": positive("in_features", in_features), "time": 1}, hidden_size)
        self.in_features = in_features
        self.ratio = number("ratio", ratio, above=0, at_most=1)
        self.leak = number("leak", leak, at_least=0, at_most=1)
        self.log_longest = number("log_longest", log_longest, above=0)
        self.W = self._uniform(4 * hidden_size, in_features)
        self.R = self._uniform(4 * hidden_size, hidden_size)
        self.b = self._uniform(4 * hidden_size)
        self.period = nn.Parameter(torch.empty(hidden_size).uniform_(0, log_longest).exp())
        self.shift = nn.Parameter(torch.rand(hidden_size) * self.period.detach())

    def step(self, x: Inputs, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: value [B, F], time [B, 1], h and c [B, H] → h, (h, c)."""
        value, time = x["value"], x["time"]
        phase = torch.remainder(time - self.shift, self.period) / self.period
        rising, leak = 2 * phase / self.ratio, self.leak if self.training else 0.0
        awake = torch.where(phase < self.ratio / 2, rising, 2 - rising)
        k = torch.where(phase < self.ratio, awake, leak * phase)
        z_i, z_f, z, z_o = (F.linear(value, self.W, self.b) + F.linear(h, self.R)).chunk(4, dim=-1)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        g = torch.tanh(z)
        c_new = i * g + f * c
        c = k * c_new + (1 - k) * c
        h = k * o * torch.tanh(c_new) + (1 - k) * h
        return h, (h, c)
