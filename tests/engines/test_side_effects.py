"""Capturing a step leaves no trace in what the step changes, and sees what it reads."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import cello
from cello.errors import CaptureError
from cello.program import capture
from tests.engines.test_unseen import made


class Counter:
    """What a step can count with, in all ways in which Python keeps something."""

    __slots__ = ("number",)
    of_class = 0

    def __init__(self) -> None:
        self.number = 0


def helper() -> None:
    helper.calls = getattr(helper, "calls", 0) + 1


VARIABLE: ContextVar[int] = ContextVar("counted", default=0)


def counting(self: Any, x: Tensor, h: Tensor) -> Tensor:
    self.counter.number += 1
    type(self.counter).of_class += 1
    helper()
    self.array[0] += 1
    VARIABLE.set(VARIABLE.get() + 1)
    self.dice.random()
    self.generator.random()
    self.state_of_random.rand()
    torch.rand(3, generator=self.torchs)
    return h


def test_capture_leaves_no_trace() -> None:
    cell: Any = made(counting)
    cell.counter, cell.array = Counter(), np.zeros(2)
    cell.dice, cell.generator = random.Random(1), np.random.default_rng(1)
    cell.state_of_random = np.random.RandomState(1)
    cell.torchs = torch.Generator().manual_seed(1)
    with pytest.raises(CaptureError, match=r"changes the cell itself \(Counter, array, counter, "):
        capture(cell)
    assert (cell.counter.number, Counter.of_class, cell.array[0], VARIABLE.get()) == (0, 0, 0, 0)
    assert not hasattr(helper, "calls")
    assert cell.dice.random() == random.Random(1).random()
    assert cell.generator.random() == np.random.default_rng(1).random()
    assert cell.state_of_random.rand() == np.random.RandomState(1).rand()
    assert torch.equal(cell.torchs.get_state(), torch.Generator().manual_seed(1).get_state())


def numbers() -> Any:
    yield from range(100)


@pytest.mark.parametrize("iterator", [itertools.count, numbers, lambda: iter([0, 1, 2, 3, 4])])
def test_a_step_may_take_from_an_iterator(iterator: Callable[[], Any]) -> None:
    cell: Any = made(lambda self, x, h: h + next(self.numbers))
    cell.numbers = iterator()
    with pytest.warns(cello.EngineWarning, match="can reach an iterator"):
        cello.Recurrent(cell)(torch.zeros(3, 2, 3))
    assert next(cell.numbers) == 3


def test_an_attribute_of_a_function_is_looked_at() -> None:
    def scaled(h: Tensor) -> Tensor:
        return h * scaled.by

    scaled.by = 1.0
    layer, x = cello.Recurrent(made(lambda self, x, h: scaled(h))), torch.randn(3, 2, 3)
    with cello.engine("split"):
        layer(x)
        scaled.by = 3.0
        y, _ = layer(x)
    with cello.engine("reference"):
        torch.testing.assert_close(y, layer(x)[0])


def test_a_constant_of_inference_mode_is_captured() -> None:
    with torch.inference_mode():
        constant = torch.rand(3)
    capture(made(lambda self, x, h: h + x * constant))
