"""What a drawing's SVG shows, read from its text: boxes of texts and pieces of lines."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import combinations, pairwise
from unicodedata import east_asian_width

SVG = "{http://www.w3.org/2000/svg}"
WIDEST = dict.fromkeys("ilj., ·", 0.32) | dict.fromkeys("tfr()[]|/", 0.4)

NEAR = 4.0  # between two wires that would be taken for one


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float
    what: str

    def touches(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def read(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def size_of(element: ET.Element, inherited: float) -> float:
    return float(element.get("font-size", inherited))


def letters(element: ET.Element, size: float) -> float:
    """About the width of a text in DejaVu Sans, one of the widest of the fonts that are tried."""

    def wide(text: str | None, size: float) -> float:
        return sum(map(letter_width, text or "")) * size

    inner = sum(wide(part.text, size_of(part, size)) + wide(part.tail, size) for part in element)
    return wide(element.text, size) + inner


def letter_width(letter: str) -> float:
    if east_asian_width(letter) in "WF":
        return 1.0
    return WIDEST.get(letter, 0.62 if letter.isalnum() else 0.84)


def text_boxes(root: ET.Element) -> list[Box]:
    found = []
    for text in root.iter(f"{SVG}text"):
        content = "".join(text.itertext())
        if not content:
            continue
        size = 11.0 if text.get("class") else 13.0
        wide = letters(text, size)
        x, y = float(text.get("x")), float(text.get("y"))
        left = x - wide / 2 if text.get("text-anchor") == "middle" else x
        deep = 5 if list(text) else 3  # a subscript hangs lower
        found.append(Box(left, y - 0.74 * size, left + wide, y + deep, content))
    return found


def pieces(root: ET.Element) -> list[tuple[float, float, float, float]]:
    """Both ends of each piece of each wire."""
    found = []
    for path in root.iter(f"{SVG}path"):
        if "wire" in path.get("class", "").split():
            numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path.get("d"))]
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            found += [(*one, *other) for one, other in pairwise(points)]
    return found


def line_boxes(root: ET.Element) -> list[Box]:
    """The pieces of all wires, as boxes of their own width."""
    return [
        Box(min(ax, bx) - 0.6, min(ay, by) - 0.6, max(ax, bx) + 0.6, max(ay, by) + 0.6,
            f"a wire near {ax:g}, {ay:g}")
        for ax, ay, bx, by in pieces(root)
    ]  # fmt: skip


def side_by_side(root: ET.Element) -> list[str]:
    """Pieces of wires that run so close to one another that they would be taken for one."""
    found = []
    for (ax, ay, bx, by), (cx, cy, dx, dy) in combinations(pieces(root), 2):
        upright, level = (ax == bx and cx == dx), (ay == by and cy == dy)
        if upright and abs(ax - cx) < NEAR:
            shared = min(max(ay, by), max(cy, dy)) - max(min(ay, by), min(cy, dy))
        elif level and abs(ay - cy) < NEAR:
            shared = min(max(ax, bx), max(cx, dx)) - max(min(ax, bx), min(cx, dx))
        else:
            continue
        if shared > 2:
            found.append(f"wires along one another near {ax:g}, {ay:g}")
    return found


def rectangles(root: ET.Element) -> list[Box]:
    found = []
    for rect in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(rect.get(n)) for n in ("x", "y", "width", "height"))
        found.append(Box(x, y, x + wide, y + high, rect.get("class")))
    return found


def collisions(svg: str) -> list[str]:
    """Texts on texts, lines through texts, texts across the border of a box or of the picture,
    lines through boxes and along one another."""
    root = read(svg)
    texts, lines, boxes = text_boxes(root), line_boxes(root), rectangles(root)
    wide, high = float(root.get("width")), float(root.get("height"))
    found = [f"{a.what!r} on {b.what!r}" for a, b in combinations(texts, 2) if a.touches(b)]
    found += [f"{t.what!r} under {line.what}" for t in texts for line in lines if t.touches(line)]
    for text in texts:
        if text.left < 0 or text.top < 0 or text.right > wide or text.bottom > high:
            found.append(f"{text.what!r} outside")
        for box in boxes:
            inside = (
                box.left <= text.left
                and text.right <= box.right
                and box.top <= text.top
                and text.bottom <= box.bottom
            )
            if text.touches(box) and not inside:
                found.append(f"{text.what!r} across a {box.what}")
    units = [box for box in boxes if "unit" in box.what]
    others = [box for box in boxes if "unit" not in box.what]
    found += [f"{a} on {b}" for a, b in combinations(others, 2) if a.touches(b)]
    found += [f"{a} on {b}" for a, b in combinations(units, 2) if a.touches(b)]
    for line in lines:  # a line may touch the border of a box, and go no further
        for box in others:
            if line.touches(
                Box(box.left + 1.5, box.top + 1.5, box.right - 1.5, box.bottom - 1.5, "")
            ):
                found.append(f"{line.what} through a {box.what}")
    return found + side_by_side(root)


def labels(svg: str) -> list[str]:
    """All texts, as they read."""
    return ["".join(text.itertext()) for text in read(svg).iter(f"{SVG}text")]


def places(svg: str, axis: str) -> dict[str, float]:
    """Where each text stands along an axis."""
    return {
        "".join(text.itertext()): float(text.get(axis)) for text in read(svg).iter(f"{SVG}text")
    }


def numbers(svg: str) -> dict[str, str]:
    """The numbers that stand beside named values."""
    return {
        text.get("data-value"): text.text or ""
        for text in read(svg).iter(f"{SVG}text")
        if text.get("class") == "number" and text.get("data-value")
    }
