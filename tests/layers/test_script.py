"""`torch.jit.trace` of layers: what it makes runs at any size, or says at which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cello
from cello.engines import EngineWarning
from cello.errors import EngineError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

LAYERS: dict[str, Any] = {
    "recurrent": lambda: cello.Recurrent(cello.GRUCell(3, 4)),
    "forced": lambda: cello.Recurrent(cello.ElmanCell(3, 4), engine="cpu"),
    "learned, reverse": lambda: cello.Recurrent(
        cello.JordanCell(3, 4, 2), reverse=True, initial_state="learned"
    ),
    "bidirectional": lambda: cello.Bidirectional(cello.LSTMCell(3, 4), batch_first=True),
    "stack": lambda: cello.Stack(
        nn.Linear(3, 5), cello.LSTM(5, 4), cello.Stack(cello.Recurrent(cello.GRUCell(4, 2)))
    ),
    "lstm": lambda: cello.LSTM(3, 4, num_layers=2, bidirectional=True),
    "gru": lambda: cello.GRU(3, 4, batch_first=True),
}


def tensors(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    return [part for some in found or () for part in tensors(some)]


def equal(ours: Any, theirs: Any) -> None:
    ours, theirs = tensors(ours), tensors(theirs)
    assert len(ours) == len(theirs) > 1
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_a_traced_layer_runs_at_any_size(name: str) -> None:
    layer = LAYERS[name]()
    traced = torch.jit.trace(layer, torch.randn(5, 2, 3))
    for shape in ((5, 2, 3), (7, 2, 3), (5, 4, 3), (2, 5, 3), (1, 1, 3), (0, 2, 3), (3, 0, 3)):
        x = torch.randn(shape)
        equal(traced(x), layer(x))
    x = torch.randn(4, 3, 3)
    gradients = []
    for module in (layer, traced):
        layer.zero_grad()
        module(x)[0].square().sum().backward()
        gradients.append([p.grad for p in layer.parameters()])
    equal(*gradients)


class Given(nn.Module):
    """Passes on by name what a tracer takes by position."""

    def __init__(self, layer: nn.Module, *names: str) -> None:
        super().__init__()
        self.layer, self.names = layer, names

    def forward(self, x: Tensor, *given: Tensor) -> Any:
        return self.layer(x, **dict(zip(self.names, given, strict=True)))


class Packs(nn.Module):
    """Packs what it is given, as many models do inside."""

    def __init__(self, layer: nn.Module, enforce_sorted: bool = True) -> None:
        super().__init__()
        self.layer, self.enforce_sorted = layer, enforce_sorted

    def forward(self, x: Tensor, lengths: Tensor) -> Any:
        packed = pack_padded_sequence(x, lengths, enforce_sorted=self.enforce_sorted)
        y, state = self.layer(packed)
        return y.data * packed.data.sum(), pad_packed_sequence(y)[0], state


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "stack"])
def test_what_is_packed_inside_has_the_lengths_of_each_call(name: str, is_sorted: bool) -> None:
    model = Packs(LAYERS[name](), is_sorted)
    lengths = torch.tensor([5, 3, 3, 1])
    traced = torch.jit.trace(model, (torch.randn(5, 4, 3), lengths))
    for T, of_each in ((5, [5, 5, 2]), (7, [7, 3, 3, 3, 1]), (4, [4]), (3, [3, 3])):
        given = torch.tensor(of_each if is_sorted else of_each[1:] + of_each[:1])
        x = torch.randn(T, len(given), 3)
        equal(traced(x, given), model(x, given))


@pytest.mark.parametrize("name", ["recurrent", "bidirectional", "stack", "lstm"])
def test_lengths_and_resets_are_those_of_each_call(name: str) -> None:
    model = Given(LAYERS[name](), "lengths", "reset")
    first = name == "bidirectional"

    def given(T: int, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        x, reset = torch.randn(T, len(lengths), 3), torch.rand(T, len(lengths)) < 0.4
        if first:
            x, reset = x.transpose(0, 1), reset.T
        return x, torch.tensor(lengths), reset

    traced = torch.jit.trace(model, given(5, [5, 2, 3]))
    for arguments in (given(5, [1, 5, 0]), given(4, [2, 4]), given(6, [6])):
        equal(traced(*arguments), model(*arguments))
    with pytest.raises(Exception, match="lengths must lie between 0 and T = 4"):
        traced(*given(4, [9, 1]))


def test_tracing_leaves_nothing_behind() -> None:
    layer = cello.Recurrent(cello.LSTMCell(3, 4), engine="cpu")
    torch.jit.trace(layer, torch.randn(5, 2, 3))
    x = torch.randn(4, 3, 3)
    y, _ = layer(x)
    torch.testing.assert_close(y, cello.Recurrent(layer.cell, engine="reference")(x)[0])
    assert cello.record(layer, x)["f"].shape == (4, 3, 4)


class Sorts(cello.Cell):
    """A step that no compiled loop has."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(self.W(x) + h).sort(-1).values
        return h, (h,)


class Decides(Sorts):
    """A step that no tracer can follow."""

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(self.W(x) + h) if float(x.sum()) < 1e9 else h
        return h, (h,)


@pytest.mark.parametrize("engine", ["reference", "split"])
def test_steps_one_after_another_run_at_one_size(engine: str) -> None:
    layer = cello.Recurrent(Sorts(), engine=engine)
    traced = torch.jit.trace(layer, torch.randn(6, 2, 3))
    x = torch.randn(6, 2, 3)
    equal(traced(x), layer(x))
    for shape in ((7, 2, 3), (6, 3, 3), (4, 3, 3), (12, 1, 3), (0, 2, 3)):
        with pytest.raises(Exception, match="6 steps of 2 sequences, one after another, which run"):
            traced(torch.randn(shape))
    reset, model = torch.rand(6, 2) < 0.5, Given(layer, "reset")
    equal(torch.jit.trace(model, (x, ~reset))(x, reset), model(x, reset))


def test_what_a_trace_cannot_hold_is_said() -> None:
    x = torch.randn(4, 2, 3)
    with (
        pytest.warns(EngineWarning, match="Decides.step.*leaves Decides to a slower one"),
        pytest.warns(EngineWarning, match="Decides.step.*torch.jit.trace writes down for good"),
    ):
        torch.jit.trace(cello.Recurrent(Decides()), x)
    lengths = torch.tensor([4, 2])
    model = Given(cello.Recurrent(Sorts(), engine="reference"), "lengths")
    with pytest.raises(EngineError, match="would write these lengths down for good"):
        torch.jit.trace(model, (x, lengths))
    with pytest.raises(EngineError, match="would write these lengths down for good"):
        torch.jit.trace(Packs(cello.Recurrent(Sorts(), engine="reference")), (x, lengths))
    with pytest.raises(ShapeError, match=r"got \[4, 2, 5\]"):
        torch.jit.trace(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(4, 2, 5))


def test_another_process_runs_what_was_saved(tmp_path: Path) -> None:
    layer = cello.LSTM(3, 4, num_layers=2)
    x = torch.randn(6, 3, 3)
    frozen = torch.jit.freeze(torch.jit.trace(layer, torch.randn(5, 2, 3)).eval())
    with torch.no_grad():
        equal(frozen(x), layer(x))
    torch.jit.save(frozen, tmp_path / "lstm.pt")
    torch.save((x, layer(x)[0].detach()), tmp_path / "x.pt")
    code = (
        "import torch, cello, sys; x, y = torch.load(sys.argv[2]); "
        "assert torch.equal(torch.jit.load(sys.argv[1])(x)[0], y)"
    )
    files = [str(tmp_path / "lstm.pt"), str(tmp_path / "x.pt")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)


def test_tensorboard_draws_a_model_with_layers(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.GRU(3, 4)
            self.readout = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.readout(self.rnn(x)[0])

    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_graph(Tagger(), torch.randn(5, 2, 3))
    assert b"at_any_size" in b"".join(file.read_bytes() for file in tmp_path.iterdir())
