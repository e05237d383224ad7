"""A picture as SVG: readable by day and by night, without fonts or anything else to load."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from cello.see.draw.paint.picture import Mark, Picture, PlacedShape, Text, Wire
from cello.see.draw.paint.text import SIZE, SMALL, escaped, tspans

__all__ = ["svg_of"]

_BEND = 5.0  # radius of a wire's corners
_FONTS = "Helvetica,Arial,'DejaVu Sans','Noto Sans','Noto Sans CJK SC',sans-serif"

# Alone in a file or an <img>, the drawing follows the system's theme and has a ground of its own,
# for the page around it may not; inside of a page it takes the colour of the text around it.
_STYLE = f"""
.cello{{color:inherit;font:{SIZE:g}px {_FONTS}}}
.cello text{{fill:currentColor}}
.cello .small,.cello .number{{font-size:{SMALL:g}px}}
.cello .small{{opacity:.75}}
.cello .number{{font-weight:600}}
.cello .wire{{fill:none;stroke:currentColor;stroke-width:1.2}}
.cello .dot{{fill:currentColor}}
.cello .box{{fill:currentColor;fill-opacity:.05;stroke:currentColor;stroke-width:1.2}}
.cello .gate{{fill:#e08a00;fill-opacity:.2;stroke:#c77700}}
.cello .memory,.cello .bar{{fill:#2f7fd6;fill-opacity:.2;stroke:#2f7fd6;stroke-width:1.6}}
.cello .loop{{stroke:#2f7fd6;stroke-width:1.8}}
.cello .loopdot{{fill:#2f7fd6}}
.cello .unit{{fill:currentColor;fill-opacity:.08;stroke:currentColor}}
svg.cello:root{{color:#1f2328;background:#fff}}
@media (prefers-color-scheme:dark){{svg.cello:root{{color:#e6edf3;background:#0d1117}}}}
"""


def svg_of(picture: Picture, title: str) -> str:
    """The text of the SVG."""
    width, height = round(picture.width), round(picture.height)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="cello" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escaped(title)}</title>",
            f"<style>{_STYLE.replace(chr(10), '')}</style>",
            *map(_wire, picture.wires),
            *map(_arrow, (wire for wire in picture.wires if wire.arrow)),
            *map(_mark, picture.marks),
            *(line for shape in picture.shapes for line in _shape(shape)),
            *map(_text, picture.texts),
            "</svg>\n",
        ]
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _wire(wire: Wire) -> str:
    value = f" data-value={quoteattr(wire.value)}" if wire.value else ""
    kind = f"wire {wire.kind}".strip()
    return f'<path class="{kind}" d="{_way(wire.points)}"{value}/>'


def _way(points: tuple[tuple[float, float], ...]) -> str:
    """The line with its corners rounded."""
    x, y = points[0]
    way = f"M{_number(x)} {_number(y)}"
    for (ax, ay), (bx, by), (cx, cy) in zip(points, points[1:], points[2:], strict=False):
        before, after = abs(bx - ax) + abs(by - ay), abs(cx - bx) + abs(cy - by)
        bend = min(_BEND, before / 2, after / 2)
        px, py = _toward(bx, by, ax, ay, bend)
        qx, qy = _toward(bx, by, cx, cy, bend)
        way += f"L{_number(px)} {_number(py)}Q{_number(bx)} {_number(by)} "
        way += f"{_number(qx)} {_number(qy)}"
    return f"{way}L{_number(points[-1][0])} {_number(points[-1][1])}"


def _toward(x: float, y: float, to_x: float, to_y: float, far: float) -> tuple[float, float]:
    length = abs(to_x - x) + abs(to_y - y)
    part = far / length if length else 0.0
    return x + (to_x - x) * part, y + (to_y - y) * part


def _arrow(wire: Wire) -> str:
    (ax, ay), (x, y) = wire.points[-2:]
    across, along = (0, 1) if abs(x - ax) < 0.01 else (1, 0)
    sign = 1 if (x - ax) + (y - ay) > 0 else -1
    back_x, back_y = x - 6 * sign * across, y - 6 * sign * along
    kind = "loopdot" if wire.kind == "loop" else "dot"
    corners = [(x, y), (back_x + 3 * along, back_y + 3 * across)]
    corners.append((back_x - 3 * along, back_y - 3 * across))
    places = "L".join(f"{_number(px)} {_number(py)}" for px, py in corners)
    return f'<path class="{kind}" d="M{places}z"/>'


def _mark(mark: Mark) -> str:
    kind = "loopdot" if mark.kind == "loop" else "dot"
    return f'<circle class="{kind}" cx="{_number(mark.x)}" cy="{_number(mark.y)}" r="2.4"/>'


def _shape(shape: PlacedShape) -> Iterator[str]:
    place = f'x="{_number(shape.x)}" y="{_number(shape.y)}"'
    size = f'width="{_number(shape.width)}" height="{_number(shape.height)}"'
    kind = f"box {shape.kind}".strip()
    element = f'rect class="{kind}" {place} {size} rx="{_number(shape.round)}"'
    if shape.note:
        yield f"<{element}><title>{escaped(shape.note)}</title></rect>"
    else:
        yield f"<{element}/>"
    if shape.kind == "memory":  # a register: a bar on either side
        for x in (shape.x + 4, shape.x + shape.width - 4):
            top, bottom = shape.y + 4, shape.y + shape.height - 4
            way = f"M{_number(x)} {_number(top)}V{_number(bottom)}"
            yield f'<path class="bar" d="{way}"/>'


def _text(text: Text) -> str:
    kind = f' class="{text.kind}"' if text.kind else ""
    anchor = ' text-anchor="middle"' if text.anchor == "middle" else ""
    value = f" data-value={quoteattr(text.value)}" if text.value else ""
    size = SMALL if text.kind else SIZE
    inside = tspans(text.text, size)
    return f'<text{kind} x="{_number(text.x)}" y="{_number(text.y)}"{anchor}{value}>{inside}</text>'
