"""A row's result is the same to the bit however it is computed, and whatever compiler did it.

The promise and its limits stand in docs/speed.md, under "The same to the bit".
"""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils._pytree import tree_map

import cello
from cello import zoo
from tests import registry
from tests.effort import FULL
from tests.patience import LIMIT

pytestmark = pytest.mark.optimised

library: Any = importlib.import_module("cello.engines.cpu.library")

I, H, B, T = 7, 21, 11, 6  # noqa: E741 - the sizes that the equations name so
SINGLE, DOUBLE = torch.float32, torch.float64

# One, two, three and four sums with the same inputs, one to three blocks of units; sums over the
# features.
CELLS: dict[str, Callable[[], nn.Module]] = {
    "elman of few": lambda: cello.ElmanCell(I, 5),
    "elman": lambda: cello.ElmanCell(I, H),
    "gru": lambda: cello.GRUCell(I, H),
    "lstm": lambda: cello.LSTMCell(I, H),
    "lstm with norms": lambda: zoo.LayerNormLSTMCell(I, H),
}
FEW, TYPES = list(CELLS), (SINGLE, DOUBLE) if FULL else (SINGLE,)
KINDS = [
    ("elman of few", SINGLE),
    ("elman", DOUBLE),
    ("gru", SINGLE),
    ("lstm", DOUBLE),
    ("lstm with norms", SINGLE),
]
if FULL:
    CELLS |= {f"registry {name}": registry.CELLS[name] for name in registry.ROW_WISE}
    KINDS = list(itertools.product(CELLS, TYPES))

NETS: dict[str, Callable[[], nn.Module]] = {
    "drop-in": lambda: cello.GRU(I, 5, num_layers=2),
    "drop-in, both ways": lambda: cello.LSTM(I, H, bidirectional=True),
    "both ways": lambda: cello.Bidirectional(cello.ElmanCell(I, H)),
    "stack": lambda: cello.Stack(cello.Recurrent(cello.ElmanCell(I, H)), cello.RNN(H, 5)),
}


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""


def layer_of(name: str, dtype: torch.dtype = SINGLE) -> cello.Recurrent:
    torch.manual_seed(1)
    return cello.Recurrent(CELLS[name](), engine="cpu").to(dtype)


def same(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{str(kind[1])[6:]}")
def layer(request: pytest.FixtureRequest) -> cello.Recurrent:
    return layer_of(*request.param)


@pytest.fixture
def x(request: pytest.FixtureRequest) -> Tensor:
    if "layer" not in request.fixturenames:
        return torch.randn(T, B, I)
    layer, (_, dtype) = request.getfixturevalue("layer"), request.node.callspec.params["layer"]
    return registry.x_of(layer.cell, T, B, dtype=dtype)


def rows_of(state: Any, rows: Any, axis: int = 0) -> Any:
    rows = torch.arange(B)[rows]
    return tree_map(lambda part: part.index_select(axis, rows), state)


def lengths_of(rows: int) -> Tensor:
    return torch.arange(rows) % (T + 1)


# ------------------------------------------------------------ how it is called for


@torch.no_grad()
def alone_and_among_others(layer: Any, x: Tensor, axis: int = 0) -> None:
    y, state = layer(x)
    for row in range(B):
        alone = slice(row, row + 1)
        same(layer(x[:, alone]), (y[:, alone], rows_of(state, alone, axis)))
    for many in range(2, B):
        same(layer(x[:, :many]), (y[:, :many], rows_of(state, slice(many), axis)))
    order = torch.randperm(B)
    same(layer(x[:, order]), (y[:, order], rows_of(state, order, axis)))


@torch.no_grad()
def of_many_lengths(layer: Any, x: Tensor, axis: int = 0) -> None:
    lengths = lengths_of(B)
    ragged, ends = layer(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = slice(row, row + 1)
        y, end = layer(x[:length, alone])
        same((ragged[:length, alone], rows_of(ends, alone, axis)), (y, end))
    packed, end = layer(pack_padded_sequence(x[:, 1:T], lengths[1:T], enforce_sorted=False))
    same(pad_packed_sequence(packed, total_length=T)[0], ragged[:, 1:T])
    same(end, rows_of(ends, slice(1, T), axis))


@torch.no_grad()
def test_a_row_that_begins_anew(layer: cello.Recurrent, x: Tensor) -> None:
    reset = torch.rand(T, B) < 0.3
    y, state = layer(x, reset=reset)
    for row in range(B):
        alone = slice(row, row + 1)
        begin = max([0, *reset[:, row].nonzero().flatten().tolist()])
        last, end = layer(x[begin:, alone])
        same((y[begin:, alone], rows_of(state, alone)), (last, end))


@torch.no_grad()
def test_resets_that_are_a_column_of_more() -> None:
    layer, reset = layer_of("elman"), torch.rand(T, B) < 0.4
    x = torch.randn(T, 1, I)
    same(layer(x, reset=reset[:, 3:4]), layer(x, reset=reset[:, 3:4].clone()))


@torch.no_grad()
def in_pieces(layer: Any, x: Tensor) -> None:
    y, state = layer(x)
    first, middle = layer(x[:2])
    second, end = layer(x[2:], middle)
    same((torch.cat([first, second]), end), (y, state))
    for rows in (B, 1):
        stepper = layer.stream(rows)
        same(torch.stack([stepper(now[:rows]) for now in x]), y[:, :rows])


def trained_and_recorded(layer: Any, x: Tensor) -> None:
    with torch.no_grad():
        y, state = layer(x)
    x.requires_grad_()
    trained, recorded = layer(x), cello.record(layer, x).result
    same(trained, (y, state))
    same(recorded, (y, state))
    needed = [x, *(weight for weight in layer.parameters() if weight.requires_grad)]
    losses = [result[0].square().sum() for result in (trained, recorded)]
    same(*(torch.autograd.grad(loss, needed, materialize_grads=True) for loss in losses))


def test_a_row_alone_and_among_any_others(layer: cello.Recurrent, x: Tensor) -> None:
    alone_and_among_others(layer, x)


def test_a_row_that_ends_before_others(layer: cello.Recurrent, x: Tensor) -> None:
    of_many_lengths(layer, x)


def test_in_pieces_and_step_by_step(layer: cello.Recurrent, x: Tensor) -> None:
    in_pieces(layer, x)


def test_trained_and_recorded(layer: cello.Recurrent, x: Tensor) -> None:
    trained_and_recorded(layer, x)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dtype", TYPES)
def test_layers_of_several_cells(name: str, dtype: torch.dtype, x: Tensor) -> None:
    torch.manual_seed(1)
    x, net = x.to(dtype), NETS[name]().to(dtype)
    with cello.engine("cpu"):
        alone_and_among_others(net, x, -2)
        of_many_lengths(net, x, -2)
        trained_and_recorded(net, x.clone())
        if "both ways" not in name:
            in_pieces(net, x)


def test_a_drop_in_and_its_cells(x: Tensor) -> None:
    net = cello.LSTM(I, H)
    y, (h, c) = net(x)
    theirs, state = cello.Recurrent(net.cells()["0"])(x)
    same((y, h[0], c[0]), (theirs, state.h, state.c))


# ------------------------------------------------------------ gradients


def row_gradients(
    layer: cello.Recurrent, x: Tensor, state: Any, weights: Tensor, lengths: Any = None
) -> tuple[Tensor, ...]:
    """The gradients of what rows have of their own: inputs and initial states."""
    x, state = x.clone().requires_grad_(), tree_map(lambda s: s.clone().requires_grad_(), state)
    y, end = layer(x, state, lengths=lengths)
    loss = (y * weights).sum() + sum((part * part).sum() for part in end)
    return torch.autograd.grad(loss, [x, *state], materialize_grads=True)


def test_the_gradients_of_a_row(layer: cello.Recurrent, x: Tensor) -> None:
    y, state = layer(x)
    weights = torch.randn_like(y)
    state = tree_map(torch.randn_like, state)
    whole = row_gradients(layer, x, state, weights)
    order = torch.randperm(B)
    among = row_gradients(layer, x[:, order], rows_of(state, order), weights[:, order])
    same(among, (whole[0][:, order], *rows_of(whole[1:], order)))
    lengths = lengths_of(B)
    ragged = row_gradients(layer, x, state, weights, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = slice(row, row + 1)
        start, part = rows_of(state, alone), weights[:, alone]
        for found, end in ((whole, T), (ragged, length)):
            dx, *begin = row_gradients(layer, x[:end, alone], start, part[:end])
            same((dx, *begin), (found[0][:end, alone], *rows_of(found[1:], alone)))


def test_the_gradients_through_pieces(layer: cello.Recurrent, x: Tensor) -> None:
    x.requires_grad_()
    y, _ = layer(x)
    weights = torch.randn_like(y)
    first, middle = layer(x[:2])
    second, _ = layer(x[2:], middle)
    pieces = torch.cat([first, second])
    same(*(torch.autograd.grad((part * weights).sum(), x) for part in (y, pieces)))


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


@pytest.mark.parametrize(
    ("kind", "dtype", "reverse"),
    [(zoo.MinGRUCell, SINGLE, False), (zoo.IndRNNCell, DOUBLE, True)],
    ids=["minGRU", "IndRNN"],
)
def test_threads_that_share_units_without_waiting(
    kind: Any, dtype: torch.dtype, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each unit goes through time by itself: backward too if x needs no gradient."""
    monkeypatch.setattr(library, "WORTH_A_THREAD", 0)
    torch.manual_seed(2)
    size, steps = 70, 230  # blocks of units for two threads and more, steps for two rounds
    cell = kind(I, size).to(dtype)
    layer = cello.Recurrent(cell, reverse=reverse, engine="cpu")
    plain = cello.Recurrent(cell, reverse=reverse, engine="reference")
    x, reset = torch.randn(steps, 2, I, dtype=dtype), torch.rand(steps, 2) < 0.1
    start = torch.randn(2, size, dtype=dtype).requires_grad_()
    wanted = (start, *cell.parameters())

    def found(layer: Any, rows: int, **options: Any) -> tuple[Tensor, ...]:
        y, (h,) = layer(x[:, :rows], (start[:rows],), **options)
        loss = (y * torch.linspace(-1, 2, y.numel(), dtype=dtype).view_as(y)).sum() + h.sum()
        return y, h, *torch.autograd.grad(loss, wanted)

    for rows, options in [
        (1, {}),
        (1, {"reset": reset[:, :1]}),
        (2, {"lengths": torch.tensor([steps, 40])}),
        (2, {"reset": reset}),
    ]:
        torch.set_num_threads(1)
        alone = found(layer, rows, **options)
        if dtype == DOUBLE:
            torch.testing.assert_close(alone, found(plain, rows, **options))
        with torch.no_grad():
            quiet = layer(x[:, :rows], (start[:rows],), **options)[0]
        same(quiet, alone[0])
        for threads in (2, 4, 7):
            torch.set_num_threads(threads)
            same(found(layer, rows, **options), alone)
            with torch.no_grad():
                same(layer(x[:, :rows], (start[:rows],), **options)[0], quiet)


STRICT = """
import torch
import cello

torch.manual_seed(1)
layer, x = cello.Recurrent(cello.LSTMCell(64, 64), engine="cpu"), torch.randn(100, 16, 64)
found = []
for threads in (1, 2, 3):
    torch.set_num_threads(threads)
    found.append(torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters())))
assert all(torch.equal(one, other) for part in found for one, other in zip(part, found[0]))
"""


@pytest.mark.skipif(
    not torch.backends.mkl.is_available() or "Intel" not in processor(),
    reason="MKL is strict about the order of sums on Intel's processors only",
)
def test_the_gradients_of_weights_with_a_strict_mkl() -> None:
    environment = os.environ | {"MKL_CBWR": "AVX2,STRICT"}
    subprocess.run([sys.executable, "-c", STRICT], check=True, env=environment, timeout=LIMIT)


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
