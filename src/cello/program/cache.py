"""Programs kept by cell, and traced again when the cell is no longer what it was."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch

from cello.cells import Cell
from cello.cells.contract.like import like_of
from cello.cells.contract.step_checks import step_name_of
from cello.cells.tracing import is_fake
from cello.errors import CaptureError
from cello.program.graph import Program
from cello.program.guards.fast import FastGuard, fast_guard_of
from cello.program.guards.key import GuardKey
from cello.program.lazy import initialize
from cello.program.own_functions import in_operations
from cello.program.trace.capture import capture

__all__ = ["key_of", "program_as_is", "program_of", "program_of_values"]

# What is known of a cell, by what it can read. A refusal is kept as its message: an error would
# keep alive all that its traceback holds.
_Found = dict[Any, "Program | str"]
_kept: WeakKeyDictionary[Cell, dict[Any, _Found]] = WeakKeyDictionary()
_LIMIT = 16  # ways to be that are kept for one cell
_lock = threading.RLock()


def program_as_is(cell: Cell) -> Program:
    """What `cell` computes from inputs of its own dtype and device; see `program_of_values`.

    Raises:
        CaptureError: the step cannot be captured.
    """
    like = like_of(cell)
    return program_of_values(cell, like.dtype, like.device)


def program_of_values(cell: Cell, dtype: torch.dtype, device: torch.device) -> Program:
    """The program of `cell`, for those who only look at what it computes, not at its gradients.

    The operations of a `torch.autograd.Function` stand in its place.

    Raises:
        CaptureError: the step cannot be captured, or such a function not be written so.
    """
    return in_operations(program_of(cell, dtype, device))


def program_of(
    cell: Cell,
    dtype: torch.dtype,
    device: torch.device,
    *,
    rows: Collection[int] = (),
) -> Program:
    """The program of `cell` for inputs of this dtype and device, traced when it is first needed.

    It is traced again when anything has changed that the step's Python code can read: an
    attribute, however deep, a method, a global variable, a mode. So a changed constant or
    activation counts from the next call on.

    It holds for steps of so many `rows`: a step may look at their number, and do something else for
    one, or for any other.

    Raises:
        CaptureError: the step cannot be captured; remembered too.
    """
    guard = fast_guard_of(cell)
    known = _look(cell, dtype, device) if guard is None else guard.found
    one_row = 1 in rows
    key = key_of(dtype, device, one_row=one_row)
    found = known.get(key)
    if found is None:
        with _lock:
            found = known.get(key)
            if found is None:
                found = known[key] = _traced(cell, dtype, device, one_row)
    if isinstance(found, str):
        raise CaptureError(found)
    if found.asks_size:
        for number in set(rows):
            if number not in found.tried:
                tried = _traced(cell, dtype, device, one_row, [number])
                found.tried[number] = tried if isinstance(tried, str) else ""
            if why := found.tried[number]:
                raise CaptureError(why)
    return found


def key_of(dtype: torch.dtype, device: torch.device, *, one_row: bool) -> Any:
    """Where a program stands among what is known of a cell; see `program_of`."""
    return dtype, device, one_row, torch.get_default_dtype()


def _look(cell: Cell, dtype: torch.dtype, device: torch.device) -> _Found:
    """What is known of the cell as it is now, its lazy modules initialised."""
    guard_key = GuardKey(cell)
    if guard_key.has_lazy:
        initialize(cell, dtype, device)
        guard_key = GuardKey(cell)
    with _lock:
        kept = _kept.setdefault(cell, {})
        if guard_key.key not in kept and len(kept) >= _LIMIT:
            kept.pop(next(iter(kept)))
        found = kept.setdefault(guard_key.key, {})
        FastGuard(cell, guard_key, found)
    return found


def _traced(
    cell: Cell,
    dtype: torch.dtype,
    device: torch.device,
    one_row: bool,
    at: Sequence[int] = (),
) -> Program | str:
    if is_fake((*cell.parameters(), *cell.buffers())):  # as long as they are, so not remembered
        raise CaptureError(
            f"{step_name_of(cell)} cannot be captured: its parameters are FakeTensors, which have "
            "no numbers"
        )
    try:
        return capture(cell, dtype=dtype, device=device, one_row=one_row, at=at)
    except CaptureError as error:
        return str(error)
