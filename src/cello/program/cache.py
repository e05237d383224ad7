"""Programs kept by cell, and traced again when the cell is no longer what it was."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

import torch

from cello.cells import Cell
from cello.errors import CaptureError
from cello.program.capture import capture
from cello.program.graph import Program
from cello.program.reach import Reach

__all__ = ["program_of"]

# A refusal is kept as its message: an error would keep alive all that its traceback holds.
_programs: WeakKeyDictionary[Cell, dict[Any, Program | str]] = WeakKeyDictionary()
_LIMIT = 16  # programs kept for one cell
_lock = threading.RLock()


def program_of(
    cell: Cell, dtype: torch.dtype, device: torch.device, *, one_row: bool = False
) -> Program:
    """The program of `cell` for inputs of this dtype and device, traced when it is first needed.

    It is traced again when anything has changed that the step's Python code can read: an
    attribute, however deep, a method, a global variable, a mode. So a changed constant or
    activation counts from the next call on.

    With `one_row` it is a program that holds for a single row as well: a step may look at the
    number of its rows and do something else for one.

    Raises:
        CaptureError: the step cannot be captured; remembered too.
    """
    key = (dtype, device, one_row, torch.get_default_dtype(), Reach(cell).key)
    found = _programs.get(cell, {}).get(key)
    if found is None:
        with _lock:
            found = _traced(cell, key)
    if isinstance(found, str):
        raise CaptureError(found)
    return found


def _traced(cell: Cell, key: tuple[Any, ...]) -> Program | str:
    kept = _programs.setdefault(cell, {})
    if key not in kept:
        if len(kept) >= _LIMIT:
            kept.pop(next(iter(kept)))
        try:
            kept[key] = capture(cell, dtype=key[0], device=key[1], one_row=key[2])
        except CaptureError as error:
            kept[key] = str(error)
    return kept[key]
