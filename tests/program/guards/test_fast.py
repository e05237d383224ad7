"""A glance sees every change that a look sees, and keeps no cell alive."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn

import cello
from cello.program.guards.fast import FastGuard, fast_guard_of
from cello.program.guards.key import GuardKey
from tests.program.guards import test_fast, test_key
from tests.program.guards.test_key import as_it_was  # noqa: F401


def glanced(cell: cello.Cell) -> FastGuard:
    FastGuard(cell, GuardKey(cell), {})
    guard = fast_guard_of(cell)
    assert guard is not None
    return guard


@pytest.mark.parametrize("what", test_key.CHANGES)
def test_it_sees_what_a_look_sees(what: str) -> None:
    cell, change = test_key.CHANGES[what]()
    FastGuard(cell, GuardKey(cell), {})
    assert (fast_guard_of(cell) is None) == (
        what == "an array"
    )  # known by what it holds: never sure
    change(cell)
    assert fast_guard_of(cell) is None


def test_it_holds_as_long_as_nothing_changes() -> None:
    cell = cello.LSTMCell(3, 4)
    guard = glanced(cell)
    with torch.no_grad():
        cell.W.zero_()  # what parameters hold is no part of a program
    cello.Recurrent(cell)(torch.zeros(2, 1, 3))
    assert guard.holds(cell)
    cell.gates = ("i", "f", "g", "o")
    assert not guard.holds(cell)


class Named(test_key.Base):
    def factor(self):
        return absent  # noqa: F821


def test_it_sees_a_global_that_was_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Named()
    guard = glanced(cell)
    monkeypatch.setattr(test_fast, "absent", 2.0, raising=False)
    assert not guard.holds(cell)


def test_it_sees_another_class_and_another_dict() -> None:
    cell = test_key.ByOptions(options={"all": [test_key.Options()]})
    guard = glanced(cell)
    cell.options["all"][0].__dict__ = {"scale": 2.0}
    assert not guard.holds(cell)
    guard = glanced(cell)
    cell.__class__ = test_key.Base
    assert not guard.holds(cell)


def test_it_sees_hooks_and_dtypes() -> None:
    cell = test_key.Base()
    guard = glanced(cell)
    cell.W.register_forward_hook(lambda *_: None)
    assert not guard.holds(cell)
    guard = glanced(cell)
    cell.W.weight.data = cell.W.weight.data.double()
    assert not guard.holds(cell)


@pytest.mark.parametrize("cell", [cello.LSTMCell(3, 4), test_key.Base()])
def test_a_cell_goes_when_nobody_needs_it(cell: cello.Cell) -> None:
    cell = copy.deepcopy(cell)
    cello.Recurrent(cell)(torch.zeros(2, 1, 3))
    assert fast_guard_of(cell) is not None
    gc.disable()
    try:
        watch = weakref.ref(cell)
        del cell
        assert watch() is None
    finally:
        gc.enable()


def test_a_cell_that_holds_itself_goes_as_well() -> None:
    cell = test_key.Base(again=nn.Module())
    cell.again.owner = [cell]
    cello.Recurrent(cell)(torch.zeros(2, 1, 3))
    watch = weakref.ref(cell)
    del cell
    gc.collect()
    assert watch() is None


def test_a_copy_has_none() -> None:
    cell = cello.ElmanCell(3, 4)
    glanced(cell)
    assert fast_guard_of(copy.deepcopy(cell)) is None
    assert fast_guard_of(pickle.loads(pickle.dumps(cell))) is None
