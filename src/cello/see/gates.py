"""What an open gate does, where that is known. A gate is open at 1 and shut at 0."""

from __future__ import annotations

from cello.cells import Cell, GRUCell, LSTMCell

__all__ = ["gate_meaning"]

_MEANINGS = {
    LSTMCell: {
        "i": "1 lets in, 0 shuts out",
        "f": "1 remembers, 0 forgets",
        "o": "1 lets out, 0 keeps in",
    },
    GRUCell: {
        "r": "1 looks at the old state, 0 does not",
        "z": "1 keeps the old state, 0 takes the new",
    },
}


def gate_meaning(cell: Cell | None, name: str) -> str:
    """In words, what the gate `name` of a cell does at 1 and at 0; "" if that is not known.

    >>> import cello
    >>> gate_meaning(cello.LSTMCell(3, 2), "f")
    '1 remembers, 0 forgets'
    """
    for kind, meanings in _MEANINGS.items():
        if isinstance(cell, kind):
            return meanings.get(name, "")
    return ""
