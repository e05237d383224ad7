"""A row's result is the same to the bit however it is computed, and whatever compiler did it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import cello
from cello import zoo
from tests.engines.cpu.compilers import COMMANDS

library: Any = importlib.import_module("cello.engines.cpu.library")

I, H, B, T = 7, 21, 11, 6  # noqa: E741 - the sizes that the equations name so

# One, two, three and four sums with the same inputs; sums over the features.
CELLS: dict[str, Callable[[], cello.Cell]] = {
    "elman of few": lambda: cello.ElmanCell(I, 5),
    "elman": lambda: cello.ElmanCell(I, H),
    "gru": lambda: cello.GRUCell(I, H),
    "lstm with norms": lambda: zoo.LayerNormLSTMCell(I, H),
}


def layer_of(name: str) -> cello.Recurrent:
    torch.manual_seed(1)
    return cello.Recurrent(CELLS[name](), engine="cpu")


def same(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.fixture(params=CELLS)
def layer(request: pytest.FixtureRequest) -> cello.Recurrent:
    return layer_of(request.param)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(T, B, I)


def rows_of(state: Any, rows: Any) -> Any:
    return type(state)(*(part[rows] for part in state))


@torch.no_grad()
def test_a_row_alone_and_among_any_others(layer: cello.Recurrent, x: Tensor) -> None:
    y, state = layer(x)
    for row in range(B):
        same(layer(x[:, row : row + 1]), (y[:, row : row + 1], rows_of(state, [row])))
    for many in range(2, B):
        same(layer(x[:, :many]), (y[:, :many], rows_of(state, slice(many))))
    order = torch.randperm(B)
    same(layer(x[:, order]), (y[:, order], rows_of(state, order)))


@torch.no_grad()
def test_a_row_that_ends_before_others(layer: cello.Recurrent, x: Tensor) -> None:
    y, _ = layer(x)
    lengths = torch.arange(B) % (T + 1)
    ragged, ends = layer(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        same(ragged[:length, row], y[:length, row])
        same(rows_of(ends, row), rows_of(layer(x[:length, row : row + 1])[1], 0))


@torch.no_grad()
def test_in_pieces_and_step_by_step(layer: cello.Recurrent, x: Tensor) -> None:
    y, state = layer(x)
    first, middle = layer(x[:2])
    second, end = layer(x[2:], middle)
    same((torch.cat([first, second]), end), (y, state))
    for row in (slice(B), slice(1)):
        stepper = layer.stream(len(x[0, row]))
        same(torch.stack([stepper(now[row]) for now in x]), y[:, row])


def test_trained_and_recorded(layer: cello.Recurrent, x: Tensor) -> None:
    with torch.no_grad():
        y, state = layer(x)
    same(layer(x.requires_grad_()), (y, state))
    same(cello.record(layer, x).result, (y, state))


def gradients(layer: cello.Recurrent, x: Tensor, **options: Any) -> tuple[Tensor, ...]:
    """Outputs, and the gradients of the input and of all parameters."""
    x = x.clone().requires_grad_()
    y, state = layer(x, **options)
    loss = (y * torch.linspace(-1, 2, y.numel()).view_as(y)).sum() + state[0].square().sum()
    return y, *torch.autograd.grad(loss, (x, *layer.parameters()))


@pytest.mark.parametrize("rows", [B, 2], ids=["rows", "units of rows"])
def test_on_any_number_of_threads(
    layer: cello.Recurrent, x: Tensor, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more threads than rows, several share the units of one."""
    monkeypatch.setattr(library, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(library, "WORTH_SHARING", 0)
    x = x[:, :rows]
    alone = gradients(layer, x)
    for threads in (2, 3, 5):
        torch.set_num_threads(threads)
        same(gradients(layer, x), alone)


@pytest.mark.parametrize("rows", [B, 2], ids=["rows", "units of rows"])
def test_a_learned_initial_state_on_any_number_of_threads(
    rows: int, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that begin anew add to its gradient, at whatever step and on whatever thread."""
    monkeypatch.setattr(library, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(library, "WORTH_SHARING", 0)
    x, reset, layers = x[:, :rows], torch.rand(T, rows) < 0.4, []
    for engine in ("cpu", "reference"):
        torch.manual_seed(1)
        cell = cello.GRUCell(I, H)
        layers.append(cello.Recurrent(cell, initial_state="learned", engine=engine))
    layer, reference = layers
    with torch.no_grad():
        for one, other in zip(layer.parameters(), reference.parameters(), strict=True):
            other.copy_(one.normal_(std=0.3))
    for lengths in (None, torch.arange(rows) % (T + 1)):
        alone = gradients(layer, x, reset=reset, lengths=lengths)
        close = gradients(reference, x, reset=reset, lengths=lengths)
        torch.testing.assert_close(alone, close, rtol=1e-4, atol=1e-4)
        for threads in (2, 3, 5):
            torch.set_num_threads(threads)
            same(gradients(layer, x, reset=reset, lengths=lengths), alone)
        torch.set_num_threads(1)


@pytest.mark.parametrize("rows", [B, 2], ids=["rows", "units of rows"])
def test_known_outputs_that_are_fed_back_on_any_number_of_threads(
    rows: int, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their gradients are cut off at the step they come from, whichever thread has the row."""
    monkeypatch.setattr(library, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(library, "WORTH_SHARING", 0)
    cell, x = cello.JordanCell(I, H, 5), x[:, :rows]
    targets = torch.randn(T, rows, 5, requires_grad=True)

    def found(engine: str, lengths: Tensor | None) -> tuple[Tensor, ...]:
        layer = cello.Recurrent(cell, engine=engine)
        y, _ = layer(x, targets=targets, lengths=lengths)
        return y, *torch.autograd.grad(y.square().sum(), [targets, *cell.parameters()])

    for lengths in (None, T - torch.arange(rows) % T):
        alone = found("cpu", lengths)
        torch.testing.assert_close(alone, found("reference", lengths), rtol=1e-4, atol=1e-4)
        for threads in (2, 3, 5):
            torch.set_num_threads(threads)
            same(found("cpu", lengths), alone)
        torch.set_num_threads(1)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_compiler_gives_the_same_bits(
    command: str, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = gradients(layer_of("gru"), x)
    monkeypatch.setenv("CC", command)
    layer = layer_of("gru")
    same(gradients(layer, x), usual)
    test_a_row_alone_and_among_any_others(layer, x)
