"""Networks that the tests save and build again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import cello


class Leaky(cello.Cell):
    """A user's cell with a module as an argument."""

    state = ("h",)

    def __init__(self, input_size: int, hidden_size: int, squash: nn.Module, rate: float = 0.5):
        super().__init__(input_size, hidden_size)
        self.squash = squash
        self.rate = rate
        self.W = nn.Linear(input_size, hidden_size)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = (1 - self.rate) * h + self.rate * self.squash(self.W(x))
        return h, (h,)


class Encoder(nn.Module):
    """A user's module that reads ids, with a buffer that is not saved."""

    one: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.register_buffer("one", torch.ones(()), persistent=False)

    def config(self) -> dict[str, Any]:
        return {"size": self.size}

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.one_hot(ids, self.size) * self.one


class Counter(nn.Module):
    """A third-party cell, called as cell(x, state) -> state."""

    def __init__(self, input_size: int):
        super().__init__()
        self.input_size = self.hidden_size = input_size
        self.gain = nn.Parameter(torch.ones(input_size))

    def config(self) -> dict[str, Any]:
        return {"input_size": self.input_size}

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.gain * x if h is None else h + self.gain * x


OWN = (Leaky, Encoder, Counter)


def all_nets() -> dict[str, nn.Module]:
    """One of everything, by name; each takes x [T, B, 3], but for those that read ids."""
    return {
        "recurrent": cello.Recurrent(cello.ElmanCell(3, 4, "relu", bias=False), reverse=True),
        "learned": cello.Recurrent(
            cello.GRUCell(3, 4, reset_after=False), initial_state="learned", batch_first=True
        ),
        "bidirectional": cello.Bidirectional(
            cello.ElmanCell(3, 4), cello.LSTMCell(3, 4, peephole=True), join="mean"
        ),
        "jordan": cello.Recurrent(cello.JordanCell(3, 4, 2, output_activation="softmax")),
        "lstm cell": cello.Recurrent(
            cello.LSTMCell(3, 4, "hard_sigmoid", "identity", "relu", projection_size=2)
        ),
        "torch cells": cello.Stack(
            cello.Recurrent(nn.RNNCell(3, 4, nonlinearity="relu")),
            cello.Recurrent(nn.LSTMCell(4, 5, bias=False)),
            cello.Recurrent(nn.GRUCell(5, 4)),
        ),
        "RNN": cello.RNN(3, 4, 2, nonlinearity="relu", bias=False),
        "LSTM": cello.LSTM(3, 4, 2, bidirectional=True, dropout=0.25),
        "GRU": cello.GRU(3, 4, batch_first=True),
        "mixed": cello.Stack(
            cello.Bidirectional(cello.LSTMCell(3, 4)),
            nn.Dropout(0.1),
            nn.Sequential(nn.Linear(8, 3, bias=False), nn.LayerNorm(3), nn.LeakyReLU(0.2)),
            cello.Recurrent(cello.JordanCell(3, 4, output_size=2)),
        ),
        "ids": cello.Stack(nn.Embedding(9, 3, padding_idx=0), cello.GRU(3, 4)),
        "own": cello.Stack(
            Encoder(3), cello.Recurrent(Leaky(3, 4, nn.Tanh(), rate=0.25)), nn.Linear(4, 2)
        ),
        "foreign": cello.Recurrent(Counter(3)),
        "activations": cello.Stack(
            cello.Recurrent(cello.ElmanCell(3, 3)),
            *(nn.Hardtanh(-2.0, 2.0), nn.ELU(0.5), nn.GELU("tanh"), nn.SiLU(), nn.Softplus(2.0)),
            *(nn.Softsign(), nn.Hardsigmoid(), nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Identity()),
            *(nn.Softmax(-1), nn.LogSoftmax(-1)),
        ),
    }


def input_for(name: str) -> Tensor:
    if name in ("ids", "own"):
        return torch.tensor([[1, 2], [0, 1], [2, 2], [1, 0]])
    return torch.randn(4, 2, 3)
