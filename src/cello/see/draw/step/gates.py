"""Which blocks are gates: a squashing into 0 to 1 that multiplies something, and what it drives."""

from __future__ import annotations

from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.paint.text import subscripted
from cello.see.draw.step.roles import OTHER, role

__all__ = ["gates_of", "mark_gates", "meanings_of"]


def mark_gates(diagram: Diagram) -> None:
    """Leave those gates that multiply something, and say below what their 1 and 0 mean."""
    for block in reversed(diagram.blocks):  # what reads it has been looked at
        if block.is_gate and block.kind != "times":
            block.is_gate = any(reader.is_gate for reader in diagram.readers(block))
    lines: dict[str, list[str]] = {}
    for gate in _factors(diagram):
        found = role(diagram, gate)
        gate.note = f"{found.name}: {found.meaning}"
        if gate.label.names:
            lines.setdefault(found.meaning, []).append(subscripted(gate.label.names[-1]))
    if gates_of(diagram) and not lines:
        lines[OTHER.meaning] = ["gate (×)"]
    diagram.legend = [f"{', '.join(names)}: {meaning}" for meaning, names in lines.items()]


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
