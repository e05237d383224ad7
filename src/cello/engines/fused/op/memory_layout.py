"""Which tensor goes to which pointer of a loop, and the form in which loops take tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.plan import Loop, Plan

__all__ = ["compute_dtype", "plain", "pointer_places"]

_KINDS = {"vector": "shared", "matrix": "shared"}


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a loop computes in: float32 for what has fewer bits."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def plain(tensors: Sequence[Tensor | None], dtype: torch.dtype) -> list[Any]:
    """As a loop reads them: contiguous, in its dtype, with the sign that they have in memory."""
    return [
        tensor
        if tensor is None
        or (tensor.dtype == dtype and tensor.is_contiguous() and not tensor.is_neg())
        else _made_plain(tensor, dtype)
        for tensor in tensors
    ]


def _made_plain(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor if tensor.dtype == dtype else tensor.to(dtype)
    tensor = tensor.resolve_neg() if tensor.is_neg() else tensor
    return tensor.contiguous()


def pointer_places(
    plan: Plan, loop: Loop, more: Sequence[tuple[str, Any]]
) -> tuple[list[int], dict[Any, int]]:
    """For each pointer of a loop the place of its tensor, and the places by name.

    The tensors stand in one list: those that the operation takes, see `TensorPlaces`, then those
    that `more` names.
    """
    places = {name: place for place, name in enumerate([*plan.places.names, *more])}
    of_pointers = [
        places[_KINDS.get(slot.kind, slot.kind), str(slot.of) if slot.kind == "array" else slot.of]
        for slot in loop.rendered.slots
    ]
    return of_pointers, places
