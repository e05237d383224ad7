"""Shapes of values without their rows, and which operations only cut or join features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cello.program.graph import Op, Program, Value

__all__ = [
    "RESHAPES",
    "AxisPart",
    "argument",
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


def argument(op: Op, position: int, name: str, default: Any = None) -> Any:
    """An argument, wherever it stands."""
    return op.args[position] if len(op.args) > position else op.kwargs.get(name, default)


def axis(number: int, value: Value) -> int:
    """An axis of `value`, counted from the front."""
    return number % len(value.shape)


_ALONG_LAST = {
    "split": 2, "split_with_sizes": 2, "chunk": 2, "slice": 1, "cat": 1, "stack": 1, "select": 1,
    "unbind": 1,
}  # fmt: skip
_REDUCE = {
    "sum", "mean", "amax", "amin", "max", "min", "var", "std", "logsumexp", "linalg_vector_norm",
}  # fmt: skip


RESHAPES = ("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze")


def closing(program: Program) -> set[Op]:
    """The reshapes whose results no operation reads: only whoever called the step sees the axes."""
    found: set[Op] = set()
    read: set[Value] = set()
    for op in reversed(program.ops):
        if op.target._opname in RESHAPES and not read.intersection(op.outputs):
            found.add(op)
        else:
            read.update(op.inputs)
    return found


def reduces(op: Op) -> bool:
    """Whether the operation makes one number of many, per row."""
    name = op.target._opname
    if name in ("max", "min"):  # of two tensors: pointwise
        return op.target._overloadname == "dim"
    return name in _REDUCE


def keeps_last(op: Op) -> bool:
    """Whether a reduction goes over other axes than the last, feature by feature."""
    value, position = op.args[0], 2 if op.target._opname == "linalg_vector_norm" else 1
    axes = argument(op, position, "dim")
    axes = [axes] if isinstance(axes, int) else axes
    return bool(axes) and len(value.shape) - 1 not in {axis(a, value) for a in axes}


def parts_of(op: Op) -> list[AxisPart] | None:
    """For an operation that cuts or joins along the last axis: what is part of what."""
    name = op.target._opname
    if name not in _ALONG_LAST:
        return None
    along = argument(op, _ALONG_LAST[name], "dim", 0)
    joins = name in ("cat", "stack")
    whole = op.outputs[0] if joins else op.args[0]
    if axis(along, whole) != len(whole.shape) - 1 or not whole.batched:
        return None
    if name in ("select", "unbind", "stack") and len(whole.shape) != 2:
        return None  # single features of several vectors
    if name in ("select", "unbind"):
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
