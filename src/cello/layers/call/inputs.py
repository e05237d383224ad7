"""Inputs of any shape, or of several parts, as one tensor: a row's numbers side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from cello.cells.contract.like import like_of
from cello.cells.contract.shapes import (
    as_rows,
    check_part,
    check_side_by_side,
    is_several,
    shape_of,
    shown,
    width_of,
)
from cello.cells.contract.step_checks import checked_parts, shapes_given
from cello.errors import ShapeError

__all__ = ["features_of", "side_by_side", "step_side_by_side"]


def features_of(size: Any) -> tuple[int, ...]:
    """The shape in which a layer takes what another one gives: parts of several side by side."""
    return (width_of(size),) if is_several(size) else shape_of(size)


def side_by_side(layer: Any, x: Any, batch_first: bool, called: str) -> Any:
    """The input of a layer as [T, B, width], [B, T, width] if `batch_first`, or [T, width].

    A part without the axis of time is the same at all steps. Parts that are side by side already
    are taken as they are.

    Raises:
        DtypeError, ShapeError, ArgumentError: a part is missing or does not fit; names it.
    """
    size = layer.input_size
    if isinstance(x, (Tensor, PackedSequence)) and is_several(size):
        check_side_by_side(called, size, x.data if isinstance(x, PackedSequence) else x)
        return x
    dtype = like_of(layer).dtype
    if isinstance(x, PackedSequence):
        check_part(called, size, x.data, dtype)
        return x._replace(data=as_rows(size, x.data, dtype))
    axes = ("B", "T") if batch_first else ("T", "B")
    parts = checked_parts(called, size, x, dtype)
    most = max(len(lead) for _, _, lead in parts.values())
    if most not in (1, 2):
        raise ShapeError(
            f"{called} must be {shown(size, *axes)}, or {shown(size, 'T')} for one sequence, got "
            f"{shapes_given(parts)}"
        )
    first, whole = next((name, lead) for name, (_, _, lead) in parts.items() if len(lead) == most)
    time = 1 if batch_first and most == 2 else 0
    rows = []
    for name, (one, part, lead) in parts.items():
        if len(lead) == most - 1:  # the same at all steps
            part = part.unsqueeze(time).expand(*lead[:time], whole[time], *part.shape[time:])
            lead = part.shape[:most]
        if lead != whole:
            raise ShapeError(
                f"{name} must have the steps and the batch of {first}, {list(whole)}, got "
                f"{list(part.shape)}"
            )
        rows.append(part.reshape(*whole, width_of(one)).to(dtype))
    return rows[0] if len(rows) == 1 else torch.cat(rows, dim=-1)


def step_side_by_side(layer: Any, x: Any, rows: int) -> tuple[Tensor, bool]:
    """The input of one step as [B, width], and whether it came without the axis of the batch.

    Raises:
        DtypeError, ShapeError, ArgumentError: a part is missing or does not fit; names it.
    """
    size, dtype = layer.input_size, like_of(layer).dtype
    if isinstance(x, Tensor) and is_several(size):
        check_side_by_side("x", size, x)
        single = x.dim() == 1
        flat = x.unsqueeze(0) if single else x
    else:
        parts = checked_parts("x", size, x, dtype)
        leads = {len(lead) for _, _, lead in parts.values()}
        single = leads == {0}
        whole = {1} if single else {len(part) for _, part, lead in parts.values() if lead}
        if len(leads) > 1 or len(whole) > 1:
            got = shapes_given(parts)
            raise ShapeError(f"x must be {shown(size, 'B')} for one step, got {got}")
        value: Any = [part.unsqueeze(0) if single else part for _, part, _ in parts.values()]
        if isinstance(size, dict):
            value = dict(zip(size, value, strict=True))
        flat = as_rows(size, value if is_several(size) else value[0], dtype)
    if tuple(flat.shape) != (rows, width_of(size)):
        raise ShapeError(
            f"x must be {shown(size, rows)} for one step, got {list(flat.shape)} side by side; how "
            "many sequences run at once is said by layer.stream(batch_size=…)"
        )
    return flat, single
