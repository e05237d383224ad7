"""LSTMs with something more, or something less."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells.zoo.packed import PackedCell

__all__ = ["CoupledLSTMCell", "LayerNormLSTMCell", "MultiplicativeLSTMCell"]

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
