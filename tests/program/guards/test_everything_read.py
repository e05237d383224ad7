"""A change of anything that a step reads is seen by both looks: the whole one and the quick one."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import cello
from cello.program.guards.fast import FastGuard
from cello.program.guards.key import GuardKey


class Settings:
    k = 1.0


class Others:
    k = 5.0


class Plain(Settings):
    """Has no attributes of its own."""


class WithAttribute(Settings):
    def __init__(self) -> None:
        self.z = 0.0


class Row(list):
    k = 1.0


class Table(dict):
    k = 1.0


class Ordered(OrderedDict):
    k = 1.0


class Queue(deque):
    k = 1.0


def noted(q: float = 1.0, *, r: float = 1.0) -> None:
    """A function with defaults and an attribute."""


noted.k = 1.0


def called() -> Any:
    """A partial function with an attribute."""
    made = partial(noted, r=1.0)
    made.k = 1.0
    return made


THINGS: dict[str, Callable[[], Any]] = {
    "plain": Plain,
    "with attribute": WithAttribute,
    "row": lambda: Row([1.0]),
    "table": lambda: Table(a=1.0),
    "ordered": lambda: Ordered(a=1.0, b=1.0),
    "queue": lambda: Queue([1.0]),
    "function": lambda: noted,
    "partial": called,
}
CHANGES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "an attribute of the class": ("plain", lambda _: setattr(Settings, "k", 2.0)),
    "the bases": ("plain", lambda _: setattr(Plain, "__bases__", (Others,))),
    "a first attribute": ("plain", lambda thing: setattr(thing, "k", 2.0)),
    "an attribute of its class": ("with attribute", lambda _: setattr(Settings, "k", 2.0)),
    "its bases": ("with attribute", lambda _: setattr(WithAttribute, "__bases__", (Others,))),
    "of a list": ("row", lambda thing: setattr(thing, "k", 2.0)),
    "of the class of a list": ("row", lambda _: setattr(Row, "k", 2.0)),
    "of a dict": ("table", lambda thing: setattr(thing, "k", 2.0)),
    "all of a function": ("function", lambda thing: setattr(thing, "__dict__", {"k": 2.0})),
    "a default": ("function", lambda thing: setattr(thing, "__defaults__", (2.0,))),
    "a default by name": ("function", lambda thing: thing.__kwdefaults__.update(r=2.0)),
    "what a partial gives": ("partial", lambda thing: thing.keywords.update(r=2.0)),
    "a partial anew": ("partial", lambda thing: thing.__setstate__((print, (), {}, {"k": 2.0}))),
    "of a partial": ("partial", lambda thing: setattr(thing, "k", 2.0)),
    "in a list": ("row", lambda thing: thing.append(2.0)),
    "in a queue": ("queue", lambda thing: thing.appendleft(2.0)),
    "in a dict": ("table", lambda thing: thing.update(a=2.0)),
    "the order of a dict": ("ordered", lambda thing: thing.move_to_end("a")),
}


class Reading(cello.Cell):
    state = ("h",)

    def __init__(self, thing: Any) -> None:
        super().__init__(3, 3)
        self.things = (thing,)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(x + h / 2) * self.things[0].k
        return h, (h,)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    Settings.k = Row.k = 1.0
    Plain.__bases__ = WithAttribute.__bases__ = (Settings,)
    noted.__dict__ = {"k": 1.0}
    noted.__defaults__, noted.__kwdefaults__ = (1.0,), {"r": 1.0}


@pytest.mark.parametrize("what", list(CHANGES))
def test_a_change_is_seen(what: str) -> None:
    name, change = CHANGES[what]
    thing = THINGS[name]()
    cell, x = Reading(thing), torch.randn(2, 2, 3)
    key = GuardKey(cell)
    guard = FastGuard(cell, key, {})
    assert guard.holds(cell)
    assert GuardKey(cell).key == key.key
    layer = cello.Recurrent(cell)
    for _ in range(2):
        layer(x)
    change(thing)
    assert not guard.holds(cell)
    assert GuardKey(cell).key != key.key
    found = layer(x)[0]
    with cello.engine("reference"):
        torch.testing.assert_close(found, layer(x)[0])
