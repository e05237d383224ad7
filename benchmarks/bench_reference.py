"""cello.Recurrent without a compiler, on each engine, against a plain loop over the same cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

import cello
from benchmarks.case import Case
from benchmarks.loops import plain_loop
from benchmarks.passes import Aims, two_passes

SIZES = [(1, 100, 32), (32, 50, 128)]  # B, T, H
AIMS = (Aims(least_ratio=0.95), Aims(least_ratio=0.95))


class LeakyCell(cello.Cell):
    """A cell as a user writes it: h' = (1 - a) * h + a * tanh(W x + R h + b)."""

    state = ("h",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = nn.Linear(input_size, hidden_size)
        self.A = nn.Linear(input_size, hidden_size)
        self.R = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a = torch.sigmoid(self.A(x))
        g = torch.tanh(self.W(x) + self.R(h))
        h = (1 - a) * h + a * g
        return h, (h,)


CELLS: dict[str, Callable[[int], cello.Cell]] = {
    "ElmanCell": lambda size: cello.ElmanCell(size, size),
    "JordanCell": lambda size: cello.JordanCell(size, size, output_size=size // 2),
    "LSTMCell": lambda size: cello.LSTMCell(size, size),
    "GRUCell": lambda size: cello.GRUCell(size, size),
    "a user's cell": lambda size: LeakyCell(size, size),
}


def cases() -> Iterator[Case]:
    for engine in ("reference", "split"):
        for name, make in CELLS.items():
            for batch, steps, hidden in SIZES:
                cell = make(hidden)
                yield from two_passes(
                    f"{name}, {engine},",
                    (cello.Recurrent(cell, engine=engine), cell),
                    (partial(plain_loop, cell), cell),
                    torch.randn(steps, batch, hidden),
                    AIMS,
                )
