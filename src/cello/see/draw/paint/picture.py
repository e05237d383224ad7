"""A picture: shapes with places, y from above. What the SVG is written from."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Mark", "Picture", "PlacedShape", "Text", "Wire"]


@dataclass(frozen=True)
class Wire:
    """A line of level and upright stretches; an arrow at its end if `arrow`."""

    points: tuple[tuple[float, float], ...]
    kind: str = ""  # "" or "loop"
    arrow: bool = False
    value: str = ""


@dataclass(frozen=True)
class PlacedShape:
    """A box, or a circle where `round` is half its size."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    round: float = 5.0
    note: str = ""


@dataclass(frozen=True)
class Mark:
    """A dot where a wire branches."""

    x: float
    y: float
    kind: str = ""


@dataclass(frozen=True)
class Text:
    """A line of text; `y` is its base line, `anchor` "start" or "middle"."""

    x: float
    y: float
    text: str
    kind: str = ""  # "", "small" or "number"
    anchor: str = "middle"
    value: str = ""


@dataclass
class Picture:
    """All shapes, those below first."""

    width: float = 0.0
    height: float = 0.0
    wires: list[Wire] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    shapes: list[PlacedShape] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
