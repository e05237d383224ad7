"""Gated cells with fewer gates than a GRU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.cells.zoo.checks import number
from cello.cells.zoo.packed import PackedCell
from cello.errors import ArgumentError

__all__ = [
    "FastGRNNCell",
    "JANETCell",
    "LiGRUCell",
    "MGUCell",
    "RANCell",
    "STARCell",
    "UGRNNCell",
]

Step = tuple[Tensor, tuple[Tensor]]


class MGUCell(PackedCell):
    """The minimal gated unit, a GRU whose one gate f both resets and updates::

        f = σ(W_f x + R_f h_prev + b_f)
        n = tanh(W_n x + R_n (f ⊙ h_prev) + b_n)
        h = (1 − f) ⊙ h_prev + f ⊙ n

    Source: G.-B. Zhou, J. Wu, C.-L. Zhang and Z.-H. Zhou, "Minimal Gated Unit for Recurrent
    Neural Networks", International Journal of Automation and Computing 13 (2016).

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [2H, I], R [2H, H], b [2H], in the order f n; x [B, I], h [B, H].

    >>> y, state = MGUCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("f", "n")

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        x_f, x_n = self._from_input(x)
        R_f, R_n = self.R.chunk(2)
        f = torch.sigmoid(x_f + F.linear(h, R_f))
        n = torch.tanh(x_n + F.linear(f * h, R_n))
        h = (1 - f) * h + f * n
        return h, (h,)


class UGRNNCell(PackedCell):
    """The update gate network: one gate u keeps the old state, nothing is reset::

        u = σ(W_u x + R_u h_prev + b_u)
        n = tanh(W_n x + R_n h_prev + b_n)
        h = u ⊙ h_prev + (1 − u) ⊙ n

    Source: J. Collins, J. Sohl-Dickstein and D. Sussillo, "Capacity and Trainability in Recurrent
    Neural Networks", ICLR (2017), where u is g and n is c.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        forget_bias: what the gate's bias starts with, added to the drawn value; a large one tends
            to remember.

    Shapes: W [2H, I], R [2H, H], b [2H], in the order u n; x [B, I], h [B, H].

    >>> y, state = UGRNNCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("u", "n")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.forget_bias = number("forget_bias", forget_bias)
        self._add_to_bias("u", forget_bias)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        z_u, z_n = self._drive(x, h)
        u, n = torch.sigmoid(z_u), torch.tanh(z_n)
        h = u * h + (1 - u) * n
        return h, (h,)


class JANETCell(PackedCell):
    """An LSTM with nothing but its forget gate ("just another network")::

        z_f, z = W x + R h_prev + b
        h = σ(z_f) ⊙ h_prev + (1 − σ(z_f − beta)) ⊙ tanh(z)

    beta lets in a little more than is forgotten.

    Source: J. van der Westhuizen and J. Lasenby, "The unreasonable effectiveness of the forget
    gate", arXiv:1804.04849 (2018), where h is both c and h. With `longest` the biases start as in
    C. Tallec and Y. Ollivier, "Can recurrent neural networks warp time?", ICLR (2018), section 3.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        beta: see above.
        longest: over how many steps the longest dependency reaches: the forget gate's bias starts
            with log u, u drawn from 1 to `longest` − 1; it starts with 1 unless given.

    Shapes: W [2H, I], R [2H, H], b [2H], in the order f g; x [B, I], h [B, H].

    Raises:
        ArgumentError: a size is not positive, `beta` is not finite, or `longest` is below 3.

    >>> cell = JANETCell(3, 2, longest=100)
    >>> y, state = cell(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("f", "g")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        beta: float = 1.0,
        longest: int | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.beta = number("beta", beta)
        self.longest = longest
        nn.init.zeros_(self.b)
        if longest is None:
            self._add_to_bias("f", 1.0)
        else:
            self._add_to_bias("f", _log_of_lengths(longest, hidden_size))

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        z_f, z = self._drive(x, h)
        f, i = torch.sigmoid(z_f), 1 - torch.sigmoid(z_f - self.beta)
        g = torch.tanh(z)
        h = f * h + i * g
        return h, (h,)


class LiGRUCell(PackedCell):
    """The light GRU, made for speech: no reset gate, and a ReLU::

        z = σ(W_z x + R_z h_prev + b_z)
        n = relu(W_n x + R_n h_prev + b_n)
        h = z ⊙ h_prev + (1 − z) ⊙ n

    The paper normalises W x over the batch, which after training is a fixed scale and shift of
    each unit: W and b have both. Its R starts orthogonal, which is kept.

    Source: M. Ravanelli, P. Brakel, M. Omologo and Y. Bengio, "Light Gated Recurrent Units for
    Speech Recognition", IEEE Transactions on Emerging Topics in Computational Intelligence 2
    (2018), section III.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [2H, I], R [2H, H], b [2H], in the order z n; x [B, I], h [B, H].

    >>> y, state = LiGRUCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("z", "n")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        for part in self.R.detach().chunk(2):
            nn.init.orthogonal_(part)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        z_z, z_n = self._drive(x, h)
        z, n = torch.sigmoid(z_z), torch.relu(z_n)
        h = z * h + (1 - z) * n
        return h, (h,)


class FastGRNNCell(Cell):
    """A gate and a candidate that share their matrices, for networks of a few kilobytes::

        drive = W x + R h_prev
        z = σ(drive + b_z)
        n = tanh(drive + b_n)
        h = (σ(zeta) (1 − z) + σ(nu)) ⊙ n + z ⊙ h_prev

    Source: A. Kusupati et al., "FastGRNN: A Fast, Accurate, Stable and Tiny Kilobyte Sized Gated
    Recurrent Neural Network", NeurIPS (2018), section 3; zeta and nu are there what is here their
    sigmoid.

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.

    Shapes: W [H, I], R [H, H], b_z and b_n [H], zeta and nu []; x [B, I], h [B, H].

    >>> y, state = FastGRNNCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = self._uniform(hidden_size, input_size)
        self.R = self._uniform(hidden_size, hidden_size)
        self.b_z = nn.Parameter(torch.ones(hidden_size))
        self.b_n = nn.Parameter(torch.ones(hidden_size))
        self.zeta = nn.Parameter(torch.tensor(1.0))
        self.nu = nn.Parameter(torch.tensor(-4.0))

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        drive = F.linear(x, self.W) + F.linear(h, self.R)
        z, n = torch.sigmoid(drive + self.b_z), torch.tanh(drive + self.b_n)
        h = (torch.sigmoid(self.zeta) * (1 - z) + torch.sigmoid(self.nu)) * n + z * h
        return h, (h,)


class RANCell(PackedCell):
    """The recurrent additive network: the memory is a weighted sum of inputs, and nothing else::

        n = W_n x
        i = σ(W_i x + R_i h_prev + b_i)
        f = σ(W_f x + R_f h_prev + b_f)
        c = i ⊙ n + f ⊙ c_prev
        h = tanh(c)

    h_prev is tanh(c_prev), `before` in recordings, so that c alone is carried.

    Source: K. Lee, O. Levy and L. Zettlemoyer, "Recurrent Additive Networks", arXiv:1705.07393
    (2017); n is c with a tilde there.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.

    Shapes: W [2H, I], R [2H, H], b [2H], in the order i f; W_n [H, I]; x [B, I], c [B, H].

    >>> y, state = RANCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("c",)
    gates = ("i", "f")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W_n = self._uniform(hidden_size, input_size)

    def step(self, x: Tensor, c: Tensor) -> Step:
        """One step: x [B, I], c [B, H] → h [B, H], (c,)."""
        before = torch.tanh(c)
        z_i, z_f = self._drive(x, before)
        n, i, f = F.linear(x, self.W_n), torch.sigmoid(z_i), torch.sigmoid(z_f)
        c = i * n + f * c
        h = torch.tanh(c)
        return h, (c,)


class STARCell(Cell):
    """The stackable recurrent cell: one gate, and a tanh over all, so that many may be stacked::

        k = σ(W_k x + R h_prev + b_k)
        z = tanh(W_z x + b_z)
        h = tanh((1 − k) ⊙ h_prev + k ⊙ z)

    As in the paper, matrices start orthogonal and biases 0, but for b_k: with `longest` it is
    minus the logarithm of a number drawn from 1 to `longest` − 1.

    Source: M. O. Turkoglu, S. D'Aronco, J. D. Wegner and K. Schindler, "Gating Revisited: Deep
    Multi-layer RNNs That Can Be Trained", IEEE Transactions on Pattern Analysis and Machine
    Intelligence 44 (2022).

    Args:
        input_size: features of one input, I.
        hidden_size: units, H.
        longest: over how many steps the longest dependency reaches, see above.

    Shapes: W [2H, I], b [2H], in the order k z; R [H, H]; x [B, I], h [B, H].

    Raises:
        ArgumentError: a size is not positive, or `longest` is below 3.

    >>> y, state = STARCell(3, 2)(torch.ones(5, 3))
    >>> y.shape
    torch.Size([5, 2])
    """

    state = ("h",)
    gates = ("k", "z")

    def __init__(self, input_size: int, hidden_size: int, longest: int | None = None) -> None:
        super().__init__(input_size, hidden_size)
        self.longest = longest
        self.W = self._uniform(2 * hidden_size, input_size)
        self.R = self._uniform(hidden_size, hidden_size)
        self.b = nn.Parameter(torch.zeros(2 * hidden_size))
        for part in (*self.W.detach().chunk(2), self.R.detach()):
            nn.init.orthogonal_(part)
        if longest is not None:
            with torch.no_grad():
                self.b[:hidden_size] -= _log_of_lengths(longest, hidden_size)

    def step(self, x: Tensor, h: Tensor) -> Step:
        """One step: x [B, I], h [B, H] → h [B, H]."""
        z_k, z_z = F.linear(x, self.W, self.b).chunk(2, dim=-1)
        k, z = torch.sigmoid(z_k + F.linear(h, self.R)), torch.tanh(z_z)
        h = torch.tanh((1 - k) * h + k * z)
        return h, (h,)


def _log_of_lengths(longest: int, count: int) -> Tensor:
    """Log u, with as many u drawn from 1 to `longest` − 1."""
    if positive("longest", longest) < 3:
        raise ArgumentError(f"longest must be at least 3 steps, got {longest}")
    return torch.empty(count).uniform_(1, longest - 1).log()
