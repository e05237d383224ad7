"""What `cello.draw` returns."""

from __future__ import annotations

import os
from pathlib import Path

from cello.errors import ArgumentError
from cello.files import replace
from cello.see.draw.paint.picture import Picture
from cello.see.draw.paint.svg import svg_of

__all__ = ["Drawing"]

MOST_PIXELS = 1e8  # of a PNG: more are likely a mistake, and take memory


class Drawing:
    """A picture of a cell or a net; a notebook shows it.

    Attributes:
        svg: the text of the picture, one `<svg>` element without anything to load. Each wire and
            each number of a named value has the attribute `data-value` with its name.
        picture: its shapes, wires and texts with their places.
    """

    def __init__(self, picture: Picture, title: str) -> None:
        self.picture = picture
        self.title = title
        self.svg = svg_of(picture, title)

    def save(self, path: str | os.PathLike[str], *, scale: float = 2.0) -> None:
        """Write the picture to a file, as SVG or PNG by the end of its name.

        Args:
            path: ends in .svg or .png. An old file of this name is replaced whole or not at all.
            scale: of a PNG: how many of its pixels a unit of the SVG takes.

        Raises:
            ArgumentError: the path ends in something else, or there is no such scale.
            FileNotFoundError: the folder does not exist.
            ImportError: PNG needs resvg, of the extra: pip install 'cello[draw]'.
        """
        target = Path(path)
        match target.suffix.lower():
            case ".svg":
                data = self.svg.encode()
            case ".png":
                data = self.png(scale=scale)
            case other:
                raise ArgumentError(f"path must end in .svg or .png, got {other or str(path)!r}")
        replace(target, data)

    def png(self, *, scale: float = 2.0) -> bytes:
        """The picture as a PNG, dark lines on white.

        Raises:
            ArgumentError: `scale` is no number above 0, or asks for too many pixels.
            ImportError: resvg is not installed.
        """
        try:
            import resvg_py
        except ImportError as error:
            raise ImportError(
                "a PNG needs resvg, which is not installed: pip install 'cello[draw]', "
                "or save the drawing as .svg"
            ) from error
        width, height = round(self.picture.width), round(self.picture.height)
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not scale > 0:
            raise ArgumentError(f"scale must be a number above 0, got {scale!r}")
        if (pixels := width * height * scale**2) > MOST_PIXELS:
            raise ArgumentError(
                f"scale={scale:g} makes {width} × {height} into {pixels:.3g} pixels; "
                f"at most {MOST_PIXELS:.3g} are drawn"
            )
        wide = max(1, round(width * scale))
        return bytes(resvg_py.svg_to_bytes(svg_string=self.svg, width=wide, background="white"))

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        width, height = round(self.picture.width), round(self.picture.height)
        return f"<Drawing of {self.title}, {width} × {height}>"
