"""Operations that only move numbers: which element of the result comes from which of an input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cello.program.graph import Op, Value
from cello.program.operations import OPERATIONS

__all__ = ["CUTS", "MOVES", "SAME", "sources"]


def _of_kind(*kinds: str) -> frozenset[str]:
    return frozenset(name for name, entry in OPERATIONS.items() if entry.kind in kinds)


# What keeps every element where it is.
SAME = _of_kind("copy")

# What takes some units out of a value.
CUTS = _of_kind("cut")

# What the first argument (a tensor, or a list of them) holds, in other places or in part.
MOVES = _of_kind(
    *("copy", "cut", "pick", "join", "turn", "reshape", "squeeze", "expand", "move"),
)


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
    first = op.args[0]
    moved: list[Value] = [first] if isinstance(first, Value) else list(first)
    start, numbers = 1, []
    for value in moved:
        shape = known[value].shape
        numbers.append(torch.arange(start, start + shape.numel()).reshape(shape))
        start += shape.numel()
    if op.target._opname in SAME:
        return [(moved, numbers[0].flatten())]
    inside: Any = numbers[0] if isinstance(first, Value) else numbers
    return [(moved, part.flatten()) for part in run(op, (inside, *op.args[1:]))]
