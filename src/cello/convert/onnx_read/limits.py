"""How many numbers an operator makes, told before it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.errors import ModelError

__all__ = ["GROWING", "MOST", "check_size", "numbers_of", "shape_of"]

#: Numbers of a tensor that is computed while a file is read.
MOST = 2**26
#: Operators that say themselves how large what they make is.
GROWING = ("Expand", "ConstantOfShape", "Tile", "Range", "OneHot", "Pad")
_MOVES = (
    "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Flatten",
    "Shape", "Size", "ints", "item", "unflatten", "state", "Cast", "LayerNormalization",
    "BatchNormalization", "Conv", "Trilu", "CumSum", "ReverseSequence", "MaxPool", "AveragePool",
)  # fmt: skip


def shape_of(sample: Any) -> tuple[int, ...]:
    """The shape of a tensor, or of a list of sizes."""
    if isinstance(sample, Tensor):
        return tuple(sample.shape)
    return (len(sample),) if isinstance(sample, list) else ()


def numbers_of(name: str, values: Sequence[Any], options: dict[str, Any]) -> int:
    """How many numbers an operator makes of these, at most."""
    shapes = [shape_of(value) for value in values if value is not None]
    if not shapes:
        return 0
    counts = [math.prod(shape) for shape in shapes]
    if name in GROWING:
        return _grown(name, values, shapes)
    if name == "Gather" and len(shapes) == 2 and shapes[0]:
        return counts[1] * counts[0] // max(1, shapes[0][options.get("axis", 0)])
    if name in ("Concat", "stack"):
        return sum(counts)
    if name == "Einsum":
        return math.prod(counts)
    if name in ("MatMul", "Gemm"):
        narrow = min(min(shape[-2:], default=1) for shape in shapes[:2])
        return counts[0] * counts[1] // max(1, narrow)
    if name in _MOVES or name.startswith("Reduce") or len(shapes) == 1:
        return max(counts)
    try:
        return math.prod(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        return max(counts)


def _grown(name: str, values: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> int:
    def told(place: int) -> list[float]:
        value = values[place]
        numbers = value.flatten().tolist() if isinstance(value, Tensor) else value
        return [abs(n) for n in (numbers if isinstance(numbers, list) else [numbers])]

    if name == "Range":
        start, limit, delta = (float(torch.as_tensor(value)) for value in values)
        return int(abs(limit - start) / abs(delta)) if delta else 0
    if name == "ConstantOfShape":
        return int(math.prod(told(0)))
    count = math.prod(shapes[0])
    if name == "Pad":
        return int(math.prod(size + sum(told(1)) for size in shapes[0]))
    return int(count * math.prod(max(1, n) for n in told(1)))


def check_size(name: str, values: Sequence[Any], options: dict[str, Any]) -> None:
    """Refuse an operator that makes a huge tensor of small ones.

    Raises:
        ModelError: it does.
    """
    given = max((math.prod(shape_of(value)) for value in values), default=0)
    if numbers_of(name, values, options) > max(MOST, 4 * given):
        raise ModelError(f"it makes a tensor of more than {MOST:,} numbers")
