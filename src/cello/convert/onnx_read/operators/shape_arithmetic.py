"""What is computed of shapes, as ints and lists of ints."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor

__all__ = ["SHAPES", "end_of", "ints"]


def ints(value: Any) -> list[Any]:
    """Sizes, axes or places, however they are given."""
    if isinstance(value, Tensor):
        value = value.tolist()
    return list(value) if isinstance(value, (list, tuple)) else [value]


# ------------------------------------------------------------ of shapes, without a tensor


def _pairs(a: Any, b: Any) -> tuple[list[Any], list[Any], bool]:
    one, two = ints(a), ints(b)
    length = max(len(one), len(two))
    flat = not isinstance(a, (list, tuple)) and not isinstance(b, (list, tuple))
    return one * (length // len(one)), two * (length // len(two)), flat


def _of_pairs(f: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def of(*values: Any) -> Any:
        def two(a: Any, b: Any) -> Any:
            one, other, flat = _pairs(a, b)
            found = [f(x, y) for x, y in zip(one, other, strict=True)]
            return found[0] if flat else found

        return reduce(two, values)

    return of


def _divided(a: Any, b: Any) -> Any:
    """ONNX's division of whole numbers cuts off what follows the point."""
    return a // b if isinstance(a, torch.SymInt) or a * b >= 0 else -(-a // b)


def _taken(value: Any, index: Any, **_: Any) -> Any:
    whole = ints(value)
    if isinstance(index, (list, tuple)):
        return [whole[place] for place in index]
    return whole[index]


def _sliced_sizes(value: Any, starts: Any, ends: Any, _: Any = None, steps: Any = None) -> Any:
    step = 1 if steps is None else ints(steps)[0]
    return ints(value)[ints(starts)[0] : end_of(ints(ends)[0], step) : step]


def end_of(end: Any, step: int) -> Any:
    """Of a slice that goes backwards, an end far before the first place is the first place."""
    return None if step < 0 and isinstance(end, int) and end < -(2**31) + 2 else end


def _product(value: Any, _: Any = None, keepdims: int = 1, **__: Any) -> Any:
    found = math.prod(ints(value))
    return [found] if keepdims else found


def _reshaped_sizes(value: Any, shape: Any, **_: Any) -> Any:
    whole, wanted = ints(value), ints(shape)
    if not wanted and len(whole) == 1:
        return whole[0]
    return whole if wanted in ([-1], [len(whole)]) else NotImplemented


#: Of operators that are given sizes only; those that are not here make a tensor of them.
SHAPES: dict[str, Callable[..., Any]] = {
    "Add": _of_pairs(lambda a, b: a + b),
    "Sub": _of_pairs(lambda a, b: a - b),
    "Mul": _of_pairs(lambda a, b: a * b),
    "Div": _of_pairs(_divided),
    "Max": _of_pairs(lambda a, b: a if a == b else max(a, b)),
    "Min": _of_pairs(lambda a, b: a if a == b else min(a, b)),
    "Concat": lambda *values, **_: [n for value in values for n in ints(value)],
    "Gather": _taken,
    "Slice": _sliced_sizes,
    "Squeeze": lambda value, *_: ints(value)[0] if len(ints(value)) == 1 else value,
    "Unsqueeze": lambda value, axes: [value] if ints(axes) == [0] else NotImplemented,
    "Reshape": _reshaped_sizes,
    "Cast": lambda value, to="": value if to == "int64" else NotImplemented,
    "ReduceProd": _product,
}
