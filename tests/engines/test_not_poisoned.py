"""What PyTorch's tools do to a model with layers inside leaves them as right and as fast."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import cello
from cello.engines import EngineWarning
from cello.errors import ArgumentError, EngineError
from tests.registry import I, LeakyCell

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Initializing zero-element:UserWarning"),
]
X = torch.randn(5, 2, I, generator=torch.Generator().manual_seed(0))


class Lazy(cello.Cell):
    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, 4)
        self.W, self.R = nn.LazyLinear(4), nn.LazyLinear(4)

    def step(self, x: Tensor, h: Tensor) -> Any:
        h = torch.tanh(self.W(x) + self.R(h))
        return h, (h,)


class Model(nn.Module):
    """A user's model with a layer inside, or a cell."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.readout = layer, nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.layer(x)[0])


class OneStep(Model):
    def forward(self, x: Tensor) -> Any:
        return self.readout(self.layer(x[0])[0])


def model_of(name: str) -> Model:
    kind = OneStep if name == "cell" else Model
    return kind(LAYERS[name](), 8 if name in ("bidirectional", "lstm") else 4)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "recurrent": lambda: cello.Recurrent(LeakyCell()),
    "lazy": lambda: cello.Recurrent(Lazy(), initial_state="learned"),
    "foreign": lambda: cello.Recurrent(nn.LSTMCell(I, 4)),
    "bidirectional": lambda: cello.Bidirectional(cello.GRUCell(I, 4)),
    "stack": lambda: cello.Stack(nn.LazyLinear(3), cello.Recurrent(LeakyCell()), cello.RNN(4, 4)),
    "lstm": lambda: cello.LSTM(I, 4, num_layers=2, bidirectional=True),
    "gru": lambda: cello.GRU(I, 4),
    "rnn": lambda: cello.RNN(I, 4),
    "cell": LeakyCell,
}


def traced(model: Model, x: Tensor) -> Any:
    return torch.jit.trace(model, x)(x)


def scripted(model: Model, x: Tensor) -> Any:
    ours = cello.Cell, cello.Recurrent, cello.Bidirectional, cello.Stack
    if isinstance(model.layer, ours):
        with pytest.raises(ArgumentError, match="cannot compile"):
            torch.jit.script(model)
        return None
    return torch.jit.script(model)(x)


def symbolic(model: Model, x: Tensor) -> Any:
    return torch.fx.symbolic_trace(model)(x)


def drawn(model: Model, x: Tensor, folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        writer.add_graph(model, x)


def fake(model: Model, x: Tensor) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert model(mode.from_tensor(x)).shape == model(x).shape
        if isinstance(model.layer, cello.Recurrent):
            stepper = model.layer.stream(2)
            assert stepper(mode.from_tensor(x[0])).shape == (2, 4)


def fake_parameters(model: Model, x: Tensor) -> None:
    mode = FakeTensorMode()
    made = {name: mode.from_tensor(part) for name, part in model.named_parameters()}
    with mode:
        torch.func.functional_call(model, made, (mode.from_tensor(x),))
    own = {name: part.detach() for name, part in model.named_parameters()}
    model.load_state_dict({n: nn.Parameter(p) for n, p in made.items()}, assign=True)
    with mode:
        model(mode.from_tensor(x))
    model.load_state_dict({n: nn.Parameter(p) for n, p in own.items()}, assign=True)


def emptied(model: Model, x: Tensor) -> None:
    own = {name: part.clone() for name, part in model.state_dict().items()}
    assert model.to("meta")(x.to("meta")).device.type == "meta"
    model.to_empty(device="cpu").load_state_dict(own)


def assigned(model: Model, x: Tensor) -> None:
    own = {name: nn.Parameter(part.clone()) for name, part in model.state_dict().items()}
    with torch.device("meta"):
        made = model.to("meta")
        assert made(torch.empty(x.shape)).device.type == "meta"
    made.load_state_dict(own, assign=True)


POISONS: dict[str, Callable[..., Any]] = {
    "torch.jit.trace": traced,
    "torch.jit.script": scripted,
    "torch.fx": symbolic,
    "TensorBoard": drawn,
    "FakeTensorMode": fake,
    "fake parameters": fake_parameters,
    "to_empty": emptied,
    "assign": assigned,
}


def found_in(model: Model) -> list[Tensor]:
    """What the model computes: in training, in use, and step by step."""
    model.zero_grad()
    y = model(X)
    y.square().sum().backward()
    found = [y.detach(), *(part.grad for part in model.parameters())]
    if isinstance(model.layer, cello.Cell):
        return found
    with cello.engine("cpu"):  # raises where it cannot
        found.append(model(X).detach())
    if not isinstance(model.layer, cello.Bidirectional) and not vars(model.layer).get(
        "bidirectional"
    ):
        stepper = model.layer.stream(2)
        found += [stepper(x) for x in X]
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_a_tool_leaves_a_layer_as_it_was(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    with torch.no_grad(), cello.engine("reference"):
        model(X)  # lazy modules begin
    expected = found_in(copy.deepcopy(model))
    new = {tool: copy.deepcopy(model) for tool in POISONS}
    one_after_another = copy.deepcopy(model)  # after the first no new one either
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        for tool, poison in POISONS.items():
            folder = [tmp_path] if tool == "TensorBoard" else []
            for it in (new[tool], one_after_another):
                made = poison(it, X, *folder)
                if made is not None:
                    torch.testing.assert_close(made, expected[0])  # scripted: PyTorch's code
                for mine, other in zip(found_in(it), expected, strict=True):
                    assert torch.equal(mine, other), tool


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_built_without_numbers_takes_them_later(name: str) -> None:
    model = model_of(name)
    with torch.no_grad():
        model(X)
    expected = found_in(model)
    own = {name: nn.Parameter(part.clone()) for name, part in model.state_dict().items()}
    for around in (torch.device("meta"), FakeTensorMode()):
        if name in ("lazy", "stack") and around.__class__ is FakeTensorMode:
            continue  # PyTorch itself makes no lazy parameter there
        with around:
            later = model_of(name)
            later(torch.empty(X.shape))
        later.load_state_dict(own, assign=True)
        for mine, other in zip(found_in(later), expected, strict=True):
            assert torch.equal(mine, other)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_stepper_in_a_trace_is_written_down_step_by_step() -> None:
    layer = cello.Recurrent(LeakyCell()).requires_grad_(False)
    stepper = layer.stream(2)
    traced = torch.jit.trace(lambda x: layer.stream(2)(x), X[0], check_trace=False)
    torch.testing.assert_close(traced(X[1]), layer(X[1:2])[0][0])
    for x, y in zip(X, layer(X)[0].detach(), strict=True):
        assert torch.equal(stepper(x), y)


class Deciding(cello.Cell):
    state = ("h",)

    def step(self, x: Any, h: Any) -> Any:
        h = torch.tanh(h + x.sum(1, keepdim=True))
        if h.sum() > 0:
            h = h * 0.5
        return h, (h,)


@pytest.mark.parametrize("where", ["export", "fake", "meta"])
def test_a_step_that_decides_by_numbers_says_where_there_are_none(where: str) -> None:
    layer, x = cello.Recurrent(Deciding(3, 4), engine="reference"), torch.randn(5, 2, 3)
    said = (
        r"decides by the values in a tensor \(.*test_not_poisoned\.py:\d+\), `if h\.sum\(\) > 0:`"
    )

    def with_fakes() -> None:
        with FakeTensorMode() as mode:
            layer(mode.from_tensor(x))

    calls = {
        "export": lambda: torch.export.export(layer, (x,)),
        "fake": with_fakes,
        "meta": lambda: layer(x.to("meta")),
    }
    with pytest.raises(EngineError, match=said):
        calls[where]()
    assert layer(x)[0].shape == (5, 2, 4)
