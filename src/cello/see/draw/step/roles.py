"""The name and meaning of a gate, found from what it multiplies and where the product goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cello.see.draw.diagram import Block, Diagram
from cello.see.formulas.notation import Quotient, Sum

__all__ = ["OTHER", "ROLES", "Role", "role"]


@dataclass(frozen=True)
class Role:
    """What a gate is called, and what it does at 1 and at 0."""

    name: str
    meaning: str


FORGET = Role("forget gate", "1 remembers, 0 forgets")
ERASE = Role("forget gate", "1 forgets, 0 remembers")
KEEP = Role("update gate", "1 keeps the old state, 0 takes the new")
TAKE = Role("update gate", "1 takes the new, 0 keeps the old state")
RESET = Role("reset gate", "1 looks at the old state, 0 does not")
INPUT = Role("input gate", "1 lets in, 0 shuts out")
OUTPUT = Role("output gate", "1 lets out, 0 keeps in")
OTHER = Role("gate", "1 lets through, 0 shuts out")

#: All that a gate can be. The explorer says each meaning in its languages.
ROLES = (FORGET, ERASE, KEEP, TAKE, RESET, INPUT, OUTPUT, OTHER)


def role(diagram: Diagram, gate: Block) -> Role:
    """What the gate does; `OTHER` if it is none of those that have a name."""
    products = _products(diagram, gate)
    opposites = [_products(diagram, other) for other in _opposites(diagram, gate)]
    if _keep(diagram, products):
        return KEEP if any(opposites) else FORGET
    if any(_keep(diagram, opposite) for opposite in opposites):
        return TAKE if products else ERASE
    driven = [block for product in products for block in product.inputs if block is not gate]
    if any(map(_is_old, driven)):
        return RESET
    sums = _sums(diagram).values()
    out = _added(next(block for block in diagram.blocks if block.kind == "output"))
    is_new = any(block in added for b in driven for block in _chain(b) for added in sums)
    if not out.isdisjoint(products) and (is_new or not _remembers(out)):
        return OUTPUT
    if any(_remembers(added) and not added.isdisjoint(products) for added in sums):
        return INPUT
    return OTHER


def _opposites(diagram: Diagram, gate: Block) -> list[Block]:
    """Blocks such as 1 − z of a gate z."""
    return [b for b in diagram.readers(gate) if b.is_gate and isinstance(b.formula, Sum)]


def _products(diagram: Diagram, gate: Block) -> list[Block]:
    """What the gate multiplies, itself or as a share such as z / (z + a)."""
    readers = list(diagram.readers(gate))
    shares = [b for b in readers if b.is_gate and isinstance(b.formula, Quotient)]
    readers += [block for share in shares for block in diagram.readers(share)]
    return [block for block in readers if block.kind == "times"]


def _keep(diagram: Diagram, products: list[Block]) -> bool:
    """Whether one of them is a share of an old state, added to the new value of that state."""
    return any(
        product in added and any(memory in _of_each_unit(block) for block in product.inputs)
        for memory, added in _sums(diagram).items()
        for product in products
    )


def _sums(diagram: Diagram) -> dict[Block, set[Block]]:
    """For each memory, what is added up to its next value."""
    return {block: _added(block) for block in diagram.blocks if block.kind == "memory"}


def _added(end: Block) -> set[Block]:
    """What flows into this end, through sums, quotients and functions of one value."""
    return _reached(end.inputs[0], _passes)


def _passes(block: Block) -> bool:
    return block.kind == "plus" or len(block.inputs) == 1 or isinstance(block.formula, Quotient)


def _chain(block: Block) -> set[Block]:
    """The block, and what it is a function of as long as that is one value."""
    return _reached(block, lambda b: len(b.inputs) == 1)


def _remembers(added: set[Block]) -> bool:
    """Whether an old state, or a share of one, is in a sum."""
    shares = [block for block in added if block.kind == "times"]
    parts = [*added, *(part for share in shares for b in share.inputs for part in _of_each_unit(b))]
    return any(part.kind == "memory" for part in parts)


def _of_each_unit(block: Block) -> set[Block]:
    """The block, and what it is a function of, unit by unit."""
    return _reached(block, lambda b: len(b.inputs) == 1 and b.kind != "linear")


def _is_old(block: Block) -> bool:
    """Whether it is made of old states alone."""
    kinds = {b.kind for b in _reached(block, lambda _: True) if b.kind == "memory" or not b.inputs}
    return kinds == {"memory"}


def _reached(start: Block, passes: Callable[[Block], bool]) -> set[Block]:
    """The block and those below it, down through each that passes, but not into a memory."""
    found: set[Block] = set()
    waiting = [start]
    while waiting:
        block = waiting.pop()
        if block not in found:
            found.add(block)
            if block.kind != "memory" and passes(block):
                waiting += block.inputs
    return found
