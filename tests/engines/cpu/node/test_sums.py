"""What a node in C++ adds up itself: the biases of PyTorch's cells, and the like of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines.cpu.node.sums import Sums
from tests.engines.cpu.node.test_node import in_python, is_native, needs_extension, results, warm

__all__ = ["in_python"]

T, B, I, H = 3, 2, 3, 4  # noqa: E741 - the sizes that the equations name so
pytestmark = needs_extension


class AddsUp(cello.Cell):
    """Its biases are sums of parts of vectors, of which one enters twice."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Parameter(torch.randn(H, I))
        self.a, self.b = nn.Parameter(torch.randn(H)), nn.Parameter(torch.randn(2 * H))
        self.c = nn.Parameter(torch.randn(H))

    def step(self, x: Tensor, h: Tensor) -> Any:
        first = torch.cat([(self.a + self.b[H:])[2:], self.c[:2]])
        h = torch.tanh(x @ self.W.t() + first + h * (self.a + self.c).flip(0))
        return h, (h,)


class Scales(AddsUp):
    """What it makes of vectors is no sum."""

    def step(self, x: Tensor, h: Tensor) -> Any:
        h = torch.tanh(x @ self.W.t() + h * (self.a * self.c) + self.b[:H])
        return h, (h,)


LAYERS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "RNN": (lambda: cello.RNN(I, H), True),
    "LSTM": (lambda: cello.LSTM(I, H, batch_first=True), True),
    "GRU": (lambda: cello.GRU(I, H), True),
    "adds up": (lambda: cello.Recurrent(AddsUp()), True),
    "scales": (lambda: cello.Recurrent(Scales()), False),
}


def given(layer: Any) -> list[tuple[Any, ...]]:
    """Inputs without a state and with one, whose gradients are wanted."""
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    axes = (1, B, H) if isinstance(layer, nn.RNNBase) else (B, H)
    h, c = (torch.randn(axes, dtype=torch.float64, requires_grad=True) for _ in range(2))
    pair: Any = (h, c) if isinstance(layer, cello.LSTM) else (h,)
    state = h if isinstance(layer, nn.RNNBase) and not isinstance(layer, cello.LSTM) else pair
    x = x.detach().transpose(0, 1).requires_grad_() if layer.batch_first else x
    return [(x,), (x, state)]


def leaves_of(layer: nn.Module, args: tuple[Any, ...]) -> list[Tensor]:
    states = args[1] if len(args) > 1 else ()
    parts = [states] if isinstance(states, Tensor) else [*states]
    return [p for p in (args[0], *parts, *layer.parameters()) if p.requires_grad]


@pytest.mark.parametrize("frozen", ["", "bias_ih", "bias_hh", "a", "c"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_the_way_in_python(
    name: str, frozen: str, in_python: Callable[[], None]
) -> None:
    make, adds = LAYERS[name]
    layer = make().double()
    for parameter, value in layer.named_parameters():
        value.requires_grad_(parameter.removesuffix("_l0").removeprefix("cell.") != frozen)
    calls = given(layer)
    native = []
    for args in calls:
        warm(layer, *args)
        native.append(results(layer, leaves_of(layer, args), *args))
        y = layer(*args)[0]
        assert is_native(y.transpose(0, 1) if layer.batch_first else y) or layer.batch_first
    (cell,) = getattr(layer, "_kept_cells", None) or [layer.cell]
    loops = [loop for guard in vars(cell).values() for loop in getattr(guard, "loops", {}).values()]
    assert {loop.sums.is_all for loop in loops} == {adds}
    in_python()
    for loop in loops:
        loop.node = None
    for args, ours in zip(calls, native, strict=True):
        theirs = results(layer, leaves_of(layer, args), *args)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        with cello.engine("reference"):
            plain = results(layer, leaves_of(layer, args), *args)
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_gradients(name: str) -> None:
    layer = LAYERS[name][0]().double()
    for args in given(layer):
        warm(layer, *args)
        leaves = leaves_of(layer, args)
        grads = []
        for engine in ("auto", "reference"):
            with cello.engine(engine):
                y, state = layer(*args)
            final = state if isinstance(state, Tensor) else state[0]
            loss = y.square().sum() + final.sin().sum()
            first = torch.autograd.grad(loss, leaves, create_graph=True)
            again = sum(grad.square().sum() for grad in first)
            grads.append([*first, *torch.autograd.grad(again, leaves)])
        torch.testing.assert_close(*grads)


def test_a_bias_that_changes_is_seen() -> None:
    layer, x = cello.GRU(I, H), torch.randn(T, B, I)
    warm(layer, x)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        before = layer(x)[0]
        with torch.no_grad():
            getattr(layer, name).add_(1)
        assert not layer(x)[0].equal(before)
        with cello.engine("reference"):
            expected = layer(x)[0]
        torch.testing.assert_close(layer(x)[0], expected)


def test_of_a_cell_without_sums_all_is_given() -> None:
    layer, x = cello.Recurrent(cello.LSTMCell(I, H)), torch.randn(T, B, I)
    layer(x), layer(x)
    guard = next(guard for guard in vars(layer.cell).values() if hasattr(guard, "loops"))
    (loop,) = guard.loops.values()
    assert isinstance(loop.sums, Sums)
    assert list(map(id, loop.read)) == list(map(id, loop.own))
