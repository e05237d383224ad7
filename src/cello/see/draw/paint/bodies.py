"""How a block is drawn: its box, its text, its units."""

from __future__ import annotations

from cello.see.draw.diagram import Block, BlockRow
from cello.see.draw.paint.block_sizes import (
    LINE,
    RADIUS,
    ROW,
    name_room,
    rows_height,
    rows_width,
    text_lines,
    unit_room,
)
from cello.see.draw.paint.block_sizes import Shape as Room
from cello.see.draw.paint.picture import Picture, PlacedShape, Text
from cello.see.draw.paint.text import SIZE

__all__ = ["paint"]


def paint(picture: Picture, block: Block, room: Room, x: float, y: float) -> None:
    """Draw the block; x and y are the middle of its body."""
    half, height = room.half, room.height
    if block.kind not in ("input", "output"):
        round_ = half if half == RADIUS else 13.0 if block.kind == "squash" else 5.0
        kind = "memory" if block.kind == "memory" else "gate" if block.is_gate else ""
        box = PlacedShape(x - half, y - height / 2, 2 * half, height, kind, round_, block.note)
        picture.shapes.append(box)
    text = text_lines(block)
    rest = LINE * (len(text) - 1 + len(block.lines)) + rows_height(block)
    base = y - rest / 2 + SIZE * 0.36 - LINE
    for line in text:
        base += LINE
        picture.texts.append(Text(x, base, line))
    for row in block.rows:
        _units(picture, block, row, x, base + 6 + ROW / 2)
        base += ROW
    for line in block.lines:
        base += LINE
        picture.texts.append(Text(x, base, line, "small"))


def _units(picture: Picture, block: Block, row: BlockRow, centre: float, y: float) -> None:
    """The row's name, and a circle for each unit, as wide as its number needs."""
    x = centre - rows_width(block) / 2
    if row.name:
        picture.texts.append(Text(x, y + 4, row.name, "small", "start"))
    x += name_room(block)
    for number in row.numbers:
        room = unit_room(block, number)
        if number == "…":
            picture.texts.append(Text(x + room / 2, y + 4, number, "small"))
        else:
            circle = PlacedShape(x + 2.5, y - 9.5, room - 5, 19, "unit", 9.5)
            picture.shapes.append(circle)
            if number:
                picture.texts.append(Text(x + room / 2, y + 4, number, "number"))
        x += room
