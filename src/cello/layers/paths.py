"""Which layers and cells a net has, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from cello.cells import Cell, as_cell
from cello.errors import ArgumentError, DtypeError
from cello.layers import Bidirectional, DropIn, Recurrent

__all__ = [
    "cells_of",
    "check_module",
    "check_net",
    "joined",
    "layer_paths",
    "outer_paths",
    "shown_paths",
]


def joined(*parts: str) -> str:
    """The parts that are not empty, with dots between them."""
    return ".".join(part for part in parts if part)


def layer_paths(net: nn.Module) -> dict[nn.Module, str]:
    """The path of every layer in `net` that runs cells; a direction is `forward` or `backward`."""
    return {
        module: path for path, module in shown_paths(net) if isinstance(module, (Recurrent, DropIn))
    }


def outer_paths(net: nn.Module) -> dict[nn.Module, str]:
    """As `layer_paths`, without layers inside another layer's cell: they are part of its step."""
    paths = layer_paths(net)
    inside = {m for layer in paths if isinstance(layer, Recurrent) for m in layer.cell.modules()}
    return {layer: path for layer, path in paths.items() if layer not in inside}


def cells_of(net: nn.Module) -> dict[str, Cell]:
    """Every cell in `net`, by the name under which a recording shows what happens in it.

    >>> import cello
    >>> net = cello.Stack(cello.LSTM(3, 4, num_layers=2), cello.Bidirectional(cello.GRUCell(4, 2)))
    >>> list(cells_of(net))
    ['0.0', '0.1', '1.forward', '1.backward']
    """
    if isinstance(net, (Cell, nn.RNNCellBase)):
        return {"": as_cell(net)}
    cells: dict[str, Cell] = {}
    for module, path in layer_paths(net).items():
        if isinstance(module, DropIn):
            cells.update((joined(path, place), cell) for place, cell in module.cells().items())
        elif isinstance(module, Recurrent):
            cells[path] = module.cell
    return cells


def shown_paths(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module in `net`, with its path as it is shown, each once, outer ones first."""
    renamed: dict[str, str] = {"": ""}
    for path, module in net.named_modules():
        parent, _, name = path.rpartition(".")
        if path and isinstance(net.get_submodule(parent), Bidirectional):
            name = name.removesuffix("_layer")
        shown = joined(renamed[parent], name)
        renamed[path] = shown
        yield shown, module


def check_module(net: object) -> nn.Module:
    """Return `net` if it is a module.

    Raises:
        DtypeError: it is not.
    """
    if isinstance(net, nn.Module):
        return net
    what = f"the class {net.__name__} itself" if isinstance(net, type) else type(net).__name__
    raise DtypeError(f"net must be a module, got {what}")


def check_net(net: object) -> nn.Module:
    """Return `net` if there are cells in it.

    Raises:
        DtypeError: it is no module.
        ArgumentError: none of its modules is a layer of ours.
    """
    net = check_module(net)
    if layer_paths(net):
        return net
    name = type(net).__name__
    for path, module in net.named_modules():
        if isinstance(module, nn.RNNBase):
            where = f"its {path} is" if path else "it is"
            raise ArgumentError(
                f"{name} holds no layer of ours, {where} PyTorch's nn.{type(module).__name__}, "
                "which shows nothing: use cello.accelerate(net), which shares its parameters"
            )
        if isinstance(module, (Cell, nn.RNNCellBase)):
            where = f"its {path} is" if path else "it is"
            raise ArgumentError(
                f"{name} holds no layer, {where} a cell, one step only: "
                "wrap it as cello.Recurrent(cell)"
            )
    raise ArgumentError(
        f"{name} holds no recurrent layer of ours (Recurrent, Bidirectional, RNN, LSTM, GRU)"
    )
