"""Shapes of values without their rows, and which operations only cut or join features."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cello.program.graph import Op, Program, Value
from cello.program.operations import argument, axes, facts

__all__ = [
    "AxisPart",
    "axis",
    "closing",
    "features",
    "keeps_last",
    "last",
    "outer",
    "parts_of",
    "reduces",
]


@dataclass(frozen=True)
class AxisPart:
    """`value` is the features of `whole` from `start` on, along the last axis."""

    whole: Value
    value: Value
    start: int


def features(value: Value) -> tuple[int, ...]:
    """The shape of one row."""
    return value.shape[1:]


def last(value: Value) -> int:
    """The length of the last axis of a row; 1 for a row that is a single number."""
    return features(value)[-1] if len(value.shape) > 1 else 1


def outer(value: Value) -> int:
    """How many vectors a row holds."""
    return math.prod(features(value)[:-1])


def axis(number: int, value: Value) -> int:
    """An axis of `value`, counted from the front."""
    return number % len(value.shape)


def closing(program: Program) -> set[Op]:
    """The reshapes whose results no operation reads: only whoever called the step sees the axes."""
    found: set[Op] = set()
    read: set[Value] = set()
    for op in reversed(program.ops):
        if facts(op).kind in ("reshape", "squeeze") and not read.intersection(op.outputs):
            found.add(op)
        else:
            read.update(op.inputs)
    return found


def reduces(op: Op) -> bool:
    """Whether the operation makes one number of many, per row."""
    if op.target._opname in ("max", "min"):  # of two tensors: pointwise
        return bool(op.target._overloadname == "dim")
    return facts(op).kind == "reduction"


def keeps_last(op: Op) -> bool:
    """Whether a reduction goes over other axes than the last, feature by feature."""
    value, along = op.args[0], axes(op)
    return bool(along) and len(value.shape) - 1 not in {axis(a, value) for a in along}


def parts_of(op: Op) -> list[AxisPart] | None:
    """For an operation that cuts or joins along the last axis: what is part of what."""
    name, kind = op.target._opname, facts(op).kind
    if kind not in ("cut", "pick", "join"):
        return None
    (along,), joins = axes(op), kind == "join"
    whole = op.outputs[0] if joins else op.args[0]
    if axis(along, whole) != len(whole.shape) - 1 or not whole.batched:
        return None
    if (kind == "pick" or name == "stack") and len(whole.shape) != 2:
        return None  # single features of several vectors
    if kind == "pick":
        first = argument(op, 2, "index") % last(whole) if name == "select" else 0
        return [AxisPart(whole, out, at) for at, out in enumerate(op.outputs, first)]
    if name == "slice":
        start, step = argument(op, 2, "start", 0) or 0, argument(op, 4, "step", 1)
        if step != 1:
            return None
        start = max(0, start + last(whole)) if start < 0 else min(start, last(whole))
        return [AxisPart(whole, op.outputs[0], start)]
    parts, start = [], 0
    for value in op.args[0] if joins else op.outputs:
        parts.append(AxisPart(whole, value, start))
        start += last(value)
    return parts
