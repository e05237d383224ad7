"""A cell, asked by a library that has three recurrent layers: which of them it is, or why none."""

from __future__ import annotations

from cello.cells import Cell
from cello.convert.recurrence.match import Recurrence, recurrence_of
from cello.convert.recurrence.vectors import Step
from cello.errors import ConversionError, ModelError
from cello.layers.mode import evaluating

__all__ = ["differs", "recurrence_in"]


def recurrence_in(cell: Cell, path: str, whose: str) -> Recurrence:
    """The recurrence that the equations of `cell` are, in eval mode.

    Raises:
        ModelError: none of the three; `whose` says what it is not, such as "PyTorch's".
    """
    try:
        with evaluating(cell):
            found = recurrence_of(Step(cell, path))
    except ConversionError:  # no operations on each row: none of the three
        found = None
    if found is None:
        library = whose.removesuffix("'s")
        raise differs(cell, path, whose, f"{library} has an RNN, an LSTM and a GRU only")
    return found


def differs(cell: Cell, path: str, whose: str, why: str) -> ModelError:
    """The error for a cell that a library has not."""
    return ModelError(f"{path} ({cell._get_name()}) is no layer of {whose}: {why}")
