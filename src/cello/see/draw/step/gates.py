"""Which blocks are gates: a squashing into 0 to 1 that multiplies something, and what it drives."""

from __future__ import annotations

from collections.abc import Mapping

from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.paint.text import subscripted
from cello.see.draw.step.roles import FORGET, INPUT, OTHER, OUTPUT, Role, role

__all__ = ["gates_of", "mark_gates", "meanings_of"]

#: Where the gates of an LSTM stand in all its drawings, from left to right; the memory that the
#: forget gate keeps stands between this gate and the output gate.
_COLUMNS = {INPUT: 0, FORGET: 1, OUTPUT: 3}
_MEMORY = 2


def mark_gates(diagram: Diagram) -> None:
    """Leave those gates that multiply something, and say below what their 1 and 0 mean."""
    for block in reversed(diagram.blocks):  # what reads it has been looked at
        if block.is_gate and block.kind != "times":
            block.is_gate = any(reader.is_gate for reader in diagram.readers(block))
    lines: dict[str, list[str]] = {}
    roles: dict[Block, Role] = {}
    for gate in _factors(diagram):
        found = role(diagram, gate)
        gate.note = f"{found.name}: {found.meaning}"
        roles[gate] = found
        if gate.label.names:
            lines.setdefault(found.meaning, []).append(subscripted(gate.label.names[-1]))
    _put_into_columns(diagram, roles)
    if gates_of(diagram) and not lines:
        lines[OTHER.meaning] = ["gate (×)"]
    diagram.legend = [f"{', '.join(names)}: {meaning}" for meaning, names in lines.items()]


def _put_into_columns(diagram: Diagram, roles: Mapping[Block, Role]) -> None:
    """Give gates their columns, with what drives them alone, and the memory that is kept.

    Where other gates look at that memory too, as through peepholes, its place is free.
    """
    forget = [gate for gate, found in roles.items() if found is FORGET]
    beside = [b for gate in forget for product in diagram.readers(gate) for b in product.inputs]
    kept = [block for block in beside if block.kind == "memory"]
    if any(len(list(diagram.readers(memory))) > 1 for memory in kept):
        return
    for memory in kept:
        memory.column = _MEMORY
    for gate, found in roles.items():
        alone = [block for block in gate.inputs if list(diagram.readers(block)) == [gate]]
        for block in (gate, *alone):
            block.column = _COLUMNS.get(found)


def gates_of(diagram: Diagram) -> list[Block]:
    """The squashings into 0 to 1 that multiply something."""
    return [block for block in _factors(diagram) if block.kind == "squash"]


def meanings_of(diagram: Diagram) -> dict[str, str]:
    """By the name of each gate what it does at 1 and at 0."""
    return {
        name: role(diagram, gate).meaning for gate in _factors(diagram) for name in gate.label.names
    }


def _factors(diagram: Diagram) -> list[Block]:
    """Gates, and what is made of them before it multiplies, such as 1 − z of a gate z."""
    return [block for block in diagram.blocks if block.is_gate and block.kind != "times"]
