"""How large each block is, and where wires meet it."""

from __future__ import annotations

from dataclasses import dataclass

from cello.see.draw.diagram import Block, Label
from cello.see.draw.text import SIZE, SMALL, subscripted, width

__all__ = [
    "LINE",
    "NUMBER_ROOM",
    "RADIUS",
    "SIDE",
    "Shape",
    "label_text",
    "shape_of",
    "unit_size",
    "units_height",
]

RADIUS = 11.0  # of the circle of a product or a sum
SIDE = RADIUS + 10  # how far from its middle a wire rises that enters it from the side
LINE = 15.0  # of small text
NUMBER_ROOM = width("−4.54e−5", SMALL)  # for a number that is not known yet
_PAD = 9.0


@dataclass(frozen=True)
class Shape:
    """The room of a block, from the middle of its body.

    Attributes:
        left, right: to either side, label and wires at the side included.
        half: half the width of the body.
        height: of the body.
        stub: from the body up to where its wire may turn; the label stands beside it.
    """

    left: float
    right: float
    half: float
    height: float
    stub: float


def label_text(label: Label) -> str:
    """The names as they are shown."""
    return ", ".join(map(subscripted, label.names))


def shape_of(block: Block) -> Shape:
    """The room that a block takes."""
    half, height = _body(block)
    left = right = half
    if block.kind in ("times", "plus") and half == RADIUS:
        left = right = {0: half, 1: half}.get(len(block.inputs), SIDE + 3)
    shown = label_text(block.label)
    stub = 0.0 if block.kind == "output" else 7.0
    if shown or block.label.number is not None:
        stub = 20.0
        room = width(shown) + 9
        if block.label.number is not None:
            room += max(width(block.label.number, SMALL), NUMBER_ROOM) + 6
        right = max(right, room)
    return Shape(left, right, half, height, stub)


def unit_size(block: Block) -> float:
    """The width of a unit's circle, with the space to the next one."""
    return max([24.0, *(width(number, SMALL) + 13 for number in block.units or ())])


def units_height(block: Block) -> float:
    """The height of the row of units."""
    return 26.0 if block.units is not None else 0.0


def _body(block: Block) -> tuple[float, float]:
    """Half the width of the body, and its height."""
    circles = unit_size(block) * len(block.units or ())
    widest = max([width(block.text), circles, *(width(line, SMALL) for line in block.lines)])
    more = LINE * len(block.lines) + units_height(block)
    pins = 16.0 * max(len(block.inputs) - 1, 0) / 2
    match block.kind:
        case "input" | "output":
            return widest / 2 + 4, SIZE + 6 + more
        case "times" | "plus":
            if len(block.text) == 1 and len(block.inputs) <= 3:
                return RADIUS, 2 * RADIUS
            return max(widest / 2 + _PAD, pins + 10), 2 * RADIUS
        case "memory":
            return max(widest / 2 + 15, 25), 28 + more
        case "layer":
            return max(widest, 90) / 2 + _PAD + 3, 28 + more
    return max(widest / 2 + _PAD, pins + 8), 26 + more
