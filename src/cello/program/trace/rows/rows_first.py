"""Tensors of a step whose rows do not stand first, each kept with its rows first.

`h.unsqueeze(0)` is [1, B, H], as PyTorch's layers want it; `h.t()` is [H, B]; and
`h.view(B * heads, -1)` puts the rows and the heads into one axis. A program has its rows along the
first axis. So what follows such a tensor is written down of one that holds the same numbers with
the rows first, until they stand there again by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.program.graph import leaves_in
from cello.program.operations import OPERATIONS
from cello.program.trace.rows.row_layout import Made, RowLayout, RowLayouts
from cello.program.trace.rows.row_layout_rules import RULES, Rule, along, pointwise

__all__ = ["Places", "RowsFirst"]

_VIEWS = frozenset({"view", "_unsafe_view"})

# What may move the rows away from the first axis.
_ENTERING = _VIEWS.union(
    "t transpose permute unsqueeze split split_with_sizes cat stack expand".split()
)


class Places:
    """Where rows lie, as the first of several traces has found: of one row it cannot be seen.

    Attributes:
        after_views: where the rows lie after each change of shape, as (axis, outer, inner).
        enters: whether each operation has moved the rows away from the first axis.
    """

    def __init__(self) -> None:
        self.after_views: list[tuple[int, int, int] | None] = []
        self.enters: list[bool] = []
        self.is_found = False


class RowsFirst(RowLayouts):
    """The tensors of one trace; where rows do not stand first, a copy with its rows first.

    Args:
        count: how many rows there are.
        places: what the first trace has found.
    """

    def __init__(self, count: int, places: Places) -> None:
        super().__init__(count)
        self.places = places
        self.is_first, places.is_found = not places.is_found, True
        self.views = self.asked = 0  # how much of the places has been used
        self.is_inside = False  # while it moves the rows itself

    def knows(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether an operation may leave something whose rows lie elsewhere."""
        if self.is_inside or func._schema.is_mutable:
            return False
        if torch.Tag.nondeterministic_seeded in func.tags:
            return False
        if not self.concerns((args, kwargs)):
            if torch.Tag.pointwise in func.tags:
                return self._is_widened(args)
            return func._opname in _ENTERING and not kwargs and self.is_by_row(args)
        entry = OPERATIONS.get(func._opname)
        if func._opname in RULES or func._opname in _VIEWS:
            return not kwargs
        known = entry is not None and (entry.kind == "copy" or entry.dim is not None)
        return known or torch.Tag.pointwise in func.tags

    def _is_widened(self, args: tuple[Any, ...]) -> bool:
        """Whether a tensor without rows has more axes, which move the rows of the others."""
        ranks = [(tensor.dim(), id(tensor) in self.with_rows) for tensor in leaves_in(args, Tensor)]
        own = [rank for rank, has_rows in ranks if has_rows]
        return bool(own) and max(rank for rank, _ in ranks) > max(own)

    def made(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Made:
        """The results of an operation that it knows, with rows first; None: they stay as they are.

        It is called where operations are written down, after `func` has made the `result` out of
        sight.
        """
        self.is_inside = True
        try:
            return self._made(func, args, kwargs, result)
        finally:
            self.is_inside = False

    def _made(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Made:
        if func._opname in _VIEWS:
            return self._view(args, result)
        if rule := RULES.get(func._opname):
            if self.concerns(args):
                return rule(self, func, args, result)
            return self._entered(rule, func, args, result)
        if torch.Tag.pointwise in func.tags:
            return pointwise(self, func, args, kwargs)
        if OPERATIONS[func._opname].kind == "copy":
            layout = self.layouts[id(args[0])]
            kwargs = {name: given for name, given in kwargs.items() if name != "memory_format"}
            return [layout.like(func(layout.rows_first, *args[1:], **kwargs))]
        return along(self, func, args, kwargs, result)

    def _entered(self, rule: Rule, func: Any, args: tuple[Any, ...], result: Any) -> Made:
        """The same for tensors with their rows first; the first trace decides for all."""
        if self.is_first:
            made = rule(self, func, args, result)
            self.places.enters.append(made is not None)
            return made
        enters = self.places.enters[self.asked : self.asked + 1] == [True]
        self.asked += 1
        return rule(self, func, args, result) if enters else None

    def _view(self, args: tuple[Any, ...], result: Tensor) -> Made:
        layout = self.of(args[0])
        if layout is None:
            return None
        shape, old = list(result.shape), args[0].shape
        after_views = self.places.after_views
        if self.is_first:
            before = math.prod(old[: layout.at]) * layout.outer
            after = math.prod(old[layout.at + 1 :]) * layout.inner
            after_views.append(_place(shape, before, self.count, after))
        place = after_views[self.views] if self.views < len(after_views) else None
        self.views += 1
        if place is None or (layout.is_plain and place == (0, 1, 1)):
            return None
        at, outer, inner = place
        axis = [outer * inner] if outer * inner > 1 else []
        wanted = [self.count, *shape[:at], *axis, *shape[at + 1 :]]
        moved = layout.rows_first
        if list(moved.shape) != wanted:
            moved = moved.reshape(wanted)
        return [RowLayout(moved, at, outer, inner)]


def _place(shape: Sequence[int], before: int, rows: int, after: int) -> tuple[int, int, int] | None:
    """Which axis of a shape holds the rows, and how: (axis, outer, inner).

    So many elements come `before` the rows and `after` each of them, in the order of memory.
    """
    for axis, size in enumerate(shape):
        outer, rest = divmod(before, math.prod(shape[:axis]) or 1)
        inner, left = divmod(after, math.prod(shape[axis + 1 :]) or 1)
        if not rest and not left and size == outer * rows * inner:
            return axis, outer, inner
    return None
