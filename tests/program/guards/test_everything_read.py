"""A change of anything that a step reads is seen by both looks: the whole one and the quick one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def noted() -> None:
    """A function with an attribute."""


noted.k = 1.0
THINGS: dict[str, Any] = {
    "plain": Plain(),
    "with attribute": WithAttribute(),
    "row": Row([1.0]),
    "table": Table(a=1.0),
    "function": noted,
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
    for thing in (THINGS["plain"], THINGS["row"], THINGS["table"]):
        vars(thing).clear()
    noted.__dict__ = {"k": 1.0}


@pytest.mark.parametrize("what", list(CHANGES))
def test_a_change_is_seen(what: str) -> None:
    name, change = CHANGES[what]
    thing = THINGS[name]
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
