"""The equations of a network, for people and for programs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from cello.cli.example_data.readout import readout_of
from cello.errors import CaptureError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["formulas", "formulas_text", "indented"]


def formulas(net: nn.Module) -> dict[str, str]:
    """The equations of each layer and of the readout; of what cannot be traced, why."""
    from cello.layers.paths import cells_of
    from cello.see import equations

    found = {}
    for name, cell in cells_of(net).items():
        try:
            found[name] = equations(cell)
        except CaptureError as error:
            found[name] = str(error)
    if readout := readout_of(net):
        found[readout.name] = readout.equation
    return found


def formulas_text(net: nn.Module) -> str:
    """The equations of all layers, those that are the same only once; "" if there are none.

    They are indented; above those of each of several layers stands what it is.
    """
    from cello.layers.paths import cells_of
    from cello.see import equations

    cells, readout = cells_of(net), readout_of(net)
    if len(cells) == 1 and readout is None:
        (text,) = formulas(net).values()
        return indented(text)
    blocks = []
    if len(cells) == 1:
        ((name, cell),) = cells.items()
        blocks.append((f"{name}: {cell._get_name()}({cell.extra_repr()})", formulas(net)[name]))
    elif cells:
        for block in equations(net).split("\n\n"):
            heading, _, text = block.partition("\n")
            blocks.append((heading, text))
    if readout is not None:
        blocks.append((readout.heading, readout.equation))
    return "\n\n".join(f"{heading}\n{indented(text)}" for heading, text in blocks)


def indented(text: str) -> str:
    """The lines of a text, a little to the right."""
    return textwrap.indent(text, "  ")
