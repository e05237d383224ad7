"""Every cell of the library and of its zoo against a plain PyTorch loop over the same step.

Among them are a matrix as the memory, maps, several inputs a step; and, written here, a cell with
PyTorch's own inside and a module of somebody else's whose state is a dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import cello
from benchmarks.case import Case, Group
from benchmarks.loops import plain_loop
from benchmarks.passes import allowed, backward, sizes_of
from cello import zoo
from cello.cells.contract.shapes import is_several, shape_of, width_of

SIZES: list[tuple[tuple[int, int, int], float]] = [  # B, T, H, and the aim for the mean ratio
    ((1, 100, 32), 50.0),
    ((16, 100, 64), 12.0),
    ((32, 100, 128), 5.0),
]
QUICK = (
    *("LSTMCell", "GRUCell", "JordanCell", "LayerNormLSTMCell", "SLSTMCell"),
    *("ConvLSTMCell", "DeltaNetCell", "GRUDCell", "LIFCell", "S6Cell"),
    *("nn.GRUCell inside", "a dict as the state"),
)


class Inside(cello.Cell):
    """PyTorch's own cell inside of a step, beside a slow trace."""

    state = ("h", "trace")

    def __init__(self, size: int) -> None:
        super().__init__(size, size)
        self.inner = nn.GRUCell(size, size)

    def step(self, x: Tensor, h: Tensor, trace: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h = self.inner(x, h)
        trace = 0.9 * trace + 0.1 * h
        return h - trace, (h, trace)


class DictState(nn.Module):
    """A module of somebody else's, called as `module(x, state)`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.input_size = self.hidden_size = size
        self.mix = nn.Linear(2 * size, 2 * size)

    def forward(self, x: Tensor, state: dict[str, Tensor] | None = None) -> Any:
        state = state or {name: torch.zeros_like(x) for name in ("fast", "slow")}
        new, rate = self.mix(torch.cat([x, state["fast"]], dim=1)).chunk(2, dim=1)
        slow = state["slow"] + torch.sigmoid(rate) * (torch.tanh(new) - state["slow"])
        fast = torch.tanh(new + slow)
        return fast, {"fast": fast, "slow": slow}


OURS: dict[str, Callable[[int], cello.Cell]] = {
    "ElmanCell": lambda size: cello.ElmanCell(size, size),
    "ElmanCell, relu": lambda size: cello.ElmanCell(size, size, "relu"),
    "JordanCell": lambda size: cello.JordanCell(size, size, output_size=size),
    "LSTMCell": lambda size: cello.LSTMCell(size, size),
    "LSTMCell, peephole": lambda size: cello.LSTMCell(size, size, peephole=True),
    "LSTMCell, projection": lambda size: cello.LSTMCell(size, size, projection_size=size // 2),
    "GRUCell": lambda size: cello.GRUCell(size, size),
    "GRUCell, reset before": lambda size: cello.GRUCell(size, size, reset_after=False),
    "nn.GRUCell inside": Inside,
    "a dict as the state": lambda size: cello.Recurrent(DictState(size)).cell,
}
# How a cell of the zoo is made where its sizes alone do not do. The input has H numbers, whatever
# its parts are.
GIVEN: dict[str, Callable[[int], cello.Cell]] = {
    "CfCCell": lambda size: zoo.CfCCell(size - 1, size),
    "ClockworkCell": lambda size: zoo.ClockworkCell(size, size, periods=(1, 2, 4, 8)),
    "ConvLSTMCell": lambda size: zoo.ConvLSTMCell((size // 8, 8), size // 8),
    "DeltaNetCell": lambda size: zoo.DeltaNetCell(size, 16),
    "GRUDCell": lambda size: zoo.GRUDCell(size // 3, size),
    "LTCCell": lambda size: zoo.LTCCell(size - 1, size),
    "MCLSTMCell": lambda size: zoo.MCLSTMCell(size - 1, size),
    "MLSTMCell": lambda size: zoo.MLSTMCell(size, 16),
    "PhasedLSTMCell": lambda size: zoo.PhasedLSTMCell(size - 1, size),
    "S6Cell": lambda size: zoo.S6Cell(size, 4),
    "SCRNCell": lambda size: zoo.SCRNCell(size, size, context_size=16),
}


def cells() -> dict[str, Callable[[int], cello.Cell]]:
    """All cells by name, made from H; the input has H features too."""
    published = {name: GIVEN.get(name, partial(_of_the_zoo, name)) for name in zoo.__all__}
    return OURS | published


def _of_the_zoo(name: str, size: int) -> cello.Cell:
    cell: cello.Cell = getattr(zoo, name)(size, size)
    return cell


def input_of(cell: cello.Cell, *rows: int) -> Tensor:
    """A random x of the cell; parts of several are side by side, and none is below 0."""
    size = cell.input_size
    if is_several(size):
        return torch.rand(*rows, width_of(size))
    return torch.randn(*rows, *shape_of(size))


def plain(cell: Any, x: Tensor) -> Callable[[], Any]:
    """Forward and backward of the plain loop."""
    return backward(partial(plain_loop, cell), cell, x)


def cases() -> Iterator[Case]:
    for (batch, steps, hidden), least_mean in SIZES:
        for name, make in cells().items():
            torch.manual_seed(0)
            # In evaluation, where no cell draws random numbers: the two sides would draw others.
            cell = make(hidden).eval()
            x = input_of(cell, steps, batch)
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
