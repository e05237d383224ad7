"""What a layer returns is its own: memory, and a place in the graph, on every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import cello

ENGINES = ("cpu", "split", "reference")


def returning(what: Callable[..., Any], states: str = "h") -> cello.Cell:
    """A cell whose step computes a value `new` and returns what `what` makes of all there is."""

    class Passing(cello.Cell):
        state = tuple(states)

        def __init__(self) -> None:
            super().__init__(3, 3)
            self.mix = nn.Linear(3, 3)
            self.start = nn.Parameter(torch.zeros(3))

        def step(self, x: Tensor, *state: Tensor) -> Any:
            new = torch.tanh(self.mix(x) + state[0])
            return what(self, x, state, new)

    return Passing()


CELLS: dict[str, Any] = {
    "the input as output": lambda: returning(lambda cell, x, state, new: (x, (new,))),
    "a view of the input": lambda: returning(lambda cell, x, state, new: (x[:, :], (new,))),
    "the old state twice": lambda: returning(lambda cell, x, state, new: (state[0], state)),
    "the state given": lambda: returning(lambda cell, x, state, new: (new, state)),
    "the input as state": lambda: returning(lambda cell, x, state, new: (new, (x,))),
    "one tensor twice": lambda: returning(lambda cell, x, state, new: (new, (new, new)), "hg"),
    "states exchanged": lambda: returning(lambda cell, x, state, new: (new, state[::-1]), "hg"),
    "halves of one": lambda: returning(
        lambda cell, x, state, new: (new, torch.cat([new, x], 1).chunk(2, 1)), "hg"
    ),
    "a half as output": lambda: returning(
        lambda cell, x, state, new: (torch.cat([new, x], 1).chunk(2, 1)[0], (new,))
    ),
    "what is made of x alone": lambda: returning(
        lambda cell, x, state, new: (z := cell.mix(x), (torch.tanh(z + state[0]),))
    ),
    "a parameter": lambda: returning(
        lambda cell, x, state, new: (new, (cell.start.expand(len(x), -1),))
    ),
}


def run(layer: nn.Module, how: str, x: Tensor, state: Any) -> tuple[Tensor, list[Tensor]]:
    """The output and the state of a call; `how` x is given."""
    if how == "packed":
        y, final = layer(pack_padded_sequence(x, torch.tensor([4, 2])), state)
        return y.data, list(final)
    if how == "single":
        y, final = layer(x[:, 0], [part[0] for part in state])
    else:
        y, final = layer(x, state, **({"lengths": [2, 4]} if how == "lengths" else {}))
    return y, list(final)


@pytest.mark.parametrize("how", ("whole", "one step", "single", "lengths", "packed"))
@pytest.mark.parametrize("name", CELLS)
def test_whoever_changes_a_result_changes_nothing_else(name: str, how: str) -> None:
    cell = CELLS[name]()
    x = torch.randn(1 if how == "one step" else 4, 2, 3)
    state = [torch.randn(2, 3) for _ in cell.state]
    for engine in ENGINES:
        layer = cello.Recurrent(cell, engine=engine)
        for grad in (False, True):
            for number in range(1 + len(state)):
                with torch.set_grad_enabled(grad):
                    y, final = run(layer, how, x, state)
                given = [x, *state, *cell.parameters()]
                before = [tensor.detach().clone() for tensor in given]
                results = [y, *final]
                others = [r.detach().clone() for n, r in enumerate(results) if n != number]
                results.pop(number).mul_(2).add_(1)
                for now, then in zip((*given, *results), (*before, *others), strict=True):
                    assert torch.equal(now, then), (engine, grad, number)


@pytest.mark.parametrize("name", CELLS)
def test_a_stepper_keeps_to_itself(name: str) -> None:
    cell = CELLS[name]()
    state = [torch.randn(2, 3) for _ in cell.state]
    x = torch.randn(2, 3)
    for engine in ENGINES:
        stepper = cello.Recurrent(cell, engine=engine).stream(state=tuple(state))
        before = [tensor.clone() for tensor in (x, *state)]
        y = stepper(x)
        now = stepper.state
        y.add_(1)
        for part in stepper.state:
            part.add_(1)
        for a, b in zip((x, *state, *now), (*before, *stepper.state), strict=True):
            assert torch.equal(a, b)


LAYERS: dict[str, Any] = {
    "gru": lambda: cello.Recurrent(cello.GRUCell(3, 4)),
    "lstm": lambda: cello.Recurrent(cello.LSTMCell(3, 4), reverse=True),
    "both ways": lambda: cello.Bidirectional(cello.ElmanCell(3, 4)),
    "drop-in": lambda: cello.LSTM(3, 4, num_layers=2),
    "stack": lambda: cello.Stack(nn.Linear(3, 3), cello.Recurrent(cello.GRUCell(3, 4))),
}


def parts_of(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state if part is not None for tensor in parts_of(part)]


@pytest.mark.parametrize("how", ("whole", "single", "lengths", "packed"))
@pytest.mark.parametrize("name", LAYERS)
def test_hooks_on_results_are_called_alike(name: str, how: str) -> None:
    """Each only for a gradient of its own, never with None, and with the same numbers."""
    layer, x = LAYERS[name](), torch.randn(4, 2, 3)
    kinds: dict[str, Any] = {
        "whole": lambda: layer(x),
        "single": lambda: layer(x[:, 0]),
        "lengths": lambda: layer(x, lengths=[2, 4]),
        "packed": lambda: layer(pack_padded_sequence(x, torch.tensor([4, 2]))),
    }
    found: dict[str, list[Any]] = {}
    for engine in ENGINES:
        calls = found[engine] = []
        for chosen in range(3):
            with cello.engine(engine):
                y, state = kinds[how]()
            results = [y.data if how == "packed" else y, *parts_of(state)]
            heard: list[tuple[int, Tensor]] = []
            for number, result in enumerate(results):
                result.register_hook(lambda grad, n=number, h=heard: h.append((n, grad)))
            read = (results[:1], results[1:], results)[chosen]
            sum((part.square() * (2 + n)).sum() for n, part in enumerate(read)).backward()
            calls.append(heard)
            assert len(heard) == len(read)
    for engine in ENGINES[1:]:
        for here, there in zip(found["cpu"], found[engine], strict=True):
            assert [n for n, _ in here] == [n for n, _ in there]
            for (_, a), (_, b) in zip(here, there, strict=True):
                torch.testing.assert_close(a, b)
