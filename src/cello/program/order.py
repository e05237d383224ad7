"""In which order a step makes its named values, and the names of what it is given."""

from __future__ import annotations

from cello.program.graph import Program
from cello.program.movement import CUTS

__all__ = ["incoming_names", "ordered_names"]


def ordered_names(program: Program) -> list[str]:
    """The names of a program in the order in which its step makes them: first what comes in.

    >>> import cello
    >>> ordered_names(cello.program.capture(cello.LSTMCell(3, 2)))
    ['x', 'h_prev', 'c_prev', 'z_i', 'z_f', 'z', 'z_o', 'i', 'f', 'g', 'c', 'o', 'h']
    """
    made = {value: number for number, op in enumerate(program.ops) for value in op.outputs}
    later = {v for op in program.ops if op.target._opname in CUTS for v in op.outputs}
    incoming = incoming_names(program)
    when = dict.fromkeys(incoming, -1)
    later.update(program.names[name] for name in incoming)
    latest = -1
    for name, value in program.names.items():
        if name not in when:
            own = made.get(value, -1)  # a part of another value, or a second name: after the last
            when[name] = latest = max(own, latest) if value in later else own
            later.add(value)
    return sorted(when, key=when.__getitem__)


def incoming_names(program: Program) -> list[str]:
    """The names of what a step is given: its input and the old state."""
    return ["x", *(f"{name}_prev" for name in program.state)]
