"""The state of each cell of a layer out of what a user passes: by cell, or PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.cells.contract.given_state import OURS, PYTORCHS, check_state
from cello.engines import is_dense
from cello.layers.call.result import refuse_pair
from cello.layers.call.steps import Steps

__all__ = ["stacked", "state_given", "state_of_parts", "states_stacked", "unstacked"]


def state_given(cell: Cell, state: Any, steps: Steps) -> tuple[Tensor, ...]:
    """The parts of a cell's state, each [B, size].

    Raises:
        DtypeError: not a tuple of tensors of the dtype of x.
        ShapeError: a part does not have its shape.
    """
    refuse_pair(OURS.whole, state)
    return tuple(_with_batch(check_state(cell, state, steps.data, _rows(steps)), steps, 0))


def states_stacked(cells: Sequence[Cell], hx: Any, steps: Steps) -> list[tuple[Tensor, ...]]:
    """The state of each cell out of PyTorch's: of each part one tensor, all cells along its axis 0.

    Raises:
        DtypeError, ShapeError: as `state_given`, in PyTorch's words.
    """
    refuse_pair(PYTORCHS.whole, hx)
    lead = [len(cells), *_rows(steps)]
    parts = _with_batch(check_state(cells[0], hx, steps.data, lead, PYTORCHS), steps, 1)
    return list(zip(*(part.unbind(0) for part in parts), strict=True))


def _rows(steps: Steps) -> list[int]:
    """The axis of the batch, if there is one."""
    return [] if steps.form == "T" else [steps.batch_size]


def _with_batch(parts: Sequence[Tensor], steps: Steps, axis: int) -> list[Tensor]:
    """With the axis of the batch, and in the dtype of x: under autocast it may be another."""
    dtype = steps.data.dtype
    parts = [part if part.dtype == dtype else part.to(dtype) for part in parts]
    return [part.unsqueeze(axis) for part in parts] if steps.form == "T" else parts


def stacked(states: Sequence[Sequence[Tensor]]) -> Any:
    """The states of all cells as PyTorch has them."""
    if len(states) == 1:
        parts = [part.unsqueeze(0) for part in states[0]]
    else:
        parts = [torch.stack(part) for part in zip(*states, strict=True)]
    return state_of_parts(parts)


def state_of_parts(parts: Sequence[Tensor]) -> Any:
    """A state as PyTorch has it of its parts, which have the axis of layers."""
    return tuple(parts) if len(parts) > 1 else parts[0]


def unstacked(hx: Any, count: int) -> list[tuple[Tensor, ...]]:
    """What may be the state of each of `count` cells out of PyTorch's; nothing if it is no such."""
    parts = hx if isinstance(hx, tuple) else (hx,)
    if not all(is_dense(part) and part.shape[:1] == (count,) for part in parts):
        return []
    return list(zip(*(part.unbind(0) for part in parts), strict=True))
