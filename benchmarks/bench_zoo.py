"""Every cell of the library and of its zoo against a plain PyTorch loop over the same step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

import cello
from benchmarks.case import Case, Group
from benchmarks.loops import plain_loop
from benchmarks.passes import allowed, backward, sizes_of
from cello import zoo

SIZES: list[tuple[tuple[int, int, int], float]] = [  # B, T, H, and the aim for the mean ratio
    ((1, 100, 32), 50.0),
    ((16, 100, 64), 10.0),
    ((32, 100, 128), 3.0),
]
QUICK = ("LSTMCell", "GRUCell", "JordanCell", "LayerNormLSTMCell", "SLSTMCell")

OURS: dict[str, Callable[[int], cello.Cell]] = {
    "ElmanCell": lambda size: cello.ElmanCell(size, size),
    "ElmanCell, relu": lambda size: cello.ElmanCell(size, size, "relu"),
    "JordanCell": lambda size: cello.JordanCell(size, size, output_size=size),
    "LSTMCell": lambda size: cello.LSTMCell(size, size),
    "LSTMCell, peephole": lambda size: cello.LSTMCell(size, size, peephole=True),
    "LSTMCell, projection": lambda size: cello.LSTMCell(size, size, projection_size=size // 2),
    "GRUCell": lambda size: cello.GRUCell(size, size),
    "GRUCell, reset before": lambda size: cello.GRUCell(size, size, reset_after=False),
}
# What a cell of the zoo needs besides its sizes.
MORE: dict[str, dict[str, Any]] = {
    "ClockworkCell": {"periods": (1, 2, 4, 8)},
    "SCRNCell": {"context_size": 16},
}


def cells() -> dict[str, Callable[[int], cello.Cell]]:
    """All cells by name, made from H; the input has H features too."""
    published = {
        name: partial(_of_the_zoo, kind, MORE.get(name, {}))
        for name in zoo.__all__
        if isinstance(kind := getattr(zoo, name), type) and issubclass(kind, cello.Cell)
    }
    return OURS | published


def _of_the_zoo(kind: Callable[..., cello.Cell], more: dict[str, Any], size: int) -> cello.Cell:
    return kind(size, size, **more)


def plain(cell: Any, x: Tensor) -> Callable[[], Any]:
    """Forward and backward of the plain loop."""
    return backward(partial(plain_loop, cell), cell, x)


def cases() -> Iterator[Case]:
    for (batch, steps, hidden), least_mean in SIZES:
        for name, make in cells().items():
            torch.manual_seed(0)
            # In evaluation, where no cell draws random numbers: the two sides would draw others.
            cell = make(hidden).eval()
            x = torch.randn(steps, batch, hidden)
            yield Case(
                name,
                backward(cello.Recurrent(cell), cell, x.clone()),
                plain(cell, x.clone()),
                sizes_of(x),
                rtol=1e-4,
                atol=partial(allowed, plain, cell, x.clone()),
                group=Group(f"B {batch}, T {steps}, H {hidden}", least_mean),
                quick=name in QUICK and batch < 32,
            )
