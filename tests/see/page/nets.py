"""Nets of every kind that a page must show."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import cello
from cello.see.numbers import short

TEXT = "she said 'yes' and\nleft 'Rome' by train"


class LeakyCell(cello.Cell):
    """A unit that leaks: h' = (1 - a) h + a tanh(W x + R h)."""

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


NETS: dict[str, Callable[[], nn.Module]] = {
    "elman": lambda: cello.Recurrent(cello.ElmanCell(3, 5)),
    "jordan": lambda: cello.Recurrent(cello.JordanCell(3, 5, 2)),
    "bidirectional": lambda: cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4)), nn.Linear(8, 2)
    ),
    "stacked": lambda: cello.LSTM(3, 4, num_layers=2),
    "own": lambda: cello.Recurrent(LeakyCell(3, 6)),
}


def recorded(name: str, length: int = len(TEXT), batch: int = 1) -> cello.Recording:
    net = NETS[name]()
    with torch.no_grad():
        return cello.record(net, torch.randn(length, batch, 3))


def written(value: float, digits: int) -> str:
    """A number as the page writes it: with the minus of the arithmetic."""
    text = short(value, digits)
    return text.replace("-", "−", 1) if text.startswith("-") else text


def colour_ends(values: Tensor) -> tuple[float, float]:
    """The numbers that have the first and the last colour, of values that are no gate."""
    low, high = values.min().item(), values.max().item()
    if low > (high - low) / 2 or -high > (high - low) / 2:  # far from zero
        return low, high
    size = max(abs(low), abs(high), 1e-30)
    return -size, size


def typeset(line: str) -> str:
    """A line of arithmetic as the page writes it."""
    return line.replace("= -", "= −")
