"""The colours of numbers on pages, in plots and terminals: from blue over grey to orange.

Blue is low, orange is high. They differ for every kind of colour-blindness but the total one. The
page reads this table too: see `cello.see.page.bundle`.
"""

from __future__ import annotations

__all__ = ["ENDS", "MISSING", "RGB"]

RGB = tuple[int, int, int]

#: By the theme: of the lowest, the middle and the highest number.
ENDS: dict[str, tuple[RGB, RGB, RGB]] = {
    "light": ((38, 88, 160), (225, 225, 225), (200, 92, 10)),
    "dark": ((92, 156, 255), (44, 44, 48), (255, 150, 56)),
}

#: By the theme: of what is no number; purple.
MISSING: dict[str, RGB] = {"light": (120, 40, 120), "dark": (230, 130, 230)}
