"""A third party's module gets back exactly the state that it returned, in every engine and view."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.cells import as_cell, detach
from cello.engines import ENGINES
from cello.errors import CellError, DtypeError, ShapeError
from tests.cells.strangers import (
    STRANGERS,
    Data,
    H,
    I,
    Kept,
    Named,
    Nested,
    OutputAndDict,
    OutputAndListOfOne,
    OutputAndNamed,
    Pair,
    Stranger,
    by_hand,
    tensors,
)

EACH = pytest.mark.parametrize("kind", STRANGERS, ids=lambda kind: kind.__name__)


def flat(state: Any) -> list[Tensor]:
    return [part.reshape(len(part), -1) for part in tensors(state)]


@EACH
def test_every_engine_runs_the_plain_loop(kind: type[Stranger]) -> None:
    module = kind().double()
    layer = cello.Recurrent(module)
    assert layer.cell.state == tuple(STRANGERS[kind][2].split())
    x = torch.randn(5, 3, I, dtype=torch.float64, requires_grad=True)
    leaves = [x, *module.parameters()]

    def with_gradients(y: Tensor, state: Any) -> list[Tensor]:
        results = [y, *flat(state)]
        loss = torch.stack([result.sin().sum() for result in results]).sum()
        return [*results, *torch.autograd.grad(loss, leaves)]

    expected = with_gradients(*by_hand(module, x))
    for engine in ENGINES:
        with cello.engine(engine):
            found = with_gradients(*layer(x))
            recording = cello.record(layer, x)
        for mine, its in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(recording.output, found[0])
        assert f"{layer.cell.state[0]}_prev" in recording


@EACH
def test_rows_states_and_steps(kind: type[Stranger]) -> None:
    """Lengths, resets, a state that is passed on, one step at a time: each row is its own loop."""
    layer = cello.Recurrent(kind().double())
    x = torch.randn(5, 3, I, dtype=torch.float64)
    y, state = layer(x, lengths=[5, 2, 0])
    for row, length in enumerate((5, 2)):
        alone, final = by_hand(layer.cell.module, x[:length, row : row + 1])
        torch.testing.assert_close(y[:length, row : row + 1], alone)
        for part, its in zip(flat(state), flat(final), strict=True):
            torch.testing.assert_close(part[row], its[0])
    whole, _ = layer(x)
    state = layer(x[:2])[1]
    torch.testing.assert_close(layer(x[2:], state)[0], whole[2:])
    reset = torch.zeros(5, 3, dtype=torch.bool)
    reset[2] = True
    torch.testing.assert_close(layer(x, reset=reset)[0][2:], layer(x[2:])[0])
    stepper = layer.stream(batch_size=3)
    torch.testing.assert_close(torch.stack([stepper(x_t) for x_t in x]), whole)
    both = cello.Bidirectional(kind().double())
    assert both(x)[0].shape == (5, 3, 2 * H)
    there, back = both.forward_layer.cell.module, both.backward_layer.cell.module
    assert not torch.equal(there.R.weight, back.R.weight)  # a fresh one of the same shape


def form_of(state: Any) -> Any:
    """What a state is made of: its classes, its keys, and the shapes of its tensors."""
    if isinstance(state, Tensor):
        return list(state.shape)
    if isinstance(state, dict):
        return type(state), [(key, form_of(part)) for key, part in state.items()]
    if isinstance(state, (tuple, list)):
        return type(state), [form_of(part) for part in state]
    return (type(state), form_of(vars(state))) if isinstance(state, Kept) else state


class Deep(Nested):
    """Its state holds layers before rows too."""

    def forward(self, x: Tensor, state: Any = None) -> Any:
        if state is None:
            state = {"all": Pair(x.new_zeros(2, len(x), H), None)}
        first, second = state["all"].hidden
        first = self.new(x, first)
        second = self.new(x, second + first)
        return second, {"all": Pair(torch.stack([first, second]), None)}


STRUCTURED = {
    Named: lambda row: (Pair, [[*row, H]] * 2),
    OutputAndDict: lambda row: (OrderedDict, [("h", [*row, H]), ("c", [*row, H])]),
    Nested: lambda row: (
        dict,
        [("deep", (list, [(tuple, [[*row, H], None])])), ("m", [*row, 2, 2])],
    ),
    Data: lambda row: (Kept, (dict, [("h", [*row, H]), ("total", row)])),
    Deep: lambda row: (dict, [("all", (Pair, [[2, *row, H], None]))]),
}


@pytest.mark.parametrize("kind", STRUCTURED, ids=lambda kind: kind.__name__)
def test_a_structured_state_goes_out_and_in_as_the_module_has_it(kind: type[Stranger]) -> None:
    layer, x = cello.Recurrent(kind().double()), torch.randn(5, 3, I, dtype=torch.float64)
    whole, final = layer(x)
    assert form_of(final) == STRUCTURED[kind]([3])
    state = layer.cell.module(x[0])[1]  # made by the module alone; Named's is its own second part
    state = layer.cell.module(x[0]) if kind is Named else state
    for engine in ENGINES:
        with cello.engine(engine):
            y, after = layer(x[1:], state)
        assert form_of(after) == form_of(final)
        torch.testing.assert_close(y, whole[1:])
    for part, its in zip(tensors(after), tensors(final), strict=True):
        torch.testing.assert_close(part, its)
    stepper = layer.stream(state=state)
    torch.testing.assert_close(torch.stack([stepper(x_t) for x_t in x[1:]]), whole[1:])
    assert form_of(stepper.state) == form_of(final)
    _, alone = layer(x[:2, 0])
    assert form_of(alone) == STRUCTURED[kind]([])
    torch.testing.assert_close(layer(x[2:, 0], alone)[0], whole[2:, 0])
    assert layer.stream(state=alone)(x[2, 0]).shape == (H,)
    stack = cello.Stack(nn.Identity(), layer)
    torch.testing.assert_close(stack(x[2:], stack(x[:2])[1])[0], whole[2:])
    both = cello.Bidirectional(layer.cell.module)
    assert form_of(both(x)[1].backward) == form_of(final)
    assert both(x, both(x)[1])[0].shape == (5, 3, 2 * H)
    torch.testing.assert_close(cello.record(layer, x[1:], state).output, whole[1:])
    cut = detach(layer(x)[1])
    assert form_of(cut) == form_of(final)
    assert not any(part.requires_grad for part in tensors(cut))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("kind", [Named, Nested, Data])
def test_a_structured_state_in_what_pytorch_writes(kind: type[Stranger], tmp_path: Path) -> None:
    layer, x = cello.Recurrent(kind()), torch.randn(4, 2, I)
    y, final = detach(tuple(layer(x)))
    exported = torch.export.export(layer, (x, final)).module()
    again, after = exported(x, final)
    assert form_of(after) == form_of(final)
    torch.testing.assert_close(again, layer(x, final)[0])
    traced_y, parts = torch.jit.trace(layer, (x,), check_trace=False)(x)
    torch.testing.assert_close(traced_y, y)
    assert isinstance(parts, tuple)
    cello.to_onnx(layer, tmp_path / "net.onnx")  # which proves that the numbers are equal


def test_a_structured_state_of_another_form_is_refused_by_name() -> None:
    layer, x = cello.Recurrent(OutputAndDict()), torch.randn(4, 2, I)
    rows = torch.zeros(2, H)
    torch.testing.assert_close(layer(x, (rows, rows))[0], layer(x)[0])  # by its parts, too
    for state, message in (
        ({"h": rows}, r"state must be as OutputAndDict returns it, OrderedDict.*got dict"),
        ((rows,), r"state must be as OutputAndDict returns it.*got a tuple of 1"),
    ):
        with pytest.raises(DtypeError, match=message):
            layer(x, state)
    with pytest.raises(ShapeError, match=r"state.c must be \[B, 4\], got \[2, 5\]"):
        layer(x, OrderedDict(h=rows, c=torch.zeros(2, 5)))
    with pytest.raises(ShapeError, match=r"state.h must be \[2, 4\], got \[3, 4\]"):
        layer(x, OrderedDict(h=torch.zeros(3, H), c=torch.zeros(3, H)))


@pytest.mark.parametrize("kind", [OutputAndListOfOne, OutputAndNamed, Nested])
def test_saved_drawn_and_explained(kind: type[Stranger], tmp_path: Path) -> None:
    layer = cello.Recurrent(kind())
    x = torch.randn(3, 2, I)
    cello.save_model(layer, tmp_path / "model")
    again = cello.load_model(tmp_path / "model", cells=[kind])
    assert torch.equal(again(x)[0], layer(x)[0])
    recording = cello.record(layer, x)
    assert layer.cell.state[0] in str(recording.explain(t=1))
    assert cello.draw(layer.cell, recording=recording, t=1).svg.startswith("<svg")
    recording.to_html(tmp_path / "page.html")
    recording.save(tmp_path / "recording")
    assert torch.equal(cello.load_recording(tmp_path / "recording").output, recording.output)
    assert torch.equal(copy.deepcopy(layer)(x)[0], layer(x)[0])


def test_trying_leaves_the_module_as_it_was() -> None:
    class Counted(Stranger):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(H)
            self.calls = 0

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            self.calls += 1
            return self.norm(self.new(x, h))

    module = Counted()
    before = copy.deepcopy(module.state_dict())
    random = torch.get_rng_state()
    assert as_cell(module).state == ("h",)
    assert module.calls == 0
    assert module.training
    assert all(map(torch.equal, module.state_dict().values(), before.values()))
    assert torch.equal(torch.get_rng_state(), random)


def test_weights_that_are_computed() -> None:
    """Such a module cannot be copied, and is tried itself."""
    kind = next(iter(STRANGERS))
    module = kind()
    nn.utils.parametrizations.weight_norm(module.R, "weight")
    layer, x = cello.Recurrent(module), torch.randn(4, 2, I)
    torch.testing.assert_close(layer(x)[0], by_hand(module, x)[0])


def test_a_state_of_its_own_at_the_beginning_is_told() -> None:
    class Begins(Stranger):
        def __init__(self) -> None:
            super().__init__()
            self.start = nn.Parameter(torch.ones(H))

        def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
            return self.new(x, self.start.expand(len(x), -1) if h is None else h)

    with pytest.warns(UserWarning, match=r"Begins begins with a state of its own") as caught:
        layer = cello.Recurrent(Begins())
    assert caught[0].filename == __file__
    x = torch.randn(4, 2, I)
    y, _ = layer(x, (layer.cell.module.start.expand(2, -1),))
    torch.testing.assert_close(y[0], layer.cell.module(x[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in STRANGERS:
            as_cell(kind())


def test_what_can_be_read_in_two_ways_is_refused() -> None:
    class TwoFaced(Stranger):
        def forward(self, x: Tensor, state: Any = None) -> Any:
            a, b = state if isinstance(state, tuple) else (state, state)
            a, b = (x.new_zeros(len(x), H) if part is None else part for part in (a, b))
            return self.new(x, a), self.new(x, b) + 1

    with pytest.raises(CellError, match=r"can be read as `output, state` or `state`.*cello.Cell"):
        as_cell(TwoFaced())


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda h: (h, 3), "must be made of tensors, it holds int"),
        (lambda h: (h, (h, len(h))), "must be made of tensors, it holds int"),
        (lambda h: h[None, None], r"must be \[B, …\] or \[layers, B, …\], not \[1, 1, B, 4\]"),
        (lambda h: (h, h > 0), "must have the dtype of x, torch.float32, not torch.bool"),
        (lambda h: (h.sum(), h), r"an output must be \[B, size\], not \[\]"),
    ],
)
def test_states_that_cannot_be_carried(returned: Any, message: str) -> None:
    class Odd(Stranger):
        def forward(self, x: Tensor, state: Any) -> Any:
            return returned(self.W(x))

    with pytest.raises(CellError, match=message):
        as_cell(Odd())


def test_a_state_that_changes_its_form_is_told() -> None:
    class Turning(Stranger):
        turned = False

        def forward(self, x: Tensor, state: Any) -> Any:
            h = self.new(x, state[0])
            return h, ((h,) if self.turned else [h])

    layer = cello.Recurrent(Turning(), engine="reference")
    layer.cell.module.turned = True
    with pytest.raises(CellError, match=r"in one form, first it was \[0\], now it is \(0,\)"):
        layer(torch.randn(2, 1, I))


@pytest.mark.parametrize("kind", [OutputAndNamed, OutputAndDict, Nested])
def test_in_a_graph_of_the_compiler(kind: type[Stranger]) -> None:
    layer, x = cello.Recurrent(kind(), engine="reference"), torch.randn(3, 2, I)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x)[0], layer(x)[0])


class Layers(nn.Module):
    """Keeps its state as PyTorch's layers do, [layers, B, H]: with one of them inside, or cells."""

    input_size, hidden_size = 3, 4

    def __init__(self, kind: str) -> None:
        super().__init__()
        made = {"gru": nn.GRU(3, 4), "lstm": nn.LSTM(3, 4, 2)}
        sizes = ((3, 4), (4, 4))
        self.inner = made.get(kind) or nn.ModuleList(nn.GRUCell(*size) for size in sizes)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        if not isinstance(self.inner, nn.ModuleList):
            y, state = self.inner(x.unsqueeze(0), state)
            return y.squeeze(0), state
        state = x.new_zeros(2, len(x), 4) if state is None else state
        new = []
        for cell, h in zip(self.inner, state, strict=True):
            x = cell(x, h)
            new.append(x)
        return x, torch.stack(new)


@pytest.mark.filterwarnings("ignore::cello.engines.EngineWarning")
@pytest.mark.parametrize("kind", ["gru", "lstm", "cells"])
def test_a_state_may_have_its_layers_before_its_rows(kind: str) -> None:
    module = Layers(kind).double()
    layer = cello.Recurrent(module)
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    state, outputs = None, []
    for x_t in x:
        y, state = module(x_t, state)
        outputs.append(y)
    y, final = layer(x)
    torch.testing.assert_close(y, torch.stack(outputs))
    parts = state if isinstance(state, tuple) else (state,)
    for mine, own in zip(final, parts, strict=True):
        torch.testing.assert_close(mine, own.transpose(0, 1).flatten(1))
    short, _ = layer(x, lengths=torch.tensor([2, 5, 0]))
    torch.testing.assert_close(short[:2, 0], y[:2, 0])
    again, _ = layer(x[2:], layer(x[:2])[1])
    torch.testing.assert_close(again, y[2:])
    stepper = layer.stream(3)
    torch.testing.assert_close(torch.stack([stepper(x_t) for x_t in x]), y)
