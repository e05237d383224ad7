"""Steps that are captured once and replayed give what steps give that are launched one by one."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import cello
from cello.engines.gpu import launch
from cello.engines.gpu.stepwise import replays
from tests.engines.gpu.recorder import Recorder
from tests.registry import I, make

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")


@pytest.fixture
def recorder(interpreted: None, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Every loop runs step by step, and is captured from two steps on."""
    found = Recorder(monkeypatch)
    monkeypatch.setattr(launch, "why_not_whole", lambda *_: "a test asks for it")
    monkeypatch.setattr(replays, "FEWEST_STEPS", 2)
    monkeypatch.setitem(replays.CAPTURES, "cpu", found)
    return found


def trained(layer: cello.Recurrent, x: Tensor, **options: Any) -> list[Tensor]:
    """The output, the final state and every gradient."""
    y, state = layer(x, **options)
    loss = y.square().sum() + sum(part.sum() for part in state)
    return [y, *state, *torch.autograd.grad(loss, [x, *layer.parameters()])]


def new_x(steps: int = 4, rows: int = 3) -> Tensor:
    return torch.randn(steps, rows, I, requires_grad=True)


RESET = torch.tensor([[False, True, False], [True, False, False], [False] * 3, [False, True, True]])


@pytest.mark.parametrize(
    "options",
    [{}, {"lengths": torch.tensor([2, 4, 0])}, {"reset": RESET}],
    ids=["even", "lengths", "reset"],
)
@pytest.mark.parametrize("name", ["lstm", "two-sizes"])
def test_replayed_steps_give_what_launched_ones_give(
    name: str, options: dict[str, Any], recorder: Recorder, poison_empty: None
) -> None:
    """The first call of a shape is launched, the second captured, the third replayed."""
    layer = cello.Recurrent(make(name, torch.float32), initial_state="learned")
    for _ in range(3):
        x = new_x()
        with cello.engine("reference"):
            expected = trained(layer, x, **options)
        with cello.engine("gpu"):
            torch.testing.assert_close(trained(layer, x, **options), expected)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.mul_(0.9)
    assert (recorder.captured, recorder.replayed) == (2, 4)  # of the forward and the backward loop


def test_known_outputs_are_replayed(recorder: Recorder) -> None:
    layer = cello.Recurrent(make("jordan", torch.float32))
    for _ in range(3):
        x, targets = new_x(), torch.randn(4, 3, layer.cell.output_size)
        with cello.engine("reference"):
            expected = trained(layer, x, targets=targets)
        with cello.engine("gpu"):
            torch.testing.assert_close(trained(layer, x, targets=targets), expected)
    assert recorder.captured == 2


def times(layer: cello.Recurrent, many: int, x: Callable[[], Tensor] = new_x, **more: Any) -> None:
    with cello.engine("gpu"), torch.no_grad():
        for _ in range(many):
            layer(x(), **more)


def test_each_shape_is_captured_once(recorder: Recorder) -> None:
    layer = cello.Recurrent(make("gru", torch.float32))
    times(layer, 3)
    times(layer, 3, lambda: new_x(rows=2))
    times(layer, 3, lengths=[4, 3, 1])
    times(layer, 3, lengths=[4, 2, 2])
    assert (recorder.captured, recorder.replayed) == (4, 8)
    times(layer, 3, lambda: new_x(steps=1))  # too few steps
    assert recorder.captured == 4


def test_no_more_than_a_few_calls_are_kept(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in use stay; what was of no use for long makes room."""
    monkeypatch.setattr(replays, "KEPT", 1)
    monkeypatch.setattr(replays, "SEEN", 4)
    layer = cello.Recurrent(make("elman", torch.float32))
    times(layer, 2)
    times(layer, 3, lambda: new_x(rows=2))
    assert recorder.captured == 1
    times(layer, 3, lambda: new_x(rows=2))
    assert recorder.captured == 2


def test_what_cannot_be_captured_runs_and_is_said_once(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(run: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setitem(replays.CAPTURES, "cpu", fails)
    layer, x = cello.Recurrent(make("elman", torch.float32)), new_x()
    with cello.engine("reference"):
        expected = layer(x)[0]
    times(layer, 1)
    with (
        cello.engine("gpu"),
        torch.no_grad(),
        pytest.warns(RuntimeWarning, match="launched one by one, .* not permitted when stream is"),
    ):
        torch.testing.assert_close(layer(x)[0], expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        times(layer, 2)


def test_the_memory_of_a_captured_call_is_kept_as_long_as_the_call(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph knows addresses only: what it reads and writes must not be given to others."""
    held: list[Any] = []

    def addresses_only(run: Any) -> Callable[[], None]:
        held.append(weakref.ref(run.__self__))
        return lambda: None

    monkeypatch.setitem(replays.CAPTURES, "cpu", addresses_only)
    layer = cello.Recurrent(make("lstm", torch.float32), engine="gpu")
    with torch.no_grad():
        for _ in range(2):
            layer(new_x())
    assert [call() is not None for call in held] == [True]
