"""How a block is drawn: its box, its text, its units."""

from __future__ import annotations

from cello.see.draw.diagram import Block
from cello.see.draw.picture import Picture, Shape, Text
from cello.see.draw.shapes import LINE, RADIUS, unit_size, units_height
from cello.see.draw.shapes import Shape as Room
from cello.see.draw.text import SIZE

__all__ = ["paint"]


def paint(picture: Picture, block: Block, room: Room, x: float, y: float) -> None:
    """Draw the block; x and y are the middle of its body."""
    half, height = room.half, room.height
    if block.kind not in ("input", "output"):
        round_ = half if half == RADIUS else 13.0 if block.kind == "squash" else 5.0
        kind = "memory" if block.kind == "memory" else "gate" if block.is_gate else ""
        box = Shape(x - half, y - height / 2, 2 * half, height, kind, round_, block.note)
        picture.shapes.append(box)
    rest = LINE * len(block.lines) + units_height(block)
    base = y - rest / 2 + SIZE * 0.36
    picture.texts.append(Text(x, base, block.text))
    if block.units is not None:
        _units(picture, block, x, base + 6 + units_height(block) / 2)
        base += units_height(block)
    for line in block.lines:
        base += LINE
        picture.texts.append(Text(x, base, line, "small"))


def _units(picture: Picture, block: Block, centre: float, y: float) -> None:
    """A circle for each unit, as wide as its number needs."""
    wide = unit_size(block)
    units = block.units or ()
    x = centre - wide * (len(units) - 1) / 2
    for number in units:
        circle = Shape(x - wide / 2 + 2.5, y - 9.5, wide - 5, 19, "unit", 9.5)
        picture.shapes.append(circle)
        if number:
            picture.texts.append(Text(x, y + 4, number, "number"))
        x += wide
