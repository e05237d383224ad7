"""Cells whose memory has a shape: a matrix, or channels by places."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells.cell import Cell
from cello.cells.contract.shapes import positive
from cello.cells.zoo.checks import number
from cello.errors import ArgumentError, DtypeError

__all__ = ["ConvLSTMCell", "DeltaNetCell", "MLSTMCell"]

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class ConvLSTMCell(Cell):
    """An LSTM whose products are convolutions, for pictures and maps that change::

        z_i, z_f, z, z_o = W * x + R * h_prev + b
        i = σ(z_i + w_i ⊙ c_prev)
        f = σ(z_f + w_f ⊙ c_prev)
        c = i ⊙ tanh(z) + f ⊙ c_prev
        o = σ(z_o + w_o ⊙ c)
        h = o ⊙ tanh(c)

    * is a convolution over the places, padded with zeros so that their number stays.

    Source: X. Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for
    Precipitation Nowcasting", NeurIPS (2015).

    Args:
        shape: of one input: channels and one to three axes of places, such as (3, 32, 32).
        hidden_size: channels of the memory, H.
        kernel_size: places that a convolution sees along each axis, an odd number k.

    Shapes: W [4H, C, k, …], R [4H, H, k, …], b [4H], in the order i f g o; w_i, w_f and w_o
    [H, places]; x [B, C, places], h and c [B, H, places].

    Raises:
        ArgumentError: a size is not positive, or `kernel_size` is even.
        DtypeError: `shape` is not a tuple of two to four ints.

    >>> y, state = ConvLSTMCell((1, 5, 6), 2)(torch.ones(4, 1, 5, 6))
    >>> y.shape, state.c.shape
    (torch.Size([4, 2, 5, 6]), torch.Size([4, 2, 5, 6]))
    """

    state = ("h", "c")
    gates = ("i", "f", "g", "o")

    def __init__(self, shape: Sequence[int], hidden_size: int, kernel_size: int = 3) -> None:
        if not isinstance(shape, (tuple, list)) or len(shape) - 1 not in _CONVOLUTIONS:
            raise DtypeError(
                "shape must be a tuple of channels and one to three axes of places, such as "
                f"(3, 32, 32), got {shape!r}"
            )
        channels, *places = (positive(f"shape[{n}]", size) for n, size in enumerate(shape))
        memory = (positive("hidden_size", hidden_size), *places)
        sizes = {"h": memory, "c": memory}
        super().__init__(tuple(shape), hidden_size, output_size=memory, state_sizes=sizes)
        self.shape = tuple(shape)
        if positive("kernel_size", kernel_size) % 2 == 0:
            raise ArgumentError(f"kernel_size must be odd, got {kernel_size}")
        self.kernel_size = kernel_size
        seen = [kernel_size] * len(places)
        self.W = self._uniform(4 * hidden_size, channels, *seen)
        self.R = self._uniform(4 * hidden_size, hidden_size, *seen)
        self.b = self._uniform(4 * hidden_size)
        self.w_i = self._uniform(*memory)
        self.w_f = self._uniform(*memory)
        self.w_o = self._uniform(*memory)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, C, places], h and c [B, H, places] → h, (h, c)."""
        convolve, edge = _CONVOLUTIONS[x.dim() - 2], self.kernel_size // 2
        z_i, z_f, z, z_o = (
            convolve(x, self.W, self.b, padding=edge) + convolve(h, self.R, padding=edge)
        ).chunk(4, dim=1)
        i, f = torch.sigmoid(z_i + self.w_i * c), torch.sigmoid(z_f + self.w_f * c)
        g = torch.tanh(z)
        c = i * g + f * c
        o = torch.sigmoid(z_o + self.w_o * c)
        h = o * torch.tanh(c)
        return h, (h, c)


class MLSTMCell(Cell):
    """The mLSTM: a matrix C that binds values to keys, with gates that are numbers::

        q, k, v = W_q x + b_q, (W_k x + b_k) / √H, W_v x + b_v
        z_i, z_f = w_i x + a_i, w_f x + a_f
        kept = log σ(z_f) + m_prev
        m = max(kept, z_i)
        i = exp(z_i − m)
        f = exp(kept − m)
        C = f C_prev + i v kᵀ
        n = f n_prev + i k
        h = σ(W_o x + b_o) ⊙ C q / max(|n · q|, exp(−m))

    m keeps the exponentials from overflowing; C and n are the paper's, divided by exp(m). Above and
    below the line of h stands a factor more, exp(m) where m is below 0, lest exp(−m) overflow.

    Source: M. Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS (2024), in its
    stabilised form, with one head and the sigmoid as the forget gate's activation.

    Args:
        input_size: features of one input, I.
        hidden_size: of a key and of a value, H.
        forget_bias: what the forget gate's bias starts with, added to the drawn value.

    Shapes: W [4H, I], b [4H], in the order q k v o; w_i and w_f [1, I], a_i and a_f
    [1]; x [B, I], C [B, H, H], n [B, H], m [B, 1].

    >>> y, state = MLSTMCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.C.shape
    (torch.Size([5, 2]), torch.Size([5, 2, 2]))
    """

    state = ("C", "n", "m")
    gates = ("q", "k", "v", "o")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        square = (positive("hidden_size", hidden_size), hidden_size)
        super().__init__(input_size, hidden_size, state_sizes={"C": square, "m": 1})
        self.forget_bias = number("forget_bias", forget_bias)
        self.W = self._uniform(4 * hidden_size, input_size)
        self.b = self._uniform(4 * hidden_size)
        self.w_i, self.w_f = self._uniform(1, input_size), self._uniform(1, input_size)
        self.a_i, self.a_f = self._uniform(1), self._uniform(1)
        with torch.no_grad():
            self.a_f += forget_bias

    def step(
        self, x: Tensor, C: Tensor, n: Tensor, m: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """One step: x [B, I], C [B, H, H], n [B, H], m [B, 1] → h [B, H], (C, n, m)."""
        q, k, v, z_o = F.linear(x, self.W, self.b).chunk(4, dim=-1)
        z_i, z_f = F.linear(x, self.w_i, self.a_i), F.linear(x, self.w_f, self.a_f)
        k = k / math.sqrt(self.hidden_size)
        kept = F.logsigmoid(z_f) + m
        m = torch.maximum(kept, z_i)
        i, f = torch.exp(z_i - m), torch.exp(kept - m)
        C = f.unsqueeze(2) * C + (i * v).unsqueeze(2) * k.unsqueeze(1)
        n = f * n + i * k
        found = (C * q.unsqueeze(1)).sum(-1)
        scale = torch.exp(m.clamp_max(0))
        weight = torch.maximum(
            scale * (n * q).sum(-1, keepdim=True).abs(), torch.exp(-m.clamp_min(0))
        )
        h = torch.sigmoid(z_o) * scale * found / weight
        return h, (C, n, m)


class DeltaNetCell(Cell):
    """A matrix S that binds values to keys; what a key gives wrongly is corrected::

        q, k, v = W x                           q and k then brought to length 1
        beta = σ(w x + a)
        S = S_prev + beta (v − S_prev k) kᵀ
        y = S q

    Source: I. Schlag, K. Irie and J. Schmidhuber, "Linear Transformers Are Secretly Fast Weight
    Programmers", ICML (2021), the delta rule; q and k are silu(W x) over its length, as in S. Yang
    et al., "Parallelizing Linear Transformers with the Delta Rule over Sequence Length", NeurIPS
    (2024).

    Args:
        input_size: features of one input, I.
        hidden_size: of a key and of a value, H.

    Shapes: W [3H, I], in the order q k v; w [1, I], a [1]; x [B, I], S [B, H, H].

    >>> y, state = DeltaNetCell(3, 2)(torch.ones(5, 3))
    >>> y.shape, state.S.shape
    (torch.Size([5, 2]), torch.Size([5, 2, 2]))
    """

    state = ("S",)
    gates = ("q", "k", "v")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        square = (positive("hidden_size", hidden_size), hidden_size)
        super().__init__(input_size, hidden_size, state_sizes={"S": square})
        self.W = self._uniform(3 * hidden_size, input_size)
        self.w = self._uniform(1, input_size)
        self.a = self._uniform(1)

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, I], S [B, H, H] → y [B, H], (S,)."""
        z_q, z_k, v = F.linear(x, self.W).chunk(3, dim=-1)
        q, k = F.normalize(F.silu(z_q), dim=-1), F.normalize(F.silu(z_k), dim=-1)
        beta = torch.sigmoid(F.linear(x, self.w, self.a))
        error = v - (S * k.unsqueeze(1)).sum(-1)
        S = S + (beta * error).unsqueeze(2) * k.unsqueeze(1)
        y = (S * q.unsqueeze(1)).sum(-1)
        return y, (S,)
