"""LSTMs with something more, or something less."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.cells.zoo.packed import PackedCell

__all__ = [
    "CoupledLSTMCell",
    "LayerNormLSTMCell",
    "MCLSTMCell",
    "MogrifierLSTMCell",
    "MultiplicativeLSTMCell",
    "NestedLSTMCell",
]

Step = tuple[Tensor, tuple[Tensor, Tensor]]


class LayerNormLSTMCell(PackedCell):
    """An LSTM whose products and memory are normalised over the units::

        z_i, z_f, z, z_o = norm(W x) + norm(R h_prev) + b
        c = σ(z_i) ⊙ tanh(z) + σ(z_f) ⊙ c_prev
        h = σ(z_o) ⊙ tanh(norm(c))

    Each norm has a gain of its own, that of c a bias too; the biases of the other two would only
    add up with b.

    Source: J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", arXiv:1607.06450
    (2016), the LSTM of the supplementary material.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.

    Shapes: W [4H, I], R [4H, H], b, norm_x.weight and norm_h.weight [4H], in the order i f g o;
    norm_c.weight and norm_c.bias [H]; x [B, I], h and c [B, H].

    >>> y, state = LayerNormLSTMCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.c.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.norm_x = nn.LayerNorm(4 * hidden_size, bias=False)
        self.norm_h = nn.LayerNorm(4 * hidden_size, bias=False)
        self.norm_c = nn.LayerNorm(hidden_size)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Step:
        """One step: x [B, I], h [B, H], c [B, H] → h, (h, c)."""
        drive = self.norm_x(F.linear(x, self.W)) + self.norm_h(F.linear(h, self.R)) + self.b
        z_i, z_f, z, z_o = drive.chunk(4, dim=-1)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        g = torch.tanh(z)
        c = i * g + f * c
        h = o * torch.tanh(self.norm_c(c))
        return h, (h, c)


class CoupledLSTMCell(PackedCell):
    """An LSTM that forgets just as much as it takes in (coupled input and forget gate, CIFG)::

        z_i, z, z_o = W x + R h_prev + b
        c = σ(z_i) ⊙ tanh(z) + (1 − σ(z_i)) ⊙ c_prev
        h = σ(z_o) ⊙ tanh(c)

    Source: K. Greff et al., "LSTM: A Search Space Odyssey", IEEE Transactions on Neural Networks
    and Learning Systems 28 (2017), the variant CIFG, here without peepholes.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.

    Shapes: W [3H, I], R [3H, H], b [3H], in the order i g o; x [B, I], h and c [B, H].

    >>> y, state = CoupledLSTMCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.c.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("h", "c")
    gates = ("i", "g", "o")

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Step:
        """One step: x [B, I], h [B, H], c [B, H] → h, (h, c)."""
        z_i, z, z_o = self._drive(x, h)
        i, g, o = torch.sigmoid(z_i), torch.tanh(z), torch.sigmoid(z_o)
        f = 1 - i
        c = i * g + f * c
        h = o * torch.tanh(c)
        return h, (h, c)


class MultiplicativeLSTMCell(PackedCell):
    """An LSTM whose recurrent weights depend on the input, for m takes the place of h_prev::

        m = (W_m x) ⊙ (R_m h_prev)
        z_i, z_f, z, z_o = W x + R m + b
        c = σ(z_i) ⊙ tanh(z) + σ(z_f) ⊙ c_prev
        h = σ(z_o) ⊙ tanh(c)

    Source: B. Krause, I. Murray, S. Renals and L. Lu, "Multiplicative LSTM for sequence
    modelling", arXiv:1609.07959 (2016), section 3.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.

    Shapes: W [4H, I], R [4H, H], b [4H], in the order i f g o; W_m [H, I], R_m [H, H];
    x [B, I], h and c [B, H].

    >>> cell = MultiplicativeLSTMCell(3, 2)
    >>> y, state = cell(torch.ones(5, 3))
    >>> y.shape, state.c.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W_m = self._uniform(hidden_size, input_size)
        self.R_m = self._uniform(hidden_size, hidden_size)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Step:
        """One step: x [B, I], h [B, H], c [B, H] → h, (h, c)."""
        m = F.linear(x, self.W_m) * F.linear(h, self.R_m)
        z_i, z_f, z, z_o = self._drive(x, m)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        g = torch.tanh(z)
        c = i * g + f * c
        h = o * torch.tanh(c)
        return h, (h, c)


class MogrifierLSTMCell(PackedCell):
    """An LSTM before which input and output gate each other, in turns::

        x = 2 σ(Q_1 h_prev) ⊙ x
        h = 2 σ(Q_2 x) ⊙ h_prev             and so on, `rounds` times in all
        z_i, z_f, z, z_o = W x + R h + b
        c = σ(z_i) ⊙ tanh(z) + σ(z_f) ⊙ c_prev
        h = σ(z_o) ⊙ tanh(c)

    Source: G. Melis, T. Kočiský and P. Blunsom, "Mogrifier LSTM", ICLR (2020), with
    matrices of full rank; those of even rounds are R there.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.
        rounds: how often one gates the other, the input first.

    Shapes: W [4H, I], R [4H, H], b [4H], in the order i f g o; Q [I, H] and [H, I] in turns;
    x [B, I], h and c [B, H].

    >>> cell = MogrifierLSTMCell(3, 2, rounds=3)
    >>> y, state = cell(torch.ones(5, 3))
    >>> [list(part.shape) for part in cell.Q]
    [[3, 2], [2, 3], [3, 2]]
    """

    state = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(self, input_size: int, hidden_size: int, rounds: int = 5) -> None:
        super().__init__(input_size, hidden_size)
        self.rounds = positive("rounds", rounds)
        shapes = ((input_size, hidden_size), (hidden_size, input_size))
        self.Q = nn.ParameterList(self._uniform(*shapes[n % 2]) for n in range(rounds))

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> Step:
        """One step: x [B, I], h [B, H], c [B, H] → h, (h, c)."""
        for number, Q in enumerate(self.Q):
            if number % 2 == 0:
                x = 2 * torch.sigmoid(F.linear(h, Q)) * x
            else:
                h = 2 * torch.sigmoid(F.linear(x, Q)) * h
        z_i, z_f, z, z_o = self._drive(x, h)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        g = torch.tanh(z)
        c = i * g + f * c
        h = o * torch.tanh(c)
        return h, (h, c)


class NestedLSTMCell(PackedCell):
    """An LSTM whose memory is an LSTM, with a memory d of its own::

        z_i, z_f, z, z_o = W x + R h_prev + b
        inside = σ(z_i) ⊙ tanh(z)
        kept = σ(z_f) ⊙ c_prev
        v_i, v_f, v, v_o = V inside + U kept + a
        d = σ(v_i) ⊙ tanh(v) + σ(v_f) ⊙ d_prev
        c = σ(v_o) ⊙ tanh(d)
        h = σ(z_o) ⊙ tanh(c)

    Source: J. R. A. Moniz and D. Krueger, "Nested LSTMs", ACML (2017), where V, U, a
    and d are W, U, b and c with a tilde.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.

    Shapes: W [4H, I], R, V and U [4H, H], b and a [4H], in the order i f g o; x [B, I], h, c and
    d [B, H].

    >>> y, state = NestedLSTMCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.d.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state = ("h", "c", "d")
    gates = ("i", "f", "g", "o")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.V = self._uniform(4 * hidden_size, hidden_size)
        self.U = self._uniform(4 * hidden_size, hidden_size)
        self.a = self._uniform(4 * hidden_size)

    def step(
        self, x: Tensor, h: Tensor, c: Tensor, d: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """One step: x [B, I], h, c and d [B, H] → h, (h, c, d)."""
        z_i, z_f, z, z_o = self._drive(x, h)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        inside, kept = i * torch.tanh(z), f * c
        v_i, v_f, v, v_o = (F.linear(inside, self.V, self.a) + F.linear(kept, self.U)).chunk(
            4, dim=-1
        )
        d = torch.sigmoid(v_i) * torch.tanh(v) + torch.sigmoid(v_f) * d
        c = torch.sigmoid(v_o) * torch.tanh(d)
        h = o * torch.tanh(c)
        return h, (h, c, d)


class MCLSTMCell(Cell):
    """An LSTM that conserves mass: what comes in is shared out, moved, and let out, never lost::

        share = c_prev / |c_prev|                  over the sum of its absolute values
        i = softmax(W_i a + U_i share + b_i)
        o = σ(W_o a + U_o share + b_o)
        total = R c_prev + i · mass                with R = softmax of B, column by column
        c = (1 − o) ⊙ total
        h = o ⊙ total

    In sum c and h are c_prev and the mass. a are further features, which only steer.

    Source: P.-J. Hoedt et al., "MC-LSTM: Mass-Conserving LSTM", ICML (2021), with a
    redistribution R that does not depend on the input.

    Args:
        in_features: that steer, A.
        hidden_size: memories, H.

    Shapes: W [2H, A], U [2H, H], b [2H], in the order i o; B [H, H]; mass [B, 1], a [B, A]; h and
    c [B, H], of which c alone is carried.

    >>> cell = MCLSTMCell(3, 2)
    >>> y, state = cell({"mass": torch.full((5, 1), 7.0), "a": torch.ones(5, 3)})
    >>> bool(torch.allclose((y + state.c).sum(1), torch.tensor(7.0)))
    True
    """

    state = ("c",)
    gates = ("i", "o")

    def __init__(self, in_features: int, hidden_size: int) -> None:
        super().__init__({"mass": 1, "a": positive("in_features", in_features)}, hidden_size)
        self.in_features = in_features
        self.W = self._uniform(2 * hidden_size, in_features)
        self.U = self._uniform(2 * hidden_size, hidden_size)
        self.b = self._uniform(2 * hidden_size)
        self.B = self._uniform(hidden_size, hidden_size)

    def step(self, x: dict[str, Tensor], c: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: mass [B, 1], a [B, A], c [B, H] → h [B, H], (c,)."""
        mass, a = x["mass"], x["a"]
        share = c / c.abs().sum(-1, keepdim=True).clamp_min(1e-12)
        z_i, z_o = (F.linear(a, self.W, self.b) + F.linear(share, self.U)).chunk(2, dim=-1)
        i, o = torch.softmax(z_i, dim=-1), torch.sigmoid(z_o)
        total = F.linear(c, torch.softmax(self.B, dim=0)) + i * mass
        c, h = (1 - o) * total, o * total
        return h, (c,)
