"""Text in a drawing: formulas with subscripts, and how much room a text takes."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from cello.see.formulas.notation import Expression
from cello.see.formulas.styles import Style

__all__ = ["SIZE", "SMALL", "escaped", "formula", "plain", "subscripted", "tspans", "width"]

SIZE, SMALL = 13.0, 11.0  # of the letters
_SUB = 0.74  # of that, in a subscript
_LOW, _HIGH = "\x01", "\x02"  # what is between them stands lower
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # in any XML

# Advance widths of a wide sans-serif, in parts of the size: other fonts take less room.
_WIDTHS = {
    letter: advance
    for advance, letters in {
        0.32: "ijl .,:;'|′·",
        0.41: "frtI/()[]{}J-",
        0.56: "csz",
        0.64: "abdeghknopquvxyFLTYZ0123456789σ",
        0.72: "ABEKPRSVX?",
        0.80: "CDGHNOQU",
        0.86: "wM+−=<>≤≥≠×÷⊙~",
        1.00: "mW…%&@",
    }.items()
    for letter in letters
}


class _Subscripts(Style):
    """Plain text in which what follows the first underscore of a name stands lower."""

    def symbol(self, name: str) -> str:
        return subscripted(name)

    def index(self, base: str, inside: str) -> str:
        return f"{base}[{inside}]"


def subscripted(name: str) -> str:
    """A name such as `z_i`, with the `i` lowered."""
    name = _FORBIDDEN.sub("", name)
    base, _, below = name.partition("_")
    if not base or not below:
        return name
    return f"{base}{_LOW}{below.replace('_', ',')}{_HIGH}"


def escaped(text: str) -> str:
    """Text as it stands in XML, without what no XML may hold."""
    return escape(_FORBIDDEN.sub("", text))


def formula(node: Expression) -> str:
    """A formula as text of a drawing."""
    return node.write(_Subscripts(4))


def plain(text: str) -> str:
    """The text without what lowers parts of it."""
    return text.replace(_LOW, "_").replace(_HIGH, "")


def _runs(text: str) -> list[tuple[str, bool]]:
    """Pieces of the text, and whether each stands lower."""
    pieces = re.split(f"({_LOW}|{_HIGH})", text)
    found, low = [], False
    for piece in pieces:
        if piece in (_LOW, _HIGH):
            low = piece == _LOW
        elif piece:
            found.append((piece, low))
    return found


def width(text: str, size: float = SIZE) -> float:
    """The room that a text takes in a wide font."""
    return sum(
        _WIDTHS.get(letter, 1.0) * size * (_SUB if low else 1)
        for piece, low in _runs(text)
        for letter in piece
    )


def tspans(text: str, size: float = SIZE) -> str:
    """The text as the inside of an SVG `text` element."""
    found, was_low = "", False
    for piece, low in _runs(text):
        shift = "" if low == was_low else f' dy="{3 if low else -3}"'
        if low:
            found += f'<tspan{shift} font-size="{size * _SUB:.3g}">{escaped(piece)}</tspan>'
        elif shift:
            found += f"<tspan{shift}>{escaped(piece)}</tspan>"
        else:
            found += escaped(piece)
        was_low = low
    return found
