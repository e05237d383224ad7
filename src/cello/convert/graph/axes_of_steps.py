"""Where a value has its steps and its sequences, found by comparing it with its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.convert.proof import TOLERANCES

__all__ = ["DIFFERS", "axis_of_sequences", "axis_of_steps"]

#: In place of an axis: a value is not what its steps are.
DIFFERS = object()


def axis_of_steps(whole: Any, steps: Sequence[Any], last: Any) -> Any:
    """The axis along which a value has its steps, None if it is the last one, or `DIFFERS`.

    >>> steps = [torch.zeros(1, 2), torch.ones(1, 2)]
    >>> axis_of_steps(torch.cat(steps), steps, steps[1])
    0
    """
    if not isinstance(whole, Tensor):
        return None if whole == last else DIFFERS
    one, allowed = steps[0], TOLERANCES.get(whole.dtype, 0.0)

    def close(other: Tensor) -> bool:
        return torch.allclose(other, whole, rtol=allowed, atol=allowed, equal_nan=True)

    if one.shape == whole.shape:
        return None if close(last) else DIFFERS
    for axis in range(whole.dim()):
        wanted = list(one.shape)
        if len(wanted) == whole.dim() and whole.shape[axis] == len(steps) * wanted[axis]:
            wanted[axis] = whole.shape[axis]
            ways = (torch.cat(list(steps), axis), torch.stack(list(steps), axis + 1))
            if list(whole.shape) == wanted and any(close(way.reshape(whole.shape)) for way in ways):
                return axis
    return DIFFERS


def axis_of_sequences(value: Tensor, one: Tensor) -> int | None:
    """The axis along which a value has the sequences, of which `one` has the first alone."""
    allowed = TOLERANCES[value.dtype] if value.is_floating_point() else 0
    for axis in range(value.dim()):
        first = value.narrow(axis, 0, 1)
        if first.shape == one.shape and torch.allclose(first, one, allowed, allowed, True):
            return axis
    return None
