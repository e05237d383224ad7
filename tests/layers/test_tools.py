"""Models that PyTorch's older tools work on: torch.fx, scripted modules, lazy modules."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, EngineError
from cello.layers import KHot, Log, OneHot, Projection, WindowEmbedding

ENGINES = ["reference", "split", "cpu"]
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*deprecated:DeprecationWarning")


def leaky(linear: type[nn.Module] = nn.Linear) -> cello.Cell:
    class Leaky(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 4)
            sizes = (4,) if linear is nn.LazyLinear else (3, 4)
            self.W, self.R = linear(*sizes), nn.Linear(4, 4)

        def step(self, x: Tensor, h: Tensor) -> Any:
            h = torch.tanh(self.W(x) + self.R(h))
            return h, (h,)

    return Leaky()


# ------------------------------------------------------------ torch.fx


class Model(nn.Module):
    def __init__(self, layer: nn.Module, *more: Any) -> None:
        super().__init__()
        self.layer, self.more = layer, more

    def forward(self, x: Tensor) -> Any:
        y, state = self.layer(x, *self.more)
        return y * 2, state


LAYERS = {
    "LSTM": lambda: cello.LSTM(3, 4, num_layers=2, bidirectional=True),
    "GRU": lambda: cello.GRU(3, 4),
    "RNN": lambda: cello.RNN(3, 4),
    "Recurrent": lambda: cello.Recurrent(cello.JordanCell(3, 4, 2)),
    "Bidirectional": lambda: cello.Bidirectional(cello.LSTMCell(3, 4)),
    "Stack": lambda: cello.Stack(nn.Linear(3, 5), cello.Recurrent(cello.GRUCell(5, 4))),
}


def flat(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return [tensor for part in result if part is not None for tensor in flat(part)]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_one_node_of_a_graph(name: str) -> None:
    model = Model(LAYERS[name]())
    graph = torch.fx.symbolic_trace(model)
    assert [n.target for n in graph.graph.nodes if n.op == "call_module"] == ["layer"]
    for T, B in [(5, 2), (7, 1), (0, 2)]:
        x = torch.randn(T, B, 3)
        for mine, theirs in zip(flat(graph(x)), flat(model(x)), strict=True):
            assert torch.equal(mine, theirs)
    twin = copy.deepcopy(graph)
    x = torch.randn(5, 2, 3)
    for module in (twin, model):
        flat(module(x))[0].sum().backward()
    expected = dict(model.named_parameters())
    for path, parameter in twin.named_parameters():
        assert torch.equal(parameter.grad, expected[path].grad), path


def test_lengths_and_states_go_along() -> None:
    class Ragged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = cello.Recurrent(cello.LSTMCell(3, 4))

        def forward(self, x: Tensor, h: Tensor, c: Tensor, lengths: Tensor) -> Any:
            y, state = self.layer(x, (h, c), lengths=lengths)
            return y, state.c

    model = Ragged()
    given = (torch.randn(5, 2, 3), torch.randn(2, 4), torch.randn(2, 4), torch.tensor([5, 2]))
    for mine, theirs in zip(torch.fx.symbolic_trace(model)(*given), model(*given), strict=True):
        assert torch.equal(mine, theirs)


def test_a_cell_in_a_loop_is_a_node_for_each_step() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cello.GRUCell(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            y, state = self.cell(x[0])
            y, state = self.cell(x[1], state)
            return y

    model, x = Loop(), torch.randn(2, 5, 3)
    graph = torch.fx.symbolic_trace(model)
    assert sum(node.op == "call_module" for node in graph.graph.nodes) == 2
    assert torch.equal(graph(x), model(x))


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (OneHot(5), torch.tensor([1, 4])),
        (KHot(5), torch.tensor([[1, -1]])),
        (Projection(5, 2), torch.tensor([[1, 3]])),
        (WindowEmbedding(5, 2, 3), torch.tensor([[1, 3, -1]])),
        (Log(), torch.rand(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_encoders_are_nodes_too(module: nn.Module, x: Tensor) -> None:
    model = nn.Sequential(module, nn.Tanh())
    assert torch.equal(torch.fx.symbolic_trace(model)(x), model(x))


def test_a_layer_alone_is_no_graph() -> None:
    with pytest.raises(ArgumentError, match=r"one node of a GRU: trace a model that"):
        torch.fx.symbolic_trace(cello.GRU(3, 4))


# ------------------------------------------------------------ torch.jit.script


class Scripted(nn.Module):
    """A cell of a stranger's that can be scripted."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.hidden_size = 3, 4
        self.linear = nn.Linear(7, 4)
        self.leak = 0.5

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.leak * h + torch.tanh(self.linear(torch.cat([x, h], 1)))


def same_as(layer: nn.Module, expected: nn.Module) -> None:
    """Outputs and gradients of two layers with as many parameters are equal.

    A scripted function would do without gradients where it is captured: it runs step by step.
    """
    x = torch.randn(5, 2, 3)
    found = []
    for each in (expected, layer, layer, layer):  # scripted functions are optimized by and by
        for parameter in each.parameters():
            parameter.grad = None
        y = each(x)[0]
        y.square().sum().backward()
        found.append([y.detach(), *(p.grad for p in each.parameters())])
    for some in found[1:]:
        torch.testing.assert_close(some, found[0])
    for engine in ("split", "cpu"):
        with cello.engine(engine), pytest.raises(EngineError, match=r"torch\.jit\.script has made"):
            layer(x)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script has made:cello.EngineWarning")
def test_a_scripted_module_is_a_cell() -> None:
    module = Scripted()
    scripted = torch.jit.script(module)
    layer, expected = cello.Recurrent(scripted), cello.Recurrent(module)
    same_as(layer, expected)
    module.leak = scripted.leak = 0.25
    same_as(layer, expected)


class Calls(cello.Cell):
    state = ("h",)

    def __init__(self, linear: nn.Module, function: Any) -> None:
        super().__init__(3, 4)
        self.W, self.function = linear, function

    def step(self, x: Tensor, h: Tensor) -> Any:
        h = self.function(self.W(x) + h)
        return h, (h,)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script has made:cello.EngineWarning")
def test_scripted_modules_and_functions_stand_in_steps() -> None:
    linear = nn.Linear(3, 4)
    expected = cello.Recurrent(Calls(linear, twice_tanh))
    same_as(cello.Recurrent(Calls(torch.jit.script(linear), twice_tanh)), expected)
    same_as(cello.Recurrent(Calls(linear, torch.jit.script(twice_tanh))), expected)


def twice_tanh(x: Tensor) -> Tensor:
    return torch.tanh(x) * 2


@pytest.mark.parametrize(
    "module",
    [
        cello.Recurrent(cello.GRUCell(3, 4)),
        cello.Bidirectional(cello.GRUCell(3, 4)),
        cello.Stack(cello.Recurrent(cello.GRUCell(3, 4))),
        cello.GRUCell(3, 4),
        OneHot(3),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_cannot_be_scripted_says_so(module: nn.Module) -> None:
    for model in (module, nn.Sequential(module)):
        with pytest.raises(ArgumentError, match=type(module).__name__):
            torch.jit.script(model)


def test_a_subclass_of_a_drop_in_is_not_scripted_without_what_it_adds() -> None:
    class Doubled(cello.GRU):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            y, state = super().forward(*args, **kwargs)
            return 2 * y, state

    with pytest.raises(ArgumentError, match="cannot compile Doubled"):
        torch.jit.script(Doubled(3, 4))


class Reads(nn.Module):
    """Holds layers of ours in places of any kind, one of them twice."""

    def __init__(self, *more: nn.Module) -> None:
        super().__init__()
        self.lstm = cello.LSTM(3, 4, num_layers=2, bidirectional=True)
        self.inner = nn.ModuleDict({"gru": cello.GRU(8, 3), "linear": nn.Linear(3, 3)})
        self.again = self.lstm
        self.more = nn.ModuleList(more)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.inner["gru"](self.lstm(x)[0])
        return self.again(self.inner["linear"](y))[0]


def test_scripting_leaves_the_model_as_it_was() -> None:
    model, x = Reads(), torch.randn(5, 2, 3)
    before = dict(model.named_modules(remove_duplicate=False))
    profiles: list[Any] = []
    sys.setprofile(profile := lambda *_: None)
    try:
        scripted = torch.jit.script(model)
        profiles.append(sys.getprofile())
    finally:
        sys.setprofile(None)
    assert profiles == [profile]
    after = dict(model.named_modules(remove_duplicate=False))
    assert all(after[name] is module for name, module in before.items())
    assert type(model.lstm) is cello.LSTM
    torch.testing.assert_close(scripted(x), model(x))
    for part, own in zip(scripted.parameters(), model.parameters(), strict=True):
        assert part is own


def test_scripting_that_fails_leaves_the_model_as_it_was() -> None:
    model = Reads(cello.Recurrent(cello.GRUCell(3, 4)))
    with pytest.raises(ArgumentError, match="Recurrent"):
        torch.jit.script(model)
    assert type(model.lstm) is type(model.again) is cello.LSTM
    assert type(model.inner["gru"]) is cello.GRU
    assert sys.getprofile() is None


# ------------------------------------------------------------ lazy modules


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lazy_modules_take_their_shapes_at_the_first_call(engine: str, dtype: torch.dtype) -> None:
    x = torch.randn(5, 2, 3, dtype=dtype)
    layer = cello.Recurrent(leaky(nn.LazyLinear), initial_state="learned").to(dtype)
    with cello.engine(engine):
        y, _ = layer(x)
    expected = cello.Recurrent(leaky(), initial_state="learned").to(dtype)
    expected.load_state_dict(layer.state_dict())
    torch.testing.assert_close(y, expected(x)[0])
    y.sum().backward()
    assert layer.cell.W.weight.grad.shape == (4, 3)


def test_lazy_modules_are_drawn_as_pytorch_draws_them() -> None:
    cell = leaky(nn.LazyLinear)
    torch.manual_seed(3)
    cello.Recurrent(cell)(torch.zeros(1, 1, 3))
    torch.manual_seed(3)
    assert torch.equal(cell.W.weight, nn.Linear(3, 4).weight)


def test_lazy_modules_elsewhere() -> None:
    net = cello.Stack(cello.Bidirectional(leaky(nn.LazyLinear)), nn.LazyLinear(2))
    assert net(torch.zeros(5, 2, 3))[0].shape == (5, 2, 2)
    assert cello.Recurrent(leaky(nn.LazyLinear)).stream()(torch.zeros(3)).shape == (4,)
    recording = cello.record(cello.Recurrent(leaky(nn.LazyLinear)), torch.zeros(5, 3))
    assert recording["h"].shape == (5, 1, 4)
    assert "tanh" in cello.equations(cello.Recurrent(leaky(nn.LazyLinear)))
    assert cello.draw(cello.Recurrent(leaky(nn.LazyLinear))).svg.startswith("<svg")
