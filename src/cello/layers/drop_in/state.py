"""The state as PyTorch's layers have it: each part of all cells as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.engines import is_dense

__all__ = ["stacked", "unstacked"]


def stacked(states: Sequence[Sequence[Tensor]]) -> Any:
    """The states of all cells as PyTorch has them."""
    if len(states) == 1:
        parts = [part.unsqueeze(0) for part in states[0]]
    else:
        parts = [torch.stack(part) for part in zip(*states, strict=True)]
    return tuple(parts) if len(parts) > 1 else parts[0]


def unstacked(hx: Any, count: int) -> list[tuple[Tensor, ...]]:
    """The state of each of `count` cells out of PyTorch's; none at all if it is no such state."""
    parts = hx if isinstance(hx, tuple) else (hx,)
    if not all(is_dense(part) and part.dim() == 3 and len(part) == count for part in parts):
        return []
    return list(zip(*(part.unbind(0) for part in parts), strict=True))
