"""The diagram of a cell, and what its gates mean."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from cello.cells import Cell
from cello.errors import CaptureError
from cello.program import Program, program_as_is
from cello.see.draw.diagram import Diagram
from cello.see.draw.step.blocks import Builder
from cello.see.draw.step.gates import mark_gates, meanings_of

__all__ = ["cell_diagram", "gate_meanings"]

_known: WeakKeyDictionary[Program, dict[str, str]] = WeakKeyDictionary()


def cell_diagram(cell: Cell, program: Program | None = None) -> Diagram:
    """The diagram of a cell, of this program of it or the one that it has.

    Raises:
        CaptureError: its step cannot be traced.
    """
    diagram = Builder(program or program_as_is(cell), cell.gates).diagram
    mark_gates(diagram)
    return diagram


def gate_meanings(cell: Cell | None) -> dict[str, str]:
    """In words, what each gate of a cell does at 1 and at 0, by the gate's name in a recording.

    They are found in the traced step, those of a cell of your own like ours. A cell that cannot
    be traced has none.

    >>> import cello
    >>> gate_meanings(cello.LSTMCell(3, 2))["f"]
    '1 remembers, 0 forgets'
    >>> gate_meanings(cello.zoo.MGUCell(3, 2))
    {'f': '1 takes the new, 0 keeps the old state'}
    """
    if cell is None:
        return {}
    try:
        program = program_as_is(cell)
    except CaptureError:
        return {}
    if program not in _known:
        _known[program] = meanings_of(cell_diagram(cell, program))
    return _known[program]
