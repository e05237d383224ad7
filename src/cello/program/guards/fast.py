"""A quick look at what a step can read: whether each thing is still the very same object.

`GuardKey` goes through everything and costs tens of microseconds; between two calls of a layer
nothing has changed, as a rule, and a glance at the places where something could have sees that.
"""

from __future__ import annotations

import weakref
from collections import deque
from itertools import chain
from operator import attrgetter, is_, methodcaller
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from cello.cells import Cell
from cello.cells.apart import hooks_of
from cello.program.guards.key import NOT_READ, GuardKey, looks_into

__all__ = ["FastGuard", "fast_guard_of"]

_values = methodcaller("values")
_code = attrgetter("__code__", "__defaults__", "__kwdefaults__", "__dict__")
_mro = attrgetter("__mro__")
_nothing = object()
# Nothing in them is looked at, or all of it is.
_HAVE_THEIR_OWN = (Tensor, ModuleType, MethodType, nn.Module, FunctionType, type)


class FastGuard:
    """What a look has found, as objects.

    It lives in its cell's own `__dict__`, for it keeps alive what depends on the cell; a copy of
    the cell does not take it along. It does not hold the cell, which goes when nobody needs it.

    Attributes:
        found: whatever is known of the cell as it was then, by whoever made this.
        loops: what engines keep for the cell as it is, by what it is for.
    """

    def __init__(self, cell: Cell, guard_key: GuardKey, found: dict[Any, Any]) -> None:
        self.found = found
        self.loops: dict[Any, Any] = {}
        self._maps: list[Any] = []
        self._lists: list[Any] = []
        self._classes: list[type] = []
        self._functions: list[FunctionType] = []
        self._objects: list[Any] = []
        self._tensors: list[Tensor] = []
        places = [place for _, place in guard_key.places]
        self._variables = [place for place in places if isinstance(place, tuple)] + guard_key.absent
        self._closures = [place for place in places if isinstance(place, CellType)]
        self._holds_by_content = guard_key.by_content
        for value in guard_key.seen:
            self._watch(value, value is cell)
        self._objects_before = self._all(cell)
        self._tensors_before = self._tensors_now()
        cell.__dict__[NOT_READ] = self

    def __reduce__(self) -> Any:
        return object, ()

    def holds(self, cell: Cell) -> bool:
        """Whether nothing has changed since."""
        if self._holds_by_content or self._tensors_now() != self._tensors_before:
            return False
        before, now = self._objects_before, self._all(cell)
        return len(before) == len(now) and all(map(is_, before, now))

    def _watch(self, value: Any, is_cell: bool) -> None:
        if issubclass(type(value), (*weakref.ProxyTypes, torch.jit.ScriptModule)):
            return
        if isinstance(value, nn.Module):
            groups = (value._parameters, value._buffers)
            self._maps += [*groups, value._modules, *hooks_of(value)]
            self._tensors += [t for group in groups for t in group.values() if t is not None]
            if not is_cell:
                self._maps.append(vars(value))
                self._objects.append(value)
        elif isinstance(value, dict):
            self._maps.append(value)
        elif isinstance(value, (list, set, deque)):
            self._lists.append(value)
        elif isinstance(value, FunctionType):
            self._functions.append(value)
        elif isinstance(value, type):
            self._classes.append(value)
            self._maps += [vars(base) for base in value.__mro__ if looks_into(base)]
        if hasattr(value, "__dict__") and not isinstance(value, _HAVE_THEIR_OWN):
            self._objects.append(value)

    def _tensors_now(self) -> list[Any]:
        return [(t.dtype, t.shape, t.requires_grad) for t in self._tensors]

    def _all(self, cell: Cell) -> list[Any]:
        """Every object at a place where another might be."""
        own = vars(cell).copy()
        own.pop(NOT_READ, None)
        step = cell.named_function
        objects = [type(cell), getattr(step, "__func__", step), *own, *own.values()]
        objects += chain.from_iterable(self._maps)
        objects += chain.from_iterable(map(_values, self._maps))
        if self._objects:
            objects += map(type, self._objects)
            objects += map(vars, self._objects)
        if self._classes:
            objects += map(_mro, self._classes)
        if self._lists:
            objects += chain.from_iterable(self._lists)
        if self._functions:
            objects += chain.from_iterable(map(_code, self._functions))
        objects += [space.get(name, _nothing) for space, name in self._variables]
        objects += map(_content, self._closures)
        return objects


def _content(closure: CellType) -> Any:
    try:
        return closure.cell_contents
    except ValueError:  # not set yet
        return _nothing


def fast_guard_of(cell: Cell) -> FastGuard | None:
    """The glance that still holds, if there is one."""
    guard = cell.__dict__.get(NOT_READ)
    return guard if isinstance(guard, FastGuard) and guard.holds(cell) else None
