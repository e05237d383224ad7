"""The inputs of a graph: which numbers, of which shape; and some to try."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cello.convert.onnx_read.file import dtype_name
from cello.convert.onnx_read.limits import MOST
from cello.convert.onnx_read.operators.computing import DTYPES
from cello.errors import ModelError
from cello.ranges import shown

__all__ = ["Input", "draw", "inputs_of", "sizes_of"]


@dataclass(frozen=True)
class Input:
    """An input of a graph.

    Attributes:
        name: of the input.
        dtype: of its numbers.
        dims: its sizes; a name for one that is open.
    """

    name: str
    dtype: torch.dtype
    dims: tuple[int | str, ...]

    def shape(self, sizes: Mapping[str, int]) -> list[int]:
        """Its shape, where open sizes are these.

        Raises:
            ModelError: it holds more numbers than can be tried.
        """
        shape = [sizes[size] if isinstance(size, str) else size for size in self.dims]
        if math.prod(shape) > MOST:
            raise ModelError(f"the input {shown(self.name)} is {shown(shape)}, too large to try")
        return shape


def inputs_of(graph: Any) -> list[Input]:
    """The inputs that a call must give: those that have no value in the file.

    Raises:
        ModelError: one has no shape, or is no tensor.
    """
    has_value = {tensor.name for tensor in graph.initializer}
    found: list[Input] = []
    for info in graph.input:
        if info.name in has_value:
            continue
        kind = info.type.tensor_type
        if not info.type.HasField("tensor_type") or not kind.HasField("shape"):
            raise ModelError(f"the input {shown(info.name)} has no shape, or is no tensor")
        if info.name in {part.name for part in found}:
            raise ModelError(f"the input {shown(info.name)} stands there twice")
        dims: list[int | str] = []
        for axis, size in enumerate(kind.shape.dim):
            fixed = size.HasField("dim_value") and size.dim_value >= 0  # -1 is any, for exporters
            if fixed and size.dim_value < 1:
                raise ModelError(f"the input {shown(info.name)} is empty")
            open_size = size.dim_param or f"{info.name}[{axis}]"
            dims.append(size.dim_value if fixed else open_size)
        if len(dims) > 8:
            raise ModelError(f"the input {shown(info.name)} has {len(dims)} axes")
        found.append(Input(info.name, DTYPES[dtype_name(kind.elem_type)], tuple(dims)))
    return found


def sizes_of(inputs: Sequence[Input], numbers: Sequence[int]) -> dict[str, int]:
    """Sizes for those that are open, from these numbers, over and over."""
    names = list(dict.fromkeys(s for part in inputs for s in part.dims if isinstance(s, str)))
    return {name: numbers[place % len(numbers)] for place, name in enumerate(names)}


def draw(part: Input, sizes: Mapping[str, int], seed: int, limit: int = 2, low: int = 0) -> Tensor:
    """Random numbers for an input: whole ones from `low` to below `limit`."""
    generator = torch.Generator().manual_seed(seed)
    shape = part.shape(sizes)
    if part.dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(part.dtype)
    if part.dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    return torch.randint(low, max(low + 1, limit), shape, generator=generator).to(part.dtype)
