"""Operations that only move numbers: which element of the result comes from which of an input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cello.cells.tracing import unmoded
from cello.program.evaluate import results_of
from cello.program.graph import BATCH, Op, Value, leaves_in, map_leaves
from cello.program.operations import OPERATIONS, facts

__all__ = ["CUTS", "MOVES", "REARRANGES", "SAME", "Origin", "row_origins", "sources"]

#: Where a feature of a row comes from: which input and which feature of its row (or element, if
#: it has no rows); or a number that the operation fills in.
Origin = tuple[Value, int] | float


def _of_kind(*kinds: str) -> frozenset[str]:
    return frozenset(name for name, entry in OPERATIONS.items() if entry.kind in kinds)


# What keeps every element where it is.
SAME = _of_kind("copy")

# What takes some units out of a value.
CUTS = _of_kind("cut")

# The kinds of what puts elements elsewhere, or leaves some out.
REARRANGES = ("cut", "pick", "join", "turn", "reshape", "squeeze", "expand", "move")

# What the first argument (a tensor, or a list of them) holds, in other places or in part.
MOVES = SAME | _of_kind(*REARRANGES)


def sources(op: Op, known: dict[Value, Tensor], run: Any) -> list[tuple[list[Value], Tensor]]:
    """For each output of `op`, the inputs that it takes from, and where each element comes from.

    It is found by letting the operation move the numbers of the elements themselves. The number
    of an element counts through the inputs one after the other, from 1; 0 is what the operation
    fills in.

    Args:
        op: one of `MOVES`.
        known: the values of the inputs.
        run: runs an operation on given arguments, the other ones being known; see `results_of`.
    """
    moved = _moved(op)
    start, numbers = 1, {}
    for value in moved:
        shape = known[value].shape
        numbers[value] = torch.arange(start, start + shape.numel()).reshape(shape)
        start += shape.numel()
    if op.target._opname in SAME:
        return [(moved, numbers[moved[0]].flatten())]
    return [(moved, part.flatten()) for part in run(op, _with(op, numbers))]


def _moved(op: Op) -> list[Value]:
    """The inputs whose elements are moved."""
    places = facts(op).moved
    return list(dict.fromkeys(leaves_in([op.args[i] for i in places if i < len(op.args)], Value)))


def _with(op: Op, given: Mapping[Value, Any]) -> tuple[Any, ...]:
    """The arguments with tensors in place of the inputs that are moved."""
    args = list(op.args)
    for place in facts(op).moved:
        args[place] = map_leaves(lambda leaf: given.get(leaf, leaf), args[place])
    return tuple(args)


_found: WeakKeyDictionary[Op, list[list[Origin]] | None] = WeakKeyDictionary()
_FAR = 2.0**40  # more than there are features


def row_origins(op: Op) -> list[list[Origin]] | None:
    """For each output of `op`, where each feature of a row comes from.

    None if that is not known, or not the same for every row: some take from other rows.

    Args:
        op: one of `MOVES`.
    """
    if op not in _found:
        with unmoded(), torch.no_grad():
            _found[op] = _row_origins(op)
    return _found[op]


def _row_origins(op: Op) -> list[list[Origin]] | None:
    moved = _moved(op)
    others = leaves_in(_with(op, dict.fromkeys(moved)), Value)
    if any(value.numbers is None for value in others) or list(leaves_in(op.kwargs, Value)):
        return None
    if not all(value.batched for value in op.outputs):
        return None
    few, more = _features_of(op, moved, 2), _features_of(op, moved, 3)
    if few is None or more is None:
        return None
    names: list[Origin] = []
    for value in moved:
        names += [(value, number) for number in range(_size(value))]
    outputs = []
    for (numbers, fills), (again, fills_again) in zip(few, more, strict=True):
        same = torch.equal(numbers, again)
        if not same or not torch.allclose(fills, fills_again, rtol=0, atol=0, equal_nan=True):
            return None
        pairs = zip(numbers.tolist(), fills.tolist(), strict=True)
        outputs.append([names[number] if number >= 0 else fill for number, fill in pairs])
    return outputs


def _size(value: Value) -> int:
    return math.prod(value.shape[1:] if value.batched else value.shape)


def _features_of(op: Op, moved: list[Value], rows: int) -> list[tuple[Tensor, Tensor]] | None:
    """For each output the number of each feature's origin, -1 if it is filled in, and with what.

    The features of the inputs are counted one after the other.
    """
    features, places, start = [], [], 0
    for value in moved:
        numbers = torch.arange(start, start + _size(value), dtype=torch.float64, device="cpu")
        row = torch.full([1], -1.0, dtype=torch.float64, device="cpu")
        if value.batched:
            row = torch.arange(rows, dtype=torch.float64, device="cpu")
            row = row.reshape(-1, *[1] * (len(value.shape) - 1))
        shape = [rows if size is BATCH else size for size in value.shape]
        whole = numbers.reshape(shape[1:] if value.batched else shape)
        features.append(whole.expand(shape).contiguous())
        places.append(row.expand(shape).contiguous())
        start += len(numbers)

    known = {
        value: torch.tensor(value.numbers, device="cpu") for value in op.inputs if value.numbers
    }

    def run(inputs: list[Tensor]) -> tuple[Tensor, ...]:
        return results_of(op, known, rows, args=_with(op, dict(zip(moved, inputs, strict=True))))

    found = []
    for made, far, row in zip(
        run(features), run([f + _FAR for f in features]), run(places), strict=True
    ):
        made, far, row = (part.reshape(rows, -1) for part in (made, far, row))
        is_moved = far - made == _FAR
        filled = (far == made) | (far.isnan() & made.isnan())
        if not (is_moved | filled).all():
            return None  # added up, say
        own = torch.arange(rows, dtype=torch.float64, device="cpu")[:, None]
        if not ((row == own) | (row < 0) | ~is_moved).all():
            return None
        numbers = torch.where(is_moved, made, -1.0).long()
        if not (numbers == numbers[:1]).all():
            return None
        found.append((numbers[0], made[0]))
    return found
