"""The loops of a network in C, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cello.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["loops", "loops_text"]


def loops(net: nn.Module, layer: str | None = None, *, backward: bool = False) -> dict[str, str]:
    """The C of the loops of a network, by the name of the layer.

    Args:
        net: has the layers.
        layer: only this one and what is inside it.
        backward: the loops that compute gradients, in place of those that compute outputs.

    Raises:
        UnknownNameError: no layer is called so.
        ArgumentError: there is no layer at all.
        EngineError: a cell cannot be compiled; names the reason.
    """
    from cello.engines.cpu import source
    from cello.layers.paths import cells_of
    from cello.see.names import listed

    cells = cells_of(net)
    if not cells:
        raise ArgumentError("the network has no recurrent layer, so there is no loop")
    wanted = {
        name: cell
        for name, cell in cells.items()
        if layer is None or f"{name}.".startswith(f"{layer}.")
    }
    if not wanted:
        raise UnknownNameError(f"no layer is named {layer!r}; there are {listed(list(cells))}")
    return {name: source(cell, backward=backward) for name, cell in wanted.items()}


def loops_text(found: dict[str, str]) -> str:
    """All loops one below the other, those that are the same once, each below its layers' names."""
    names: dict[str, list[str]] = {}
    for name, text in found.items():
        names.setdefault(text, []).append(name)
    if list(found) == [""]:
        return found[""]
    return "\n".join(
        f"/* layer{'s' if len(own) > 1 else ''} {', '.join(own)} */\n{text}"
        for text, own in names.items()
    )
