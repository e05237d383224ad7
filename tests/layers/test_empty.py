"""Gradients through sequences without a single step: zeros, as PyTorch's layers give them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import cello
from tests.registry import make

SHAPES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "no rows": ((4, 0, 3), {}),
    "no steps": ((0, 2, 3), {}),
    "neither": ((0, 0, 3), {}),
    "unbatched": ((0, 3), {}),
    "lengths of nothing": ((4, 2, 3), {"lengths": torch.tensor([0, 0])}),
    "no lengths": ((4, 0, 3), {"lengths": torch.zeros(0, dtype=torch.int64)}),
    "resets": ((4, 0, 3), {"reset": torch.zeros(4, 0, dtype=torch.bool)}),
}


def layers(engine: str) -> dict[str, nn.Module]:
    options: dict[str, Any] = {"engine": engine, "initial_state": "learned"}
    return {
        "recurrent": cello.Recurrent(make("gru"), reverse=True, **options),
        "jordan": cello.Recurrent(make("jordan"), engine=engine),
        "foreign": cello.Recurrent(nn.LSTMCell(3, 4).double(), engine=engine),
        "bidirectional": cello.Bidirectional(make("lstm"), **options),
        "drop-in": cello.LSTM(3, 4, num_layers=2, bidirectional=True).double(),
        "stack": cello.Stack(
            nn.Linear(3, 3).double(),
            cello.Recurrent(make("elman"), engine=engine),
            nn.Dropout(0.5),
            cello.GRU(4, 4).double(),
        ),
    }


@pytest.mark.parametrize("engine", ["cpu", "split", "reference"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_gradients_through_nothing(shape: str, engine: str) -> None:
    size, more = SHAPES[shape]
    rows = size[1] if len(size) == 3 else 1  # each begins, and ends, with the initial state
    for name, layer in layers(engine).items():
        x = torch.randn(*size, dtype=torch.float64, requires_grad=True)
        with cello.engine(engine):
            y, state = layer(x, **more)
        ends = [part for part in tree_leaves(state) if isinstance(part, Tensor)]
        assert not y.any(), name
        assert all(part.requires_grad for part in (y, *ends)), name
        leaves = {"x": x, **dict(layer.named_parameters())}
        loss = y.sum() + sum(part.sum() for part in ends)
        first = torch.autograd.grad(loss, list(leaves.values()), create_graph=True)
        expected = {
            part: torch.full_like(leaf, rows if "initial" in part else 0)
            for part, leaf in leaves.items()
        }
        torch.testing.assert_close(dict(zip(leaves, first, strict=True)), expected)
        # Gradients of gradients, such as those of a penalty on the first.
        sum(grad.square().sum() for grad in first if grad.requires_grad).backward()
        assert x.grad is not None, name
        assert not x.grad.any(), name


def test_as_pytorch_where_it_has_such_sequences() -> None:
    theirs, x = nn.GRU(3, 4, num_layers=2), torch.randn(5, 0, 3, requires_grad=True)
    ours = cello.accelerate(theirs)
    found = []
    for layer in (ours, theirs):
        y, h = layer(x)
        leaves = [x, *layer.parameters()]
        first = torch.autograd.grad(y.sum() + h.sum(), leaves, create_graph=True)
        found.append([y, h, *first])
        assert all(tensor.requires_grad for tensor in found[-1])
    torch.testing.assert_close(*found)


def test_a_given_state_goes_through() -> None:
    layer = cello.Recurrent(make("lstm"))
    for engine in ("cpu", "split", "reference"):
        h, c = (torch.randn(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
        with cello.engine(engine):
            _, state = layer(torch.zeros(0, 2, 3, dtype=torch.float64), (h, c))
        torch.testing.assert_close(tuple(state), (h, c), rtol=0, atol=0)
        (2 * state.h + 3 * state.c).sum().backward()
        torch.testing.assert_close((h.grad, c.grad), (torch.full_like(h, 2), torch.full_like(c, 3)))


def test_recorded_values_of_nothing_have_gradients() -> None:
    layer, x = cello.Recurrent(make("lstm")), torch.zeros(0, 2, 3, dtype=torch.float64)
    for engine in ("cpu", "split", "reference"):
        with cello.engine(engine):
            recorded = cello.record(layer, x.requires_grad_())
        assert recorded["f"].shape == (0, 2, 4)
        recorded["f"].sum().backward()
        assert not layer.cell.R.grad.any()
        layer.zero_grad()


def test_compiled() -> None:
    layer, x = cello.GRU(3, 4), torch.randn(5, 0, 3, requires_grad=True)
    torch.compiler.reset()
    y, h = torch.compile(layer, backend="aot_eager", fullgraph=True)(x)
    assert (y.shape, h.shape) == ((5, 0, 4), (1, 0, 4))
    (y.sum() + h.sum()).backward()
    assert not any(parameter.grad.any() for parameter in layer.parameters())
