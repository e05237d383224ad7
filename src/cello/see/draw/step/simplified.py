"""The rough form of a cell's diagram: gates and memory, without what drives them."""

from __future__ import annotations

from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.step.gates import gates_of
from cello.see.draw.step.roles import role

__all__ = ["simplify"]


def simplify(diagram: Diagram) -> None:
    """Make one block of each gate, and leave out what only bends a value."""
    roles = {gate: role(diagram, gate).name for gate in gates_of(diagram)}
    for block in list(diagram.blocks):
        if block.kind != "squash" or len(block.inputs) != 1:
            continue
        (driven,) = block.inputs
        is_driven = driven.kind == "linear" and list(diagram.readers(driven)) == [block]
        if is_driven:
            block.inputs = driven.inputs
            diagram.blocks.remove(driven)
        if block in roles:
            block.text, block.kind = roles[block], "linear"
        elif is_driven:
            block.text, block.kind = "block input", "linear"
        elif not block.label.names:
            _leave_out(diagram, block, driven)


def _leave_out(diagram: Diagram, block: Block, source: Block) -> None:
    diagram.blocks.remove(block)
    for reader in diagram.readers(block):
        reader.inputs = [source if b is block else b for b in reader.inputs]
