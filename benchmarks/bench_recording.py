"""Recording every named value of every step against the plain forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import cello
from benchmarks.case import Case
from benchmarks.passes import by_place, forward, sizes_of

MOST_TIMES = 1.4
CELLS: dict[str, Callable[[int], cello.Cell]] = {
    "LSTMCell": lambda size: cello.LSTMCell(size, size),
    "GRUCell": lambda size: cello.GRUCell(size, size),
}


def cases() -> Iterator[Case]:
    for name, make in CELLS.items():
        cell = make(128)
        layer = cello.Recurrent(cell)
        x = torch.randn(100, 32, 128)
        for what, only in (("all gates", cell.gates), ("all values", None)):
            yield Case(
                f"{name}, {what} recorded | plain",
                forward(_recording(layer, only), x),
                forward(layer, x),
                sizes_of(x),
                compared=(lambda recording: by_place(recording.result), by_place),
                most_times=MOST_TIMES if only else None,
            )


def _recording(layer: cello.Recurrent, only: Any) -> Callable[[Tensor], cello.Recording]:
    return lambda x: cello.record(layer, x, only=only)
