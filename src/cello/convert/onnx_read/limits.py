"""How many numbers a node makes, told before it runs where that can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.errors import ModelError

__all__ = ["GROWING", "MOST", "Limits", "TooLargeError", "numbers_of", "shape_of"]

#: Numbers of a tensor that is computed while a file is read; or so many times as many as are in it.
MOST, _TIMES = 2**26, 4
#: All tensors together may be so many times as large.
_TOGETHER = 16
#: Operators that say themselves how large what they make is.
GROWING = ("Expand", "ConstantOfShape", "Tile", "Range", "OneHot", "Pad")
_MOVES = (
    "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Flatten",
    "Shape", "Size", "ints", "item", "unflatten", "state", "Cast", "LayerNormalization",
    "BatchNormalization", "Trilu", "CumSum", "ReverseSequence",
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
    if name in ("Conv", "MaxPool", "AveragePool"):
        return _windows(counts, shapes, options)
    if name in _MOVES or name.startswith("Reduce") or len(shapes) == 1:
        return max(counts)
    try:
        if name in ("MatMul", "Gemm"):
            return _product(shapes[0], shapes[1], options)
        return math.prod(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        return max(counts)


def _product(a: tuple[int, ...], b: tuple[int, ...], options: dict[str, Any]) -> int:
    if min(len(a), len(b)) < 2:
        return max(math.prod(a), math.prod(b))
    rows = a[-1] if options.get("transA") else a[-2]
    columns = b[-2] if options.get("transB") else b[-1]
    return rows * columns * math.prod(torch.broadcast_shapes(a[:-2], b[:-2]))


def _windows(
    counts: Sequence[int], shapes: Sequence[tuple[int, ...]], options: dict[str, Any]
) -> int:
    """Of what is padded, and of what comes out: no more windows than places."""
    length = max(1, shapes[0][-1]) if shapes[0] else 1
    padded = length + sum(abs(n) for n in options.get("pads", ()))
    rows = counts[0] // length
    if len(shapes) > 1 and len(shapes[0]) == 3:  # [B, channels, T], and how many come out
        rows = shapes[0][0] * max(shapes[0][1], *shapes[1][:1])
    return max(*counts, rows * padded)


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


class TooLargeError(ModelError):
    """A node makes more numbers than are computed of a file."""


class Limits:
    """How much may be computed of a file: what grows with the file, not with what it says.

    Attributes:
        in_file: how many numbers stand in the file, as far as it has been read.
        made: how many have been computed.
    """

    def __init__(self) -> None:
        self.in_file = self.made = 0

    def before(self, what: str | nn.Module, values: Sequence[Any], options: dict[str, Any]) -> None:
        """Refuse a node that makes a huge tensor of small ones.

        Raises:
            TooLargeError: it does.
        """
        if isinstance(what, (nn.Linear, nn.Conv1d)):
            weight = what.weight
            given = {"pads": what.padding * 2} if isinstance(what, nn.Conv1d) else {"transB": 1}
            name = "Conv" if isinstance(what, nn.Conv1d) else "Gemm"
            self._check(numbers_of(name, [*values, weight], given))
        elif isinstance(what, str):
            self._check(numbers_of(what, values, options))

    def after(self, result: Any) -> None:
        """The same of what could not be told before, and of all results together.

        Raises:
            TooLargeError: it is huge.
        """
        parts = result if isinstance(result, (tuple, list)) else [result]
        count = sum(part.numel() for part in parts if isinstance(part, Tensor))
        self._check(count)
        self.made += count
        if self.made > _TOGETHER * self._most:
            raise TooLargeError(f"it and the nodes before it make {self.made:,} numbers")

    @property
    def _most(self) -> int:
        return max(MOST, _TIMES * self.in_file)

    def _check(self, count: int) -> None:
        if count > self._most:
            raise TooLargeError(f"it makes a tensor of more than {self._most:,} numbers")
