"""The equations of a network, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cello.errors import CaptureError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["formulas", "formulas_text"]


def formulas(net: nn.Module) -> dict[str, str]:
    """The equations of each layer; of one whose step cannot be traced, why."""
    from cello.see import equations
    from cello.see.names import cells_of

    found = {}
    for name, cell in cells_of(net).items():
        try:
            found[name] = equations(cell)
        except CaptureError as error:
            found[name] = str(error)
    return found


def formulas_text(net: nn.Module) -> str:
    """The equations of all layers, those that are the same only once; "" if there are none."""
    from cello.see import equations
    from cello.see.names import cells_of

    cells = cells_of(net)
    if len(cells) == 1:
        (text,) = formulas(net).values()
        return text
    return equations(net) if cells else ""
