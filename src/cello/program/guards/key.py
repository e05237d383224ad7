"""All that a step's own code can read: the cell, what depends on it, what its functions name.

A trace takes what it reads from Python for constant. So a program holds as long as the key made
here is the same, and a step that changes any of it while it runs cannot be traced.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections import deque
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cello.cells import Cell
from cello.cells.isolated import hooks_of
from cello.program.guards.places import Slots, bytes_of
from cello.program.guards.watched import GUARD_NAME, Watched

__all__ = ["GuardKey"]

LIMIT = 2000  # things that are looked at, the nearest first: a bound on the time that a look takes

_PLAIN = frozenset({type(None), bool, int, complex, str, bytes, float})
_INTERNAL = frozenset(vars(nn.Module())) - {"training"} | {GUARD_NAME}


class GuardKey:
    """What `cell.step` can read now.

    Attributes:
        key: hashable; equal to that of another look if nothing has changed in between.
        places: what can be changed, each under its name: lists, dicts, sets, classes, arrays,
            slots, closure variables, and the global variables that functions name, as
            (dict, name).
        watched: the same places for `FastGuard`, written down where they go into the key.
        seen: everything that was looked at and is not plain.
        has_lazy: whether a parameter or buffer still has no shape.
        by_content: whether something is known by what it holds, not by what it is.
    """

    def __init__(self, cell: Cell) -> None:
        self.places: list[tuple[str, Any]] = []
        self.watched = Watched()
        self._cell = cell
        self.by_content = self.has_lazy = False
        self._key: list[Any] = []
        self._seen: dict[int, int] = {}
        self.seen: list[Any] = []  # alive, so that no id is used twice
        self._todo: deque[tuple[str, Any]] = deque()
        self._see("step", cell.named_function)
        self._see("self", cell)
        while self._todo and len(self._seen) < LIMIT:
            self._open(*self._todo.popleft())
        self.key = tuple(self._key)

    def _see(self, name: str, value: Any) -> None:
        """Write down a plain value; anything else is opened when its turn comes."""
        kind = type(value)
        if kind in _PLAIN:
            self._key.append((name, kind, repr(value) if kind is float else value))
            return
        number = self._seen.setdefault(id(value), len(self._seen))
        self._key.append((name, kind, number))
        if number == len(self.seen):
            self.seen.append(value)
            self._todo.append((name, value))

    def _open(self, name: str, value: Any) -> None:
        """Look inside."""
        if issubclass(type(value), weakref.ProxyTypes):
            return  # what it stands for is another's, and may be gone
        if isinstance(value, nn.Module):
            self._module(value)
        elif isinstance(value, Tensor):
            self._key.append(_Same(value))
        elif isinstance(value, FunctionType):
            self._function(name, value)
        elif isinstance(value, MethodType):
            self._see("self", value.__self__)
            self._see(name, value.__func__)
        elif isinstance(value, functools.partial):
            self._attributes(name, value)
            for part in (value.func, value.args, value.keywords):
                self._see(name, part)
        elif isinstance(value, dict):
            self._attributes(name, value)
            self.places.append((name, value))
            self.watched.maps.append(value)
            self._key.append(len(value))
            for key, part in list(value.items()):
                self._see("key", key)
                self._see(f"{name}[{key!r}]" if type(key) in _PLAIN else name, part)
        elif isinstance(value, (tuple, list, set, frozenset, deque)):
            self._attributes(name, value)
            if not isinstance(value, (tuple, frozenset)):
                self.places.append((name, value))
                self.watched.lists.append(value)
            self._key.append(len(value))
            for part in list(value):
                self._see(name, part)
        elif isinstance(value, (staticmethod, classmethod)):
            self._attributes(name, value)
            self._see(name, value.__func__)
        elif isinstance(value, property):
            self._see(name, value.fget)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, ModuleType):
            self._key.append(_Same(value))
        else:
            self._object(name, value)

    def _module(self, module: nn.Module) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            self._key.append(_Same(module))  # what it has is out of reach, and it is not captured
            return
        self._see("class", type(module))
        mine = vars(module)
        groups = (mine, module._parameters, module._buffers, module._modules)
        self.places += [("", group) for group in groups]
        watched = self.watched
        watched.maps += [*groups[1:], *hooks_of(module)]
        if module is not self._cell:  # `Watched.all` looks there, but for the guard itself
            watched.maps.append(mine)
            watched.objects.append(module)
        for name, value in list(mine.items()):
            if name not in _INTERNAL:
                self._see(name, value)
        for group in (module._parameters, module._buffers):
            for name, tensor in group.items():
                if tensor is None:
                    self._key.append(name)
                    continue
                if is_lazy(tensor):
                    self.has_lazy = True
                    continue
                watched.tensors.append(tensor)
                tied = self._seen.setdefault(id(tensor), len(self._seen))
                if tied == len(self.seen):
                    self.seen.append(tensor)
                self._key.append((name, tied, tensor.dtype, tensor.shape, tensor.requires_grad))
        for name, child in module._modules.items():
            self._see(name, child)
        self._key.append(tuple(map(len, hooks_of(module))))

    def _function(self, called: str, function: FunctionType) -> None:
        self.watched.functions.append(function)
        self._key.append(function.__code__)
        if _is_library(function.__module__):
            return
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            self._variable(name, cell)
        for defaults in (function.__defaults__, function.__kwdefaults__):
            self._see("default", defaults)
        self._see(called, vars(function))
        outside, names = function.__globals__, _names(function.__code__)
        for name in names:
            value = outside.get(name)
            if isinstance(value, ModuleType):
                self._place(outside, name)
                if not _is_library(value.__name__):
                    for inner in names:
                        self._global(vars(value), inner)
            else:
                self._global(outside, name)

    def _global(self, namespace: dict[str, Any], name: str) -> None:
        if name in namespace:
            self._place(namespace, name)
            self._see(name, namespace[name])
        else:
            self.watched.variables.append((namespace, name))

    def _place(self, namespace: dict[str, Any], name: str) -> None:
        self.places.append((name, (namespace, name)))
        self.watched.variables.append((namespace, name))

    def _variable(self, name: str, cell: CellType) -> None:
        self.places.append((name, cell))
        self.watched.closures.append(cell)
        try:
            self._see(name, cell.cell_contents)
        except ValueError:  # not set yet
            self._key.append("unset")

    def _class(self, kind: type) -> None:
        self.watched.classes.append(kind)
        self._key += map(_Same, kind.__mro__)
        for base in kind.__mro__:
            if not _looks_into(base):
                continue
            self.watched.maps.append(vars(base))
            self.places.append((base.__name__, base))
            for name, value in list(vars(base).items()):
                if not name.startswith("__") or name == "__call__":
                    self._see(name, value)

    def _object(self, name: str, value: Any) -> None:
        """Anything else: its class and attributes, the bytes of a small array, or itself."""
        if (content := bytes_of(value)) is not None:
            self.by_content = True
            self._key.append(content)
            self.places.append((name, value))
            return
        slots = [s for base in type(value).__mro__ for s in _slots(base)]
        if not getattr(value, "__dict__", None) and not slots:
            self._key.append(_Same(value))
        self._attributes(name, value)
        if slots:
            self.by_content = True
            self.places.append((name, Slots(value, slots)))
        for slot in slots:
            self._see(slot, getattr(value, slot, None))

    def _attributes(self, name: str, value: Any) -> None:
        """The class, if it is not a library's, and the attributes of any object."""
        if _looks_into(type(value)):
            self._see("class", type(value))
        if (inside := getattr(value, "__dict__", None)) is not None:
            self.watched.objects.append(value)
            self._see(name, inside)


class _Same:
    """Equal to itself as long as `value` lives, so that a new object at its place is not it."""

    def __init__(self, value: Any) -> None:
        self.number = id(value)
        try:
            self.value: Any = weakref.ref(value)
        except TypeError:
            self.value = lambda: value

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same):
            return NotImplemented
        mine = self.value()
        return mine is not None and mine is other.value()


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    slots = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(slot for slot in slots if not slot.startswith("__"))


def _looks_into(kind: type) -> bool:
    """Whether what a class defines is looked at: it may change while a program runs."""
    return not _is_library(kind.__module__)


@functools.cache
def _is_library(module: str | None) -> bool:
    """Whether what the module defines stays as it is while a program runs."""
    root = (module or "builtins").partition(".")[0]
    if root in sys.stdlib_module_names or root in ("torch", "cello"):
        return True
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


@functools.lru_cache(maxsize=1024)
def _names(code: CodeType) -> tuple[str, ...]:
    """The global variables and attributes that a function names, inner functions included."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(dict.fromkeys(_names(constant)))
    return tuple(names)
