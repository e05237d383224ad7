"""How large each block is, and where wires meet it."""

from __future__ import annotations

from dataclasses import dataclass

from cello.see.draw.diagram import Block, Label
from cello.see.draw.paint.text import SIZE, SMALL, subscripted, width

__all__ = [
    "LINE",
    "NUMBER_ROOM",
    "RADIUS",
    "ROW",
    "SIDE",
    "Shape",
    "label_text",
    "name_room",
    "rows_height",
    "rows_width",
    "shape_of",
    "text_lines",
    "unit_room",
]

RADIUS = 11.0  # of the circle of a product or a sum
SIDE = RADIUS + 10  # how far from its middle a wire rises that enters it from the side
LINE = 15.0  # from one line of text to the next
ROW = 26.0  # of units
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


def unit_room(block: Block, number: str) -> float:
    """The width of a unit's circle, with the space to the next one; less for those left out."""
    if number == "…":
        return 20.0
    return max([24.0, *(width(number, SMALL) + 13 for row in block.rows for number in row.numbers)])


def name_room(block: Block) -> float:
    """The width of the names before its rows of units."""
    return max((width(row.name, SMALL) + 6 for row in block.rows if row.name), default=0.0)


def rows_width(block: Block) -> float:
    """The width of its rows of units, their names included."""
    widths = (sum(unit_room(block, number) for number in row.numbers) for row in block.rows)
    return name_room(block) + max(widths, default=0.0)


def rows_height(block: Block) -> float:
    """The height of its rows of units."""
    return ROW * len(block.rows)


def text_lines(block: Block) -> list[str]:
    """The lines of its text."""
    return block.text.split("\n") if block.text else []


def _body(block: Block) -> tuple[float, float]:
    """Half the width of the body, and its height."""
    text = text_lines(block)
    small = (width(line, SMALL) for line in block.lines)
    widest = max([rows_width(block), *map(width, text), *small])
    more = LINE * (len(text) - 1 + len(block.lines)) + rows_height(block)
    pins = 16.0 * max(len(block.inputs) - 1, 0) / 2
    match block.kind:
        case "input" | "output":
            return widest / 2 + 4, SIZE + 6 + more
        case "times" | "plus":
            if len(block.text) == 1 and len(block.inputs) <= 3:
                return RADIUS, 2 * RADIUS
            return max(widest / 2 + _PAD, pins + 10), 2 * RADIUS + more
        case "memory":
            return max(widest / 2 + 15, 25), 28 + more
        case "layer":
            return max(widest, 90) / 2 + _PAD + 3, 28 + more
    return max(widest / 2 + _PAD, pins + 8), 26 + more
