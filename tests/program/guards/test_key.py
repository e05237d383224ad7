"""A program holds as long as nothing has changed that the step can read, however far away."""

from __future__ import annotations

import functools
import gc
import linecache
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cello


@dataclass
class Options:
    scale: float = 0.5


class Base(cello.Cell):
    state = ("h",)
    scale = 0.5

    def __init__(self, **attributes: object) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)
        self.R = nn.Linear(4, 4, bias=False)
        for name, value in attributes.items():
            setattr(self, name, value)

    def step(self, x, h):
        h = self.after(self.W(x) + self.R(h)) * self.factor()
        return h, (h,)

    def after(self, z):
        return torch.tanh(z)

    def factor(self):
        return 1.0


class ByModule(Base):
    def after(self, z):
        return self.act(z)


class ByOptions(Base):
    def factor(self):
        return self.options["all"][0].scale


class ByClass(Base):
    def factor(self):
        return self.scale


FACTOR = 0.5
settings = types.ModuleType("settings_of_a_user")
settings.factor = 0.5


def helper() -> float:
    return FACTOR


class ByGlobal(Base):
    def factor(self):
        return helper()


class ByPythonModule(Base):
    def factor(self):
        return settings.factor


class ByArray(Base):
    def factor(self):
        return float(self.array[0])


class ByDefault(Base):
    def factor(self, numbers=[0.5]):  # noqa: B006
        return numbers[0]


class ByGradient(Base):
    def factor(self):
        return 0.5 if self.W.weight.requires_grad else 2.0


class Tied(Base):
    def step(self, x, h):
        h = torch.tanh(self.W(x) + h @ self.R.weight + h @ self.V)
        return h, (h,)


def by_closure() -> tuple[Base, Callable]:
    number = [0.5]
    return ByModule(act=lambda z: z * number[0]), lambda c: number.__setitem__(0, 2.0)


def untie(cell: Base) -> None:
    cell.V = nn.Parameter(torch.randn(4, 4))


def tied() -> Base:
    cell = Tied()
    cell.V = cell.R.weight
    return cell


def set_global(_cell: Base) -> None:
    global FACTOR
    FACTOR = 3.0


partial = functools.partial(F.leaky_relu, negative_slope=0.1)

CHANGES: dict[str, Callable[[], tuple[Base, Callable]]] = {
    "a module for another": lambda: (
        ByModule(act=nn.Tanh()),
        lambda c: setattr(c, "act", nn.Sigmoid()),
    ),
    "an attribute of an attribute": lambda: (
        ByOptions(options={"all": [Options()]}),
        lambda c: setattr(c.options["all"][0], "scale", 2.0),
    ),
    "an attribute of the class": lambda: (ByClass(), lambda c: setattr(ByClass, "scale", 2.0)),
    "a method": lambda: (
        type("Patched", (Base,), {})(),
        lambda c: setattr(type(c), "after", lambda self, z: z),
    ),
    "a global that a function reads": lambda: (ByGlobal(), set_global),
    "a variable of a Python module": lambda: (
        ByPythonModule(),
        lambda c: setattr(settings, "factor", 2.0),
    ),
    "a closure": by_closure,
    "what a partial passes": lambda: (
        ByModule(act=partial),
        lambda c: partial.keywords.update(negative_slope=0.9),
    ),
    "an array": lambda: (ByArray(array=np.ones(2)), lambda c: c.array.__setitem__(0, 2.0)),
    "a default": lambda: (
        ByDefault(),
        lambda c: ByDefault.factor.__defaults__[0].__setitem__(0, 2.0),
    ),
    "requires_grad": lambda: (ByGradient(), lambda c: c.requires_grad_(False)),
    "parameters tied": lambda: (
        Tied(V=nn.Parameter(torch.randn(4, 4))),
        lambda c: setattr(c, "V", c.R.weight),
    ),
    "parameters untied": lambda: (tied(), untie),
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What the changes have changed outside a cell is put back."""
    global FACTOR
    yield
    ByClass.scale = settings.factor = FACTOR = 0.5
    partial.keywords.update(negative_slope=0.1)
    ByDefault.factor.__defaults__[0][0] = 0.5


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_counts_from_the_next_call(what: str) -> None:
    cell, change = CHANGES[what]()
    layer, x = cello.Recurrent(cell, engine="split"), torch.randn(4, 2, 3)
    before, _ = layer(x)
    change(cell)
    with cello.engine("reference"):
        expected, _ = layer(x)
    found, _ = layer(x)
    torch.testing.assert_close(found, expected)
    if what != "requires_grad":
        assert not torch.allclose(found, before)


def test_a_new_function_at_the_place_of_an_old_one_is_another() -> None:
    cell = ByModule(act=None)
    layer, x = cello.Recurrent(cell, engine="split"), torch.randn(2, 2, 3)
    for number in range(30):
        cell.act = None  # the function before is gone: the next may get its address
        cell.act = functools.partial(torch.mul, torch.full((), number / 30))
        found, _ = layer(x)
        with cello.engine("reference"):
            torch.testing.assert_close(found, layer(x)[0])


def test_nothing_grows_with_the_cells_that_are_gone() -> None:
    x = torch.zeros(2, 1, 3)
    before = generated()
    layer = cello.Recurrent(cello.ElmanCell(3, 2), engine="split")
    layer(x)
    assert generated() > before
    del layer
    assert generated() <= before


def generated() -> set[str]:
    """The functions that the split engine has written and that are still there."""
    for _ in range(3):  # what a collected cell held is collected after it
        gc.collect()
    return {file for file in linecache.cache if file.startswith("<cello ")}


@pytest.mark.filterwarnings("ignore::cello.EngineWarning")
def test_a_refusal_keeps_nothing_alive() -> None:
    class Branching(Base):
        def step(self, x, h):
            h = h + self.W(x) * float(x.detach().sum())
            return h, (h,)

    layer, x = cello.Recurrent(Branching()), torch.zeros(2, 1, 3)
    layer(x)
    watch = [weakref.ref(layer.cell), weakref.ref(x)]
    del layer, x
    gc.collect()
    assert [ref() for ref in watch] == [None, None]


def test_a_cell_that_holds_a_world_is_looked_at_in_bounded_time() -> None:
    cell = Base(world=[[Options() for _ in range(100)] for _ in range(1000)])
    cell.world.append(cell)
    key = cello.program.guards.key.GuardKey(cell).key
    assert len(key) < 10_000


def test_what_is_gone_does_not_matter() -> None:
    options = Options()
    layer = cello.Recurrent(Base(owner=weakref.proxy(options)), engine="split")
    layer(torch.zeros(2, 1, 3))
    del options
    layer(torch.zeros(2, 1, 3))
