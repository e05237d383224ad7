"""What layers, and the values in them, are called."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn

from cello.cells import Cell, as_cell
from cello.errors import ArgumentError, DtypeError, UnknownNameError
from cello.layers import Bidirectional, DropIn, Recurrent

__all__ = [
    "cells_of",
    "check_module",
    "check_net",
    "find",
    "joined",
    "layer_paths",
    "listed",
    "matches",
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


def find(name: str, names: Sequence[str]) -> str:
    """The one of `names` that is `name` or ends in it.

    Raises:
        UnknownNameError: there is none, or more than one.
        DtypeError: it is no string.

    >>> find("f", ["0.forward.f", "0.forward.c"])
    '0.forward.f'
    """
    if not isinstance(name, str):
        raise DtypeError(f"a name must be a string, got {name!r}")
    if name in names:
        return name
    ending = [full for full in names if full.endswith(f".{name}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise UnknownNameError(f"{name!r} could be {listed(ending)}: give more of the name")
    last = {full.rpartition(".")[2]: full for full in reversed(names)}
    near = difflib.get_close_matches(name, names, n=3)
    near += [last[close] for close in difflib.get_close_matches(name, list(last), n=3)]
    near += [full for full in names if full.endswith(f".{name.rpartition('.')[2]}")][:3]
    if near := list(dict.fromkeys(near)):
        raise UnknownNameError(f"nothing is named {name!r}; near it are {listed(near)}")
    raise UnknownNameError(f"nothing is named {name!r}; there are {listed(names) or 'no values'}")


def listed(names: Sequence[str], limit: int = 12) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(map(repr, names[:limit]))
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern such as "f", "*.c" or "0.*" fits `name` or an ending of it.

    >>> [matches("0.forward.f", pattern) for pattern in ("f", "0.*", "backward.*", "o")]
    [True, True, False, False]
    """
    parts = name.split(".")
    endings = (".".join(parts[number:]) for number in range(len(parts)))
    return any(fnmatchcase(ending, pattern) for ending in endings)
