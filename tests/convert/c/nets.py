"""Nets of every kind that C is made of, with the arguments that they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import cello
from cello.cells import ElmanCell, GRUCell, JordanCell, LSTMCell
from cello.layers import (
    KHot,
    Log,
    OneHot,
    Projection,
    WindowEmbedding,
    WindowProjection,
)

__all__ = ["NETS"]


def _learned() -> nn.Module:
    layer = cello.Recurrent(GRUCell(3, 4), initial_state="learned")
    nn.init.normal_(layer.initial["h"])
    return layer


class Inner(cello.Cell):
    """Whose step calls layers of PyTorch's, with its states as theirs."""

    state = ("h", "c", "g")

    def __init__(self) -> None:
        super().__init__(3, 4, state_sizes={"h": (2, 4), "c": (2, 4), "g": 4})
        self.lstm, self.gru = nn.LSTM(3, 4, num_layers=2), nn.GRU(4, 4)

    def step(self, x: Tensor, h: Tensor, c: Tensor, g: Tensor) -> Any:
        above, state = self.lstm(x[None], (h.transpose(0, 1), c.transpose(0, 1)))
        y, after = self.gru(above, g[None])
        return y[0], (*(part.transpose(0, 1) for part in state), after[0])


class Spike(torch.autograd.Function):
    """1 from 0 on, with the slope of a sigmoid."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Any:
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (v,) = ctx.saved_tensors
        return grad * torch.sigmoid(4 * v)


class Spiking(cello.Cell):
    """A step with a function that has a gradient of its own."""

    state = ("v", "s")

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W, self.R = nn.Linear(3, 4), nn.Linear(4, 4, bias=False)

    def step(self, x: Tensor, v: Tensor, s: Tensor) -> Any:
        v = 0.8 * v + self.W(x) + self.R(s) - 0.5 * s
        s = Spike.apply(v - 0.2)
        return v - s, (v, s)


#: The net, and the arguments of `to_c`.
NETS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "both-ways": (
        lambda: cello.Stack(
            cello.Bidirectional(LSTMCell(3, 5)),
            nn.Dropout(0.5),
            cello.Recurrent(GRUCell(10, 4)),
            nn.Linear(4, 2),
        ),
        {},
    ),
    "mean-and-sum": (
        lambda: cello.Stack(
            cello.Bidirectional(LSTMCell(3, 5), join="mean"),
            cello.Bidirectional(ElmanCell(5, 4), join="sum"),
            nn.Linear(4, 2),
            nn.Tanh(),
        ),
        {},
    ),
    "own-gradient": (lambda: cello.Recurrent(Spiking()), {}),
    "sum": (lambda: cello.Bidirectional(GRUCell(3, 5), join="sum"), {}),
    "lstm": (
        lambda: cello.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2, dropout=0.5),
        {},
    ),
    "torch-lstm": (lambda: nn.LSTM(3, 4, num_layers=2, batch_first=True), {}),
    "reverse": (lambda: cello.Recurrent(LSTMCell(3, 4), reverse=True), {}),
    "learned": (_learned, {}),
    "one-hot": (
        lambda: cello.Stack(
            OneHot(7), cello.Recurrent(JordanCell(7, 6, 5, "tanh", "softmax")), Log()
        ),
        {},
    ),
    "k-hot": (lambda: cello.Stack(KHot(7), cello.LSTM(7, 3), nn.Linear(3, 7)), {"ids": 2}),
    "projection": (
        lambda: cello.Stack(Projection(7, 4), cello.LSTM(4, 3, bidirectional=True)),
        {"ids": 9},
    ),
    "window": (lambda: cello.Stack(WindowEmbedding(7, 4, 3), cello.LSTM(12, 3)), {}),
    "window-projection": (
        lambda: cello.Stack(WindowProjection(9, 4, 3), cello.GRU(12, 3)),
        {"ids": 4},
    ),
    "embedding": (
        lambda: cello.Stack(nn.Embedding(9, 4), cello.GRU(4, 3), nn.Linear(3, 7), nn.Softmax(-1)),
        {},
    ),
    "no-state": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 2)),
        {},
    ),
    "sequential": (lambda: nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4)), {}),
    "cell": (lambda: GRUCell(3, 4), {}),
    "inner": (lambda: cello.Stack(nn.GRU(3, 3), cello.Recurrent(Inner()), nn.Linear(4, 2)), {}),
    "encoder-alone": (lambda: cello.Stack(OneHot(7)), {}),
}
