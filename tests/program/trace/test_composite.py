"""PyTorch's one-step modules and functions inside a step: fused, and equal to the step itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.program import capture
from cello.program.trace.functions import IN_OTHER_WORDS

KINDS: dict[str, Any] = {
    "gru": nn.GRUCell,
    "lstm": nn.LSTMCell,
    "tanh": nn.RNNCell,
    "relu": lambda *sizes, **options: nn.RNNCell(*sizes, nonlinearity="relu", **options),
}


class Inside(cello.Cell):
    """What a decoder does: a cell of PyTorch's with something before and after."""

    state = ("h", "c")

    def __init__(self, kind: str, bias: bool, steps: int = 1) -> None:
        super().__init__(3, 4)
        self.before = nn.Linear(3 + 4, 5)
        self.cells = nn.ModuleList(
            KINDS[kind](5 if number == 0 else 4, 4, bias=bias) for number in range(steps)
        )
        self.has_c = kind == "lstm"

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        inner = torch.relu(self.before(torch.cat([x, h], 1)))
        for cell in self.cells:
            if self.has_c:
                h, c = cell(inner, (h, c))
            else:
                h = cell(inner, h)
            inner = h
        return inner + 1, (h, c)


class Weights(cello.Cell):
    """The function itself, with weights that are computed."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W, self.R = nn.Parameter(torch.randn(12, 3)), nn.Parameter(torch.randn(12, 4))

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.gru_cell(x, h, self.W * 0.5, torch.tanh(self.R))
        return h, (h,)


class Layer(cello.Cell):
    """A layer of PyTorch's that is given one step, or the few that the state remembers."""

    state = ("h", "c", "past")

    def __init__(self, kind: str, *, steps: int = 1, **options: Any) -> None:
        directions = 2 if options.get("bidirectional") else 1
        layers = directions * options.get("num_layers", 1)
        shapes: dict[str, int | tuple[int, ...]] = {"h": (layers, 4), "c": (layers, 4)}
        super().__init__(
            3, 4, output_size=4 * directions, state_sizes=shapes | {"past": (steps, 3)}
        )
        self.inner = getattr(nn, kind)(3, 4, **options)

    def step(self, x: Tensor, h: Tensor, c: Tensor, past: Tensor) -> Any:
        past = torch.cat([past[:, 1:], x.unsqueeze(1)], 1)
        first = self.inner.batch_first
        rows, columns = h.transpose(0, 1).contiguous(), c.transpose(0, 1).contiguous()
        has_c = isinstance(self.inner, nn.LSTM)
        given = (past if first else past.transpose(0, 1), (rows, columns) if has_c else rows)
        y, after = self.inner(*given)
        rows, columns = after if has_c else (after, columns)
        h, c = rows.transpose(0, 1), columns.transpose(0, 1)
        return (y[:, -1] if first else y[-1]), (h, c, past)


class Beginning(cello.Cell):
    """A cell of PyTorch's that is given no state."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.cell = nn.LSTMCell(3, 4)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = h + self.cell(x)[0]
        return h, (h,)


CELLS: dict[str, Any] = {
    **{kind: lambda kind=kind: Inside(kind, bias=True) for kind in KINDS},
    "no bias": lambda: Inside("gru", bias=False),
    "two": lambda: Inside("lstm", bias=True, steps=2),
    "weights": Weights,
    "beginning": Beginning,
    "LSTM": lambda: Layer("LSTM"),
    "GRU": lambda: Layer("GRU", bias=False),
    "RNN": lambda: Layer("RNN", nonlinearity="relu"),
    "two layers": lambda: Layer("GRU", num_layers=2, dropout=0.5).eval(),
    "both ways": lambda: Layer("LSTM", bidirectional=True, num_layers=2, steps=3),
    "batch first": lambda: Layer("RNN", batch_first=True, steps=2),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_engine_runs_it(name: str) -> None:
    dtype = torch.float64 if name == "two" else torch.float32
    cell = CELLS[name]().to(dtype)
    x = torch.randn(6, 3, 3, dtype=dtype, requires_grad=True)
    found = []
    for engine in ("reference", "split", "cpu"):
        layer = cello.Recurrent(cell, engine=engine)
        y, state = layer(x, lengths=[6, 2, 4])
        loss = y.square().sum() + sum(part.sin().sum() for part in state)
        leaves = [x, *cell.parameters()]
        found.append([y, *state, *torch.autograd.grad(loss, leaves, materialize_grads=True)])
    for some in found[1:]:
        for mine, expected in zip(some, found[0], strict=True):
            torch.testing.assert_close(mine, expected)


def test_parameters_are_known_by_their_names() -> None:
    program = capture(Inside("gru", bias=True))
    assert "cells.0.weight_hh" in program.parameters
    assert not program.constants


def test_a_layer_of_one_step_is_written_as_its_cell() -> None:
    class One(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 4)
            self.inner = nn.RNN(3, 4, bias=False)

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            _, h = self.inner(x.unsqueeze(0), h.unsqueeze(0))
            h = h[0]
            return h, (h,)

    names = ("inner.weight_ih_l0 x", "inner.weight_hh_l0 h_prev")
    assert str(cello.equations(One())) == f"h = tanh({names[0]} + {names[1]})"


def test_masks_between_layers_are_those_of_the_step() -> None:
    cell, x = Layer("GRU", num_layers=2, dropout=0.5), torch.randn(5, 2, 3)
    found = []
    for engine in ("reference", "split"):
        torch.manual_seed(3)
        found.append(cello.Recurrent(cell, engine=engine)(x)[0])
    torch.testing.assert_close(*found)


def test_gates_inside_are_fused_into_one_step() -> None:
    layer, x = cello.Recurrent(Inside("gru", bias=True)), torch.randn(5, 2, 3)
    y, _ = layer(x)  # a warning would be an error
    stepper = layer.stream(2)
    assert torch.equal(torch.stack([stepper(x_t) for x_t in x]), y)


B, HEADS = 5, 3
FACTORS = [
    (B, HEADS, 2, 4), (B, 1, 2, 4), (B, HEADS, 1, 4), (B, HEADS, 2, 1), (HEADS, 2, 4), (2, 4),
    (B, 2, 4), (B, 2, HEADS, 2, 4), (2, HEADS, 2, 4), (1, HEADS, 2, 4), (B, 2, 1, 1, 4), (4,),
]  # fmt: skip


def test_products_of_many_axes_are_those_of_pytorch() -> None:
    """Of rows with rows, with tensors that have none, with axes that are stretched."""
    count = 0
    for one in FACTORS:
        for other in FACTORS:
            a = torch.randn(one, dtype=torch.float64)
            b = torch.randn(other, dtype=torch.float64)
            b = b.mT if b.dim() > 1 else b
            try:
                expected = torch.matmul(a, b)
            except RuntimeError:  # axes that do not fit
                continue
            torch.testing.assert_close(IN_OTHER_WORDS[torch.matmul](a, b), expected)
            count += 1
    assert count > 80
    x, W = torch.randn(B, HEADS, 2, 4), torch.randn(6, 4)
    found = IN_OTHER_WORDS[torch._C._nn.linear](x, W, torch.ones(6))
    torch.testing.assert_close(found, torch.nn.functional.linear(x, W, torch.ones(6)))
