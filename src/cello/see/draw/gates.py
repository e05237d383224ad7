"""Which blocks are gates, and what each does to the memory."""

from __future__ import annotations

from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.text import subscripted
from cello.see.notation import Quotient, Sum

__all__ = ["gates_of", "mark_gates", "role"]

OPEN_AND_SHUT = "gate (×): 1 lets all through, 0 nothing"


def mark_gates(diagram: Diagram) -> None:
    """Leave those gates that multiply something, and say below what their 0 and 1 mean."""
    for block in reversed(diagram.blocks):  # what reads it has been looked at
        if block.is_gate and block.kind != "times":
            block.is_gate = any(reader.is_gate for reader in diagram.readers(block))
    for block in gates_of(diagram):
        block.note = role(diagram, block)
    if any(block.is_gate for block in diagram.blocks):
        meanings = (_meaning(diagram, gate) for gate in gates_of(diagram))
        diagram.legend = [OPEN_AND_SHUT, *filter(None, meanings)]


def gates_of(diagram: Diagram) -> list[Block]:
    """The squashings into 0 to 1 that multiply something."""
    return [block for block in diagram.blocks if block.is_gate and block.kind == "squash"]


def _meaning(diagram: Diagram, gate: Block) -> str:
    """What 1 and 0 of a gate do to a memory that it multiplies directly."""
    if not gate.label.names:
        return ""
    name = subscripted(gate.label.names[-1])
    if _keeps(diagram, gate):
        return f"{name}: 1 remembers all, 0 forgets all"
    if any(_keeps(diagram, other) for other in _complements(diagram, gate)):
        return f"{name}: 1 forgets all, 0 remembers all"
    return ""


def _complements(diagram: Diagram, gate: Block) -> list[Block]:
    """Blocks such as 1 − z of a gate z."""
    return [b for b in diagram.readers(gate) if b.is_gate and isinstance(b.formula, Sum)]


def _products(diagram: Diagram, gate: Block) -> list[Block]:
    """What the gate multiplies, itself or as a share such as z / (z + a)."""
    readers = list(diagram.readers(gate))
    shares = [b for b in readers if b.is_gate and isinstance(b.formula, Quotient)]
    readers += [block for share in shares for block in diagram.readers(share)]
    return [block for block in readers if block.kind == "times"]


def _keeps(diagram: Diagram, gate: Block) -> bool:
    """Whether it multiplies a memory, and the product becomes part of the next state."""
    return any(
        any(block.kind == "memory" for block in product.inputs)
        and not any(block.kind == "linear" for block in diagram.readers(product))
        for product in _products(diagram, gate)
    )


def role(diagram: Diagram, gate: Block) -> str:
    """What the gate is called: by what it multiplies, and where that goes."""
    others = _complements(diagram, gate)
    kept = _keeps(diagram, gate)
    if others and (kept or any(_keeps(diagram, other) for other in others)):
        return "update gate"
    if kept:
        return "forget gate"
    products = _products(diagram, gate)
    after = [block for product in products for block in diagram.readers(product)]
    if any(block.kind in ("output", "memory") for block in after):
        return "output gate"
    remembered = [m.inputs[0] for m in diagram.blocks if m.kind == "memory"]
    if any(block in remembered for block in after):
        return "input gate"
    fed = [block for product in products for block in product.inputs if block is not gate]
    if any(_comes_from_memory(block) for block in fed):
        return "reset gate"
    return "gate"


def _comes_from_memory(block: Block) -> bool:
    if block.kind == "linear":
        return bool(block.inputs) and all(b.kind == "memory" for b in block.inputs)
    return block.kind == "memory"
