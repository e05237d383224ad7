"""The layers that a recording's file describes: checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from cello.engines import Packing
from cello.errors import ModelError
from cello.layers import Steps
from cello.ranges import Range, check_table, shown, whole
from cello.see.recording.rows import LayerRows

__all__ = ["layer_rows"]

_COUNT = whole(0, 2**31 - 1)
_KEY = Range(str, lambda _: True, "a text", optional=True)
_RULES = {
    "layer": Range(str, lambda _: True, "a text"),
    "length": _COUNT,
    "batch_size": _COUNT,
    "batch_sizes": Range(
        list,
        lambda sizes: (
            all(type(n) is int and n > 0 for n in sizes) and all(a >= b for a, b in pairwise(sizes))
        ),
        "a list of whole numbers from 1, never growing",
    ),
    "index": _KEY,
    "lengths": _KEY,
    "rows": Range(
        dict, lambda rows: all(isinstance(v, str) for v in rows.values()), "a table of names"
    ),
}

#: With padding, a recording takes at most this many times the memory of what was recorded.
_MOST_PADDING = 1000
_NUMBERS = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
    *(torch.complex128, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)


def layer_rows(described: Any, tensors: Mapping[str, Tensor], place: str) -> LayerRows:
    """The values of one layer.

    Args:
        described: what the file says of it.
        tensors: all of the file, by name.
        place: what errors call it, such as "layers[0]".

    Raises:
        ModelError: an entry is missing or not what it must be, or the tensors do not have the
            shapes that the entries say.
    """
    described = check_table(described, place, _RULES)

    def tensor(name: str | None) -> Tensor | None:
        if name is not None and name not in tensors:
            raise ModelError(f"{place}: there is no tensor {shown(name)}")
        return None if name is None else tensors[name]

    T, B, sizes = (described[key] for key in ("length", "batch_size", "batch_sizes"))
    index, lengths = (tensor(described[key]) for key in ("index", "lengths"))
    rows = {name: tensor(key) for name, key in described["rows"].items()}
    if problem := _problem(T, B, sizes, index, lengths, rows):
        raise ModelError(f"{place}: {problem}")
    packing = None if index is None else Packing(index, None, T * B)
    steps = Steps(torch.empty(0), sizes, T, B, packing, lengths, "TB")
    return LayerRows(described["layer"], steps, rows)  # type: ignore[arg-type]  # none is None


def _problem(
    T: int,
    B: int,
    sizes: list[int],
    index: Tensor | None,
    lengths: Tensor | None,
    rows: Mapping[str, Any],
) -> str | None:
    """The first thing in the description of a layer that is inconsistent; None if there is none."""
    N = sum(sizes)
    if len(sizes) > T or (sizes and sizes[0] > B):
        return f"batch_sizes go beyond {T} steps of {B} sequences"
    if index is None and N != T * B:
        return f"batch_sizes hold {N} steps, but there are {T} of each of {B} sequences"
    if _MOST_PADDING * max(N, _MOST_PADDING) < T * B:
        return f"{N} steps are there, of {T * B:,} that length and batch_size say"
    for name, value, count, end in (("index", index, N, T * B), ("lengths", lengths, B, T + 1)):
        if value is None:
            continue
        if value.dtype != torch.int64 or value.shape != (count,):
            return f"{name} must be int64 [{count}], got {value.dtype} {list(value.shape)}"
        if count and not 0 <= int(value.min()) <= int(value.max()) < end:
            return f"{name} must be from 0 to {end - 1}"
    for name, value in rows.items():
        if value.dim() < 1 or len(value) != N or value.dtype not in _NUMBERS:
            return f"{shown(name)} must be [{N}, …], got {value.dtype} {list(value.shape)}"
    return None
