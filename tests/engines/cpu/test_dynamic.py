"""One graph for sequences of every length and batches of every size: compiled, exported, saved."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim
from torch.utils._pytree import tree_leaves

import cello
from cello.layers.encoders import OneHot, WindowEmbedding
from tests.registry import make

SIZES = [(5, 6), (7, 3), (2, 9), (11, 3)]  # T, B
EDGES = [(1, 4), (5, 1), (1, 1), (0, 2), (3, 0)]
DOUBLE = torch.float64


def layers() -> dict[str, Any]:
    return {
        "recurrent": cello.Recurrent(make("lstm"), initial_state="learned"),
        "reversed": cello.Recurrent(make("gru"), reverse=True, batch_first=True),
        "foreign": cello.Recurrent(nn.GRUCell(3, 4).double()),
        "drop-in": cello.LSTM(3, 4, num_layers=2, bidirectional=True).double(),
        "stack": cello.Stack(
            nn.Linear(3, 3).double(),
            cello.Bidirectional(make("elman"), initial_state="learned"),
            nn.Dropout(0.0),
            cello.Stack(cello.GRU(8, 3).double(), nn.Linear(3, 4).double()),
        ),
    }


NAMES = list(layers())


def arguments(layer: nn.Module, T: int, B: int, lengths: bool) -> tuple[Tensor, dict[str, Any]]:
    x = torch.randn(T, B, 3, dtype=DOUBLE)
    x = x.transpose(0, 1).contiguous() if layer.batch_first else x
    more = {"lengths": torch.randint(0, T + 1, (B,))} if lengths else {}
    return x.requires_grad_(), more


def tensors(made: Any) -> list[Tensor]:
    return [part for part in tree_leaves(made) if isinstance(part, Tensor)]


def outcome(run: nn.Module, layer: nn.Module, x: Tensor, more: dict[str, Any]) -> list[Tensor]:
    parts = tensors(run(x, **more))
    loss = sum(part.square().sum() for part in parts)
    return [*parts, *torch.autograd.grad(loss, [x, *layer.parameters()])]


# ---------------------------------------------------------------- torch.compile


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_one_graph_for_all_sizes(name: str, lengths: bool) -> None:
    for dynamic, graphs in ((True, [1, 1, 1, 1]), (None, [1, 2, 2, 2])):
        torch.compiler.reset()
        layer = layers()[name]
        counter = CompileCounterWithBackend("eager")
        compiled = torch.compile(layer, backend=counter, dynamic=dynamic, fullgraph=True)
        counts = []
        for T, B in SIZES:
            x, more = arguments(layer, T, B, lengths)
            torch.testing.assert_close(
                outcome(compiled, layer, x, more), outcome(layer, layer, x, more)
            )
            counts.append(counter.frame_count)
        assert counts == graphs


def test_the_backward_graph_is_one_too() -> None:
    torch.compiler.reset()
    layer = layers()["recurrent"]
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, dynamic=True, fullgraph=True)
    counts = set()  # PyTorch may begin anew the first time
    for T, B in SIZES:
        x, more = arguments(layer, T, B, lengths=True)
        torch.testing.assert_close(
            outcome(compiled, layer, x, more), outcome(layer, layer, x, more)
        )
        counts.add(counter.frame_count)
    assert len(counts) == 1


def test_sizes_of_one_and_none() -> None:
    torch.compiler.reset()
    layer = layers()["drop-in"]
    compiled = torch.compile(layer, backend="aot_eager", dynamic=True, fullgraph=True)
    for T, B in ((1, 1), (0, 2), (3, 0)):
        x, more = arguments(layer, T, B, lengths=True)
        torch.testing.assert_close(
            outcome(compiled, layer, x, more), outcome(layer, layer, x, more)
        )


def test_states_and_resets_of_any_size() -> None:
    torch.compiler.reset()
    layer = layers()["recurrent"]
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(layer, backend=counter, dynamic=True, fullgraph=True)
    for T, B in SIZES:
        x, _ = arguments(layer, T, B, lengths=False)
        state = (torch.randn(B, 4, dtype=DOUBLE), torch.randn(B, 4, dtype=DOUBLE))
        reset = torch.rand(T, B) < 0.3
        ours, theirs = compiled(x, state, reset=reset), layer(x, state, reset=reset)
        torch.testing.assert_close(tensors(ours), tensors(theirs))
    assert counter.frame_count == 1


def test_numbers_of_a_cell_are_no_sizes() -> None:
    torch.compiler.reset()
    layer = cello.Recurrent(cello.LSTMCell(3, 4, forget_bias=1.0))
    compiled = torch.compile(layer, backend="eager", dynamic=True, fullgraph=True)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(compiled(x)[0], layer(x)[0])


def test_the_step_unrolled_for_batches_of_any_size() -> None:
    torch.compiler.reset()
    layer = cello.Recurrent(make("mixing"))
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True)
    for B in (2, 5, 7):
        x = torch.randn(3, B, 3, dtype=DOUBLE)
        with cello.engine("reference"):
            expected = layer(x)[0]
        torch.testing.assert_close(compiled(x)[0], expected)
    assert counter.frame_count == 2


# ---------------------------------------------------------------- torch.export


def exported(layer: nn.Module, lengths: bool, T: Any, B: Any, strict: bool = False) -> nn.Module:
    x, more = arguments(layer, 5, 6, lengths)
    axes = (B, T) if layer.batch_first else (T, B)
    shapes = {layer_input(layer): dict(enumerate(axes)), **({"lengths": {0: B}} if lengths else {})}
    return torch.export.export(
        layer, (x.detach(),), more, dynamic_shapes=shapes, strict=strict
    ).module()


def layer_input(layer: nn.Module) -> str:
    return "input" if isinstance(layer, nn.RNNBase) else "x"


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_exported_for_all_sizes(name: str, lengths: bool) -> None:
    layer = layers()[name]
    for T, B in ((Dim("T"), Dim("B")), (Dim.AUTO, Dim.AUTO)):
        program = exported(layer, lengths, T, B)
        for size in (*SIZES, *EDGES):
            x, more = arguments(layer, *size, lengths)
            torch.testing.assert_close(tensors(program(x, **more)), tensors(layer(x, **more)))


@pytest.mark.parametrize("name", ["drop-in", "stack"])
def test_exported_strictly(name: str) -> None:
    layer = layers()[name]
    program = exported(layer, True, Dim.DYNAMIC, Dim.DYNAMIC, strict=True)
    x, more = arguments(layer, 9, 2, lengths=True)
    torch.testing.assert_close(tensors(program(x, **more)), tensors(layer(x, **more)))
    x, more = arguments(layer, 1, 1, lengths=True)
    torch.testing.assert_close(tensors(program(x, **more)), tensors(layer(x, **more)))


@pytest.mark.parametrize("kind", ["OneHot", "WindowEmbedding"])
def test_ids_are_looked_at_in_a_graph_too(kind: str) -> None:
    several = kind == "WindowEmbedding"
    encoder = WindowEmbedding(9, 4, window_size=2) if several else OneHot(9)
    net = cello.Stack(encoder, cello.Recurrent(cello.GRUCell(encoder.output_size, 4)))

    def ids(T: int, B: int) -> Tensor:
        return torch.randint(0, 9, (T, B, 2) if several else (T, B))

    shapes = {"x": {0: Dim("T"), 1: Dim("B")}}
    program = torch.export.export(net, (ids(5, 4),), dynamic_shapes=shapes).module()
    torch.compiler.reset()
    compiled = torch.compile(net, backend="aot_eager", dynamic=True, fullgraph=True)
    x = ids(7, 2)
    for run in (program, compiled):
        torch.testing.assert_close(run(x)[0], net(x)[0])
        with pytest.raises(RuntimeError, match=rf"{kind} takes ids from -?\d to 8"):
            run(torch.full_like(x, 9))
