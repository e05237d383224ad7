"""What a drawing shows, before it has a place: blocks, and the wires between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cello.see.formulas.notation import Expression

__all__ = ["Block", "BlockRow", "Diagram", "Label"]


@dataclass(eq=False)
class Label:
    """What stands beside the wire that leaves a block.

    Attributes:
        names: of the value on the wire, as in the equations.
        value: that of the names by which a recording shows it, "" if it does not.
        number: the value, as text; None for no number, "" for room to put one.
    """

    names: list[str] = field(default_factory=list)
    value: str = ""
    number: str | None = None


@dataclass(frozen=True)
class BlockRow:
    """Units side by side, each a circle with its number; "…" stands for those left out."""

    numbers: tuple[str, ...]
    name: str = ""


@dataclass(eq=False)
class Block:
    """Something that makes a value; its value leaves it on one wire.

    Attributes:
        kind: "input", "output", "memory", "linear", "squash", "times", "plus", "layer" or "other".
        text: what stands in it, in one or more lines.
        inputs: the blocks whose values it takes, in order.
        is_gate: whether it belongs to a gate: a squashing into 0 to 1, or the product it drives.
        label: what stands beside its wire.
        source: where its numbers are: a value of the program and the first of its units.
        note: what is shown when one points at it.
        lines: small text below the text, a line each.
        rows: of units, below the text.
        formula: what a block of parameters computes.
        column: those that have one stand in this order, from left to right.
    """

    kind: str
    text: str = ""
    inputs: list[Block] = field(default_factory=list)
    is_gate: bool = False
    label: Label = field(default_factory=Label)
    source: Any = None
    note: str = ""
    lines: tuple[str, ...] = ()
    rows: tuple[BlockRow, ...] = ()
    formula: Expression | None = None
    column: int | None = None

    def __repr__(self) -> str:
        inside = ", ".join(block.text or block.kind for block in self.inputs)
        return f"{'/'.join(self.label.names)}: {self.kind} {self.text!r}({inside})"


@dataclass(eq=False)
class Diagram:
    """Blocks, each after those that it takes values from, but for memories.

    Attributes:
        blocks: all of them.
        legend: lines of text below the drawing.
    """

    blocks: list[Block] = field(default_factory=list)
    legend: list[str] = field(default_factory=list)

    def readers(self, block: Block) -> Iterator[Block]:
        """The blocks that take its value."""
        return (other for other in self.blocks if block in other.inputs)
