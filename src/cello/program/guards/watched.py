"""The places whose objects two looks compare, to see whether any has been replaced."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from operator import attrgetter, methodcaller
from types import CellType, FunctionType
from typing import Any

from torch import Tensor

from cello.cells import Cell

__all__ = ["GUARD_NAME", "Watched"]

GUARD_NAME = "_fast_guard"  # the attribute under which a cell holds its fast guard

_values = methodcaller("values")
_code = attrgetter("__code__", "__defaults__", "__kwdefaults__", "__dict__")
_mro = attrgetter("__mro__")
_kind = attrgetter("dtype", "shape", "requires_grad")
_nothing = object()
_END = (object(),)


class Watched:
    """Every place that the step of a cell can read, but for the cell's own attributes.

    Attributes:
        maps: dicts, also of attributes; their keys count too.
        lists: lists, sets and deques.
        classes: by their bases; what they define stands in `maps`.
        functions: by their code and defaults.
        objects: by their class and where their attributes stand.
        tensors: by dtype, shape and whether they need a gradient.
        variables: global ones, as (dict, name), whether they are there or not.
        closures: variables of functions around.
    """

    def __init__(self) -> None:
        self.maps: list[Any] = []
        self.lists: list[Any] = []
        self.classes: list[type] = []
        self.functions: list[FunctionType] = []
        self.objects: list[Any] = []
        self.tensors: list[Tensor] = []
        self.variables: list[tuple[dict[str, Any], str]] = []
        self.closures: list[CellType] = []

    def equal(self, cell: Cell) -> list[Any]:
        """What only has to be equal: the names of the cell's own attributes, kinds of tensors."""
        return [*vars(cell), *map(_kind, self.tensors)]

    def all(self, cell: Cell) -> Iterator[Any]:
        """The objects at all places now, the cell's own too; then one that is nowhere else."""
        step = cell.named_function
        first = (type(cell), getattr(step, "__func__", step))
        return chain(first, vars(cell).values(), *self._in_maps, self._rest(), _END)

    @cached_property
    def _in_maps(self) -> list[Any]:
        """The keys and values of the dicts, as they are whenever one looks."""
        return [*self.maps, *map(_values, self.maps)]

    def _rest(self) -> list[Any]:
        """The objects that are in no dict."""
        found: list[Any] = []
        if self.objects:
            found += map(type, self.objects)
            found += map(vars, self.objects)
        if self.classes:
            found += map(_mro, self.classes)
        if self.lists:
            found += chain.from_iterable(self.lists)
        if self.functions:
            found += chain.from_iterable(map(_code, self.functions))
        if self.variables:
            found += [space.get(name, _nothing) for space, name in self.variables]
        if self.closures:
            found += map(_content, self.closures)
        return found


def _content(closure: CellType) -> Any:
    try:
        return closure.cell_contents
    except ValueError:  # not set yet
        return _nothing
