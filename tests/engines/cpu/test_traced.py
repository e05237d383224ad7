"""The loops inside models that `torch.compile` and `torch.export` trace."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_compiler

import cello
from cello.engines.cpu import operators
from tests.registry import make

FORWARD, BACKWARD = operators._op_forward, operators._op_backward


class Model(nn.Module):
    """Ordinary modules around recurrent layers; only tensors come out."""

    def __init__(self, *cells: str) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3).double()
        self.net = cello.Stack(*(cello.Recurrent(make(name)) for name in cells))
        self.after = nn.Linear(4, 2).double()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, state = self.net(torch.relu(self.before(x)))
        return self.after(y), state[0][0]


class Traced:
    """A model compiled as one graph, what its graphs call, and how often it was compiled."""

    def __init__(self, model: nn.Module) -> None:
        torch.compiler.reset()
        self.calls: list[object] = []
        self.graphs = 0
        noted = make_boxed_compiler(self.note)
        backend = aot_autograd(fw_compiler=noted, bw_compiler=noted)
        self.model = torch.compile(model, backend=backend, fullgraph=True)

    def note(self, graph: torch.fx.GraphModule, _inputs: object) -> torch.fx.GraphModule:
        self.graphs += 1
        self.calls += [node.target for node in graph.graph.nodes]
        return graph

    def __call__(self, *args: object, **kwargs: object):
        return self.model(*args, **kwargs)


def outcome(model, x: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    y, h = model(x)
    loss = y.square().sum() + h.sin().sum()
    return [y, h, *torch.autograd.grad(loss, [x, *parameters])]


# One has parameters that are made into others before the loop, one has two products.
@pytest.mark.parametrize("name", ["lstm", "AntisymmetricCell", "gru-reset-before"])
def test_one_graph_with_the_loops_in_it(name: str) -> None:
    model = Model(name)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    parameters = list(model.parameters())
    traced = Traced(model)
    ours = outcome(traced, x, parameters)
    assert (traced.calls.count(FORWARD), traced.calls.count(BACKWARD)) == (1, 1)
    with cello.engine("reference"):
        theirs = outcome(model, x, parameters)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        parameters[2].mul_(0.5)  # as an optimizer does
        torch.testing.assert_close(traced(x), model(x), rtol=1e-10, atol=1e-10)


def test_each_layer_has_its_own_loop() -> None:
    first = cello.Bidirectional(cello.LSTMCell(3, 4))
    net = cello.Stack(first, nn.Linear(8, 3), cello.Recurrent(cello.JordanCell(3, 4, 2)))
    x, traced = torch.randn(5, 2, 3), Traced(net)
    y, state = traced(x)
    assert traced.calls.count(FORWARD) == 3
    expected, final = net(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state[0].backward.c, final[0].backward.c)


def test_a_changed_cell_is_compiled_again() -> None:
    layer = cello.Recurrent(make("elman"))
    x, traced = torch.randn(5, 2, 3, dtype=torch.float64), Traced(layer)
    traced(x)
    traced(x + 1)
    assert traced.graphs == 1
    layer.cell.activation = "relu"
    torch.testing.assert_close(traced(x)[0], layer(x)[0])
    assert traced.graphs == 2
    layer.eval()
    traced(x)
    assert traced.graphs == 3


def test_resets_and_a_single_row() -> None:
    layer = cello.Recurrent(make("gru"))
    x, traced = torch.randn(5, 2, 3, dtype=torch.float64), Traced(layer)
    reset = torch.rand(5, 2) < 0.5
    torch.testing.assert_close(traced(x, reset=reset)[0], layer(x, reset=reset)[0])
    torch.testing.assert_close(traced(x[:, :1])[0], layer(x[:, :1])[0])
    torch.testing.assert_close(traced(x[:, 0])[0], layer(x[:, 0])[0])


def test_the_reference_engine_when_it_is_asked_for() -> None:
    layer = cello.Recurrent(make("gru"), engine="reference")
    x, traced = torch.randn(3, 2, 3, dtype=torch.float64), Traced(layer)
    torch.testing.assert_close(traced(x)[0], layer(x)[0])
    assert FORWARD not in traced.calls
    layer = cello.Recurrent(make("gru"))
    traced = Traced(layer)
    with cello.engine("reference"):
        traced(x)
    assert FORWARD not in traced.calls


def test_what_no_loop_has_is_unrolled() -> None:
    layer = cello.Recurrent(make("mixing"))
    x, traced = torch.randn(3, 2, 3, dtype=torch.float64), Traced(layer)
    with cello.engine("reference"):
        expected = layer(x)[0]
    torch.testing.assert_close(traced(x)[0], expected)
    assert FORWARD not in traced.calls


def test_vmap_and_autocast_inside_run_the_step() -> None:
    layer = cello.Recurrent(make("gru"))
    x = torch.randn(4, 3, 2, 3, dtype=torch.float64)
    traced = Traced(lambda x: torch.vmap(lambda part: layer(part)[0])(x))
    torch.testing.assert_close(traced(x)[1], layer(x[1])[0])
    assert FORWARD not in traced.calls
    layer = layer.float()
    traced = Traced(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        traced(x[0].float())
    assert FORWARD not in traced.calls


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict: bool) -> None:
    model, x = Model("lstm"), torch.randn(5, 2, 3, dtype=torch.float64)
    program = torch.export.export(model, (x,), strict=strict)
    assert [node.target for node in program.graph.nodes].count(FORWARD) == 1
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-10, atol=1e-10)
