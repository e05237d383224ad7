"""What each operation does to tensors whose rows do not stand first, as one on [B, …].

Each rule takes what is known of the rows, the operation, its arguments and its result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cello.program.graph import leaves_in, map_leaves
from cello.program.operations import OPERATIONS
from cello.program.trace.functions import matmul
from cello.program.trace.rows.row_layout import Made, RowLayout, RowLayouts

__all__ = ["RULES", "Rule", "along", "pointwise"]

aten: Any = torch.ops.aten

Rule = Callable[[RowLayouts, Any, tuple[Any, ...], Any], Made]


def _turn(rows: RowLayouts, func: Any, args: tuple[Any, ...], _result: Tensor) -> Made:
    layout = rows.of(args[0])
    if layout is None:
        return None
    rank = args[0].dim()
    order = list(range(rank))
    if func._opname == "permute":
        order = [axis % rank for axis in args[1]]
    elif rank > 1:
        one, other = (0, 1) if func._opname == "t" else (args[1] % rank, args[2] % rank)
        order[one], order[other] = order[other], order[one]
    at = order.index(layout.at)
    if layout.is_plain and at == 0:
        return None
    kept = [axis for axis in order if axis != layout.at or layout.many > 1]
    moved = [0, *map(layout.axis, kept)]
    same = moved == list(range(len(moved)))
    return [layout.like(layout.rows_first if same else layout.rows_first.permute(moved), at)]


def _unsqueeze(rows: RowLayouts, _func: Any, args: tuple[Any, ...], result: Tensor) -> Made:
    layout, axis = rows.of(args[0]), args[1] % result.dim()
    if layout is None or (layout.is_plain and axis):
        return None
    place = axis + 1 if axis <= layout.at else layout.axis(axis)
    made = layout.rows_first.unsqueeze(place)
    rows.parts[id(made)] = place, [layout.rows_first]
    return [layout.like(made, layout.at + (axis <= layout.at))]


def _pick(rows: RowLayouts, func: Any, args: tuple[Any, ...], _result: Any) -> Made:
    """`select`, `unbind` and `squeeze`: without one of the axes."""
    layout = rows.of(args[0])
    if layout is None:
        return None
    axis = args[1] if len(args) > 1 else None if func._opname == "squeeze" else 0
    if not isinstance(axis, int):
        return None
    axis %= args[0].dim()
    if axis == layout.at or layout.is_plain:
        return None
    size, name = args[0].shape[axis], func._opname
    along, parts = rows.parts.get(id(layout.rows_first), (None, []))
    if along == layout.axis(axis) and (name != "squeeze" or size == 1):
        made = parts if name == "unbind" else [parts[args[2] if name == "select" else 0]]
    else:
        found = func(layout.rows_first, layout.axis(axis), *args[2:])
        made = list(found) if name == "unbind" else [found]
    at = layout.at - (axis < layout.at and (name != "squeeze" or size == 1))
    return [layout.like(part, at) for part in made]


def _cut(rows: RowLayouts, func: Any, args: tuple[Any, ...], _result: Any) -> Made:
    """`slice` and `split`: along another axis; or some of the times that all rows follow."""
    layout = rows.of(args[0])
    place = 1 if func._opname == "slice" else 2
    axis = args[place] % args[0].dim() if len(args) > place else 0
    if layout is None or (layout.is_plain and axis):
        return None
    if axis != layout.at:
        more = list(args[1:]) if len(args) > place else [*args[1:place], 0]
        more[place - 1] = layout.axis(axis)
        made = func(layout.rows_first, *more)
        return [layout.like(part) for part in (made if place == 2 else [made])]
    if layout.inner > 1 or place == 1 or layout.outer == 1:
        return None
    sizes = [args[1]] if isinstance(args[1], int) else args[1]
    if any(size % rows.count for size in sizes):
        return None
    times = [size // rows.count for size in sizes]
    parts = layout.rows_first.split(times if len(times) > 1 else times[0], layout.at + 1)
    outers = [part.shape[layout.at + 1] for part in parts]
    return [
        RowLayout(part if outer > 1 else part.select(layout.at + 1, 0), layout.at, outer)
        for part, outer in zip(parts, outers, strict=True)
    ]


def _join(rows: RowLayouts, func: Any, args: tuple[Any, ...], result: Tensor) -> Made:
    """`cat` and `stack`: along another axis than that of the rows, or all rows once more."""
    parts = [rows.of(part) for part in args[0]]
    axis = (args[1] if len(args) > 1 else 0) % result.dim()
    if not all(parts):
        return None
    known: list[RowLayout] = [part for part in parts if part is not None]
    first = known[0]
    if any(part.at != first.at for part in known):
        return None
    stacks = func._opname == "stack"
    if axis == first.at and not stacks:
        if any(part.inner > 1 for part in known):
            return None
        place = first.at + 1
        wide = [p.rows_first if p.outer > 1 else p.rows_first.unsqueeze(place) for p in known]
        return [RowLayout(torch.cat(wide, place), first.at, sum(part.outer for part in known))]
    if (first.is_plain and axis) or any(part.many != first.many for part in known):
        return None
    place = axis + 1 if stacks and axis <= first.at else first.axis(axis)
    made = func([part.rows_first for part in known], place)
    if stacks:
        rows.parts[id(made)] = place, [part.rows_first for part in known]
    return [first.like(made, first.at + (stacks and axis <= first.at))]


def _expand(rows: RowLayouts, _func: Any, args: tuple[Any, ...], result: Tensor) -> Made:
    layout, more = rows.of(args[0]), result.dim() - args[0].dim()
    if layout is None or (layout.is_plain and not more):
        return None
    wide = layout.rows_first
    for _ in range(more):
        wide = wide.unsqueeze(1)
    sizes = [size for axis, size in enumerate(result.shape) if axis != layout.at + more]
    if layout.many > 1:
        sizes.insert(layout.at + more, layout.many)
    return [layout.like(wide.expand(rows.count, *sizes), layout.at + more)]


def pointwise(rows: RowLayouts, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Made:
    """Element by element, where the rows of all that has some meet."""
    rank = max(tensor.dim() for tensor in leaves_in(args, Tensor))
    layout = [rows.of(t) for t in leaves_in(args, Tensor) if id(t) in rows.with_rows]
    places = {None if one is None else one.at + rank - one.rank for one in layout}
    many = {None if one is None else (one.outer, one.inner) for one in layout}
    if len(places) > 1 or len(many) > 1 or None in places:
        return None
    first = next(one for one in layout if one is not None)
    at = first.at + rank - first.rank

    def aligned(leaf: Any) -> Any:
        own = rows.of(leaf)
        if own is None and not isinstance(leaf, Tensor):
            return leaf
        if own is None:
            place = at - (rank - leaf.dim())
            if place < 0:
                return leaf
            if leaf.shape[place] != 1:
                raise _UnalignedError
            return leaf if first.many > 1 else leaf.squeeze(place)
        tensor = own.rows_first
        for _ in range(rank - own.rank):
            tensor = tensor.unsqueeze(1)
        return tensor

    try:
        made = func(*map_leaves(aligned, list(args)), **map_leaves(aligned, kwargs))
    except _UnalignedError:
        return None
    return [first.like(made, at)]


def along(
    rows: RowLayouts, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> Made:
    """Reductions and their like, along other axes than that of the rows."""
    position, name, _ = OPERATIONS[func._opname].dim or (1, "dim", None)
    layout, rank = rows.of(args[0]), args[0].dim()
    given = args[position] if len(args) > position else kwargs.get(name)
    if layout is None or given is None or given == [] or rows.concerns(args[1:]):
        return None
    axes = [axis % rank for axis in ([given] if isinstance(given, int) else given)]
    if layout.at in axes:
        return None
    moved: Any = [layout.axis(axis) for axis in axes]
    moved = moved[0] if isinstance(given, int) else moved
    more = list(args[1:])
    if len(args) > position:
        more[position - 1] = moved
    else:
        kwargs = kwargs | {name: moved}
    made = func(layout.rows_first, *more, **kwargs)
    parts, results = (made, result) if isinstance(made, (tuple, list)) else ([made], [result])
    before = sum(axis < layout.at for axis in axes)
    return [
        layout.like(part, layout.at - (before if whole.dim() < rank else 0))
        for part, whole in zip(parts, results, strict=True)
    ]


def _product(rows: RowLayouts, _func: Any, args: tuple[Any, ...], result: Tensor) -> Made:
    """A matrix for all rows, at either side; or one for each element of a row."""
    *summand, a, b = args
    one, other = rows.of(a), rows.of(b)
    matrix = a.dim() == 2
    made: RowLayout | None = None
    if matrix and one is not None and one.at == 0 and id(b) not in rows.with_rows:
        made = one.like(matmul(one.rows_first, b))
    elif matrix and other is not None and other.at == 1 and id(a) not in rows.with_rows:
        last = other.rows_first if other.many == 1 else other.rows_first.transpose(1, 2)
        product = matmul(last, a.t())
        made = other.like(product if other.many == 1 else product.transpose(1, 2))
    elif (
        not matrix and one is not None and other is not None and one.at == 0 and one.lies_as(other)
    ):
        made = one.like(matmul(one.rows_first, other.rows_first))
    if made is None or not summand:
        return None if made is None else [made]
    whole = torch.empty(result.shape, device="meta")  # only its place among the summands
    rows.layouts[id(whole)] = made
    rows.with_rows.add(id(whole))
    try:
        return pointwise(rows, aten.add.Tensor, (whole, summand[0]), {})
    finally:
        del rows.layouts[id(whole)]
        rows.with_rows.discard(id(whole))


def _normalized(rows: RowLayouts, func: Any, args: tuple[Any, ...], _result: Any) -> Made:
    """`native_layer_norm`, along the last axes."""
    layout = rows.of(args[0])
    if layout is None or layout.is_plain or layout.at >= args[0].dim() - len(args[1]):
        return None
    return [layout.like(part) for part in func(layout.rows_first, *args[1:])]


class _UnalignedError(Exception):
    """Something without rows has other numbers for each element along their axis."""


RULES: dict[str, Rule] = {
    **dict.fromkeys(("t", "transpose", "permute"), _turn),
    "unsqueeze": _unsqueeze,
    **dict.fromkeys(("select", "unbind", "squeeze"), _pick),
    **dict.fromkeys(("slice", "split", "split_with_sizes"), _cut),
    **dict.fromkeys(("cat", "stack"), _join),
    "expand": _expand,
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm"), _product),
    "native_layer_norm": _normalized,
}
