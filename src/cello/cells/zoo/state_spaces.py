"""Linear memories: the state enters by a sum alone, and what forgets is chosen with care."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.cells.zoo.checks import number

__all__ = ["LMUCell", "LRUCell", "S6Cell"]


class LRUCell(Cell):
    """The linear recurrent unit: complex numbers that turn and fade, each by itself::

        r = exp(−exp(nu)),  angle = exp(theta)
        u_re, u_im = B_re x, B_im x
        h_re = r cos(angle) ⊙ h_re_prev − r sin(angle) ⊙ h_im_prev + exp(gamma) ⊙ u_re
        h_im = r cos(angle) ⊙ h_im_prev + r sin(angle) ⊙ h_re_prev + exp(gamma) ⊙ u_im
        y = C_re h_re − C_im h_im + D ⊙ x

    h_re + i h_im is the state, multiplied at each step by r exp(i angle); y is a real part.

    Source: A. Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", ICML
    (2023), as in its appendix A: r² starts evenly between the squares of `r_min` and `r_max`,
    the angle between 0 and `max_phase`, exp(gamma) as √(1 − r²), B, C and D as Glorot's.

    Args:
        input_size: features of one input and of one output, I.
        hidden_size: complex numbers in the state, H.
        r_min: least r at the start, from 0.
        r_max: greatest, above `r_min` and at most 1.
        max_phase: greatest angle at the start.

    Shapes: nu, theta and gamma [H]; B_re and B_im [H, I], C_re and C_im [I, H], D [I]; x and y
    [B, I], h_re and h_im [B, H].

    Raises:
        ArgumentError: a size is not positive, or a number is out of bounds.

    >>> y, state = LRUCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.h_re.shape
    (torch.Size([5, 3]), torch.Size([5, 2]))
    """

    state = ("h_re", "h_im")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size=input_size)
        self.r_min = number("r_min", r_min, at_least=0, below=1)
        self.r_max = number("r_max", r_max, above=r_min, at_most=1)
        self.max_phase = number("max_phase", max_phase, above=0)
        square = torch.empty(hidden_size).uniform_(r_min**2, r_max**2).clamp(1e-6, 1 - 1e-6)
        angle = max_phase * torch.empty(hidden_size).uniform_(1e-6, 1)
        self.nu = nn.Parameter((-0.5 * square.log()).log())
        self.theta = nn.Parameter(angle.log())
        self.gamma = nn.Parameter(0.5 * (1 - square).log())
        self.B_re = _normal(hidden_size, input_size, deviation=(2 * input_size) ** -0.5)
        self.B_im = _normal(hidden_size, input_size, deviation=(2 * input_size) ** -0.5)
        self.C_re = _normal(input_size, hidden_size, deviation=hidden_size**-0.5)
        self.C_im = _normal(input_size, hidden_size, deviation=hidden_size**-0.5)
        self.D = nn.Parameter(torch.randn(input_size))

    def step(self, x: Tensor, h_re: Tensor, h_im: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I], h_re and h_im [B, H] → y [B, I], (h_re, h_im)."""
        r, angle = torch.exp(-torch.exp(self.nu)), torch.exp(self.theta)
        cos, sin = r * torch.cos(angle), r * torch.sin(angle)
        u_re, u_im = F.linear(x, self.B_re), F.linear(x, self.B_im)
        scale = torch.exp(self.gamma)
        h_re, h_im = (
            cos * h_re - sin * h_im + scale * u_re,
            cos * h_im + sin * h_re + scale * u_im,
        )
        y = F.linear(h_re, self.C_re) - F.linear(h_im, self.C_im) + self.D * x
        return y, (h_re, h_im)


class S6Cell(Cell):
    """The selective state space of Mamba: the input says what is kept, let in and put out::

        delta = softplus(W_2 W_1 x + b)
        B, C = W x
        h = exp(delta A) ⊙ h_prev + delta x Bᵀ      with A = −exp(A_log)
        y = h C + D ⊙ x

    Each feature of the input has N numbers of memory; delta says how long a step takes it.

    Source: A. Gu and T. Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
    arXiv:2312.00752 (2023), algorithm 2 in section 3.2, where B times delta stands for B held
    over a step, as in the authors' code. A starts as −1 to −N, D as 1, and b so that delta is
    from 0.001 to 0.1.

    Args:
        input_size: features of one input and of one output, I.
        hidden_size: numbers of memory for each of them, N.
        rank: features between W_1 and W_2, K; I / 16, rounded up, unless given.

    Shapes: W_1 [K, I], W_2 [I, K], b [I]; W [2N, I], in the order B C; A_log [I, N], D [I];
    x [B, I], h [B, I, N], y [B, I].

    >>> y, state = S6Cell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.h.shape
    (torch.Size([5, 3]), torch.Size([5, 3, 2]))
    """

    state = ("h",)
    gates = ("B", "C")

    def __init__(self, input_size: int, hidden_size: int = 16, rank: int | None = None) -> None:
        shape = (positive("input_size", input_size), positive("hidden_size", hidden_size))
        super().__init__(input_size, hidden_size, output_size=input_size, state_sizes={"h": shape})
        self.rank = rank
        between = math.ceil(input_size / 16) if rank is None else positive("rank", rank)
        self.W = _uniform(2 * hidden_size, input_size)
        self.W_1 = _uniform(between, input_size)
        self.W_2 = _uniform(input_size, between)
        delta = torch.empty(input_size).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.b = nn.Parameter(delta + torch.log(-torch.expm1(-delta)))  # of softplus the inverse
        lengths = torch.arange(1, hidden_size + 1, dtype=torch.get_default_dtype())
        self.A_log = nn.Parameter(lengths.log().repeat(input_size, 1))
        self.D = nn.Parameter(torch.ones(input_size))

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], h [B, I, N] → y [B, I], (h,)."""
        narrow = F.linear(x, self.W_1)
        delta = F.softplus(F.linear(narrow, self.W_2, self.b))
        B, C = F.linear(x, self.W).chunk(2, dim=-1)
        keep = torch.exp(-torch.exp(self.A_log) * delta.unsqueeze(2))
        h = keep * h + (delta * x).unsqueeze(2) * B.unsqueeze(1)
        y = (h * C.unsqueeze(1)).sum(-1) + self.D * x
        return y, (h,)


class LMUCell(Cell):
    """The Legendre memory unit: m holds the last `theta` steps of u, as a polynomial in time::

        u = e_x · x + e_h · h_prev + e_m · m_prev
        m = A m_prev + B u
        h = tanh(W x + R h_prev + P m)

    A and B are computed, not trained: the differential equation whose solution are the Legendre
    coefficients of a window that slides, held over a step. They are no part of a saved model.

    Source: A. R. Voelker, I. Kajić and C. Eliasmith, "Legendre Memory Units: Continuous-Time
    Representation in Recurrent Neural Networks", NeurIPS (2019); e_m starts as 0, the
    other e as LeCun's uniform, matrices as Glorot's normal.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        order: coefficients of the window, N.
        theta: its length in steps.

    Shapes: e_x [1, I], e_h [1, H], e_m [1, N], W [H, I], R [H, H], P [H, N], A [N, N], B [N];
    x [B, I], h [B, H], m [B, N].

    Raises:
        ArgumentError: a size is not positive, or `theta` is not above 0.

    >>> y, state = LMUCell(3, 2, order=6, theta=50)(torch.ones(5, 3))
    >>> y.shape, state.m.shape
    (torch.Size([5, 2]), torch.Size([5, 6]))
    """

    state = ("h", "m")
    A: Tensor
    B: Tensor

    def __init__(
        self, input_size: int, hidden_size: int, order: int = 8, theta: float = 100.0
    ) -> None:
        super().__init__(input_size, hidden_size, state_sizes={"m": positive("order", order)})
        self.order = order
        self.theta = number("theta", theta, above=0)
        A, B = _window(order, theta)
        default = torch.get_default_dtype()
        self.register_buffer("A", A.to(default), persistent=False)
        self.register_buffer("B", B.to(default), persistent=False)
        self.e_x = _uniform(1, input_size, bound=math.sqrt(3 / input_size))
        self.e_h = _uniform(1, hidden_size, bound=math.sqrt(3 / hidden_size))
        self.e_m = nn.Parameter(torch.zeros(1, order))
        self.W, self.R, self.P = (
            nn.Parameter(nn.init.xavier_normal_(torch.empty(hidden_size, size)))
            for size in (input_size, hidden_size, order)
        )

    def step(self, x: Tensor, h: Tensor, m: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I], h [B, H], m [B, N] → h, (h, m)."""
        u = F.linear(x, self.e_x) + F.linear(h, self.e_h) + F.linear(m, self.e_m)
        m = F.linear(m, self.A) + u * self.B
        h = torch.tanh(F.linear(x, self.W) + F.linear(h, self.R) + F.linear(m, self.P))
        return h, (h, m)


def _uniform(*shape: int, bound: float | None = None) -> nn.Parameter:
    """Drawn from −bound to bound; one over the root of the features that are read, unless given."""
    bound = 1 / math.sqrt(shape[-1]) if bound is None else bound
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


def _normal(*shape: int, deviation: float) -> nn.Parameter:
    return nn.Parameter(deviation * torch.randn(*shape))


def _window(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """A and B of the Legendre memory, held over a step of length 1, in float64."""
    i = torch.arange(order, dtype=torch.float64)[:, None]
    j = i.T
    sign = torch.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    a = (2 * i + 1) * sign / theta
    b = (2 * i + 1) * (-1.0) ** i / theta
    both = torch.cat([torch.cat([a, b], dim=1), torch.zeros(1, order + 1, dtype=a.dtype)])
    held = torch.linalg.matrix_exp(both)
    return held[:order, :order], held[:order, order]
