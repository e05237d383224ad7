"""A net as the stages that its rows go through, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import nn

from cello.cells import Cell
from cello.cells.contract.shapes import width_of
from cello.errors import ArgumentError, ConversionError
from cello.layers import Bidirectional, DropIn, Recurrent, Stack, accelerate
from cello.layers.encoders import ENCODERS
from cello.layers.layer import Layer
from cello.layers.outputs.pooling import refuse_pooling
from cello.layers.reads import reads_of
from cello.layers.row_wise import RowWise, computing_modules

__all__ = ["Cells", "Module", "Stage", "Table", "as_layers", "stages_of"]


@dataclass
class Cells:
    """One cell through time, or two, one in each direction.

    Attributes:
        path: what the stage is called.
        layers: one of each cell; it has the initial state, and says whether it reads from the end.
        join: what becomes of two outputs, "concat", "sum" or "mean".
    """

    path: str
    layers: list[Recurrent]
    join: str = "concat"

    @property
    def inputs(self) -> int:
        """Numbers of a step."""
        return width_of(self.layers[0].input_size)

    @property
    def outputs(self) -> int:
        """Numbers that come out."""
        each = [width_of(layer.output_size) for layer in self.layers]
        return sum(each) if self.join == "concat" else each[0]


@dataclass
class Table:
    """The first stage of a net that reads ids.

    Attributes:
        path: what the stage is called.
        encoder: the module.
        ids: how many of a step.
    """

    path: str
    encoder: Any
    ids: int

    @property
    def inputs(self) -> int:
        """Ids of a step."""
        return self.ids

    @property
    def size(self) -> int:
        """How many ids there are."""
        own = getattr(self.encoder, "num_embeddings", None)
        return int(self.encoder.size if own is None else own)

    @property
    def rows(self) -> str:
        """What becomes of the rows of the table that the ids name.

        "count": there is none, each output is how often its id is there. "beside": they stand side
        by side. "sum": they are added up. "window": an id names a row and the place that it is
        added to: it is the place times the rows of the table, and the row.
        """
        kind = type(self.encoder).__name__
        known = {"OneHot": "count", "KHot": "count", "Projection": "sum"}
        return known.get(kind, "window" if kind == "WindowProjection" else "beside")

    @property
    def outputs(self) -> int:
        """Numbers that come out."""
        own = getattr(self.encoder, "embedding_dim", None)
        return int(self.encoder.output_size if own is None else own)


@dataclass
class Module:
    """Ordinary modules: their outputs at a step depend on that step alone.

    Attributes:
        path: what the stage is called.
        cell: runs them as its step.
    """

    path: str
    cell: Cell

    @property
    def inputs(self) -> int:
        """Numbers of a step."""
        return width_of(self.cell.input_size)

    @property
    def outputs(self) -> int:
        """Numbers that come out."""
        return width_of(self.cell.output_size)


Stage = Cells | Table | Module


def as_layers(net: nn.Module) -> nn.Module:
    """The net with our layers in place of PyTorch's; a layer around a lone cell.

    What is in an `nn.Sequential` with layers becomes a `Stack`.
    """
    if isinstance(net, (Cell, nn.RNNCellBase)):
        return Recurrent(net)
    foreign = any(isinstance(m, nn.RNNBase) and not isinstance(m, DropIn) for m in net.modules())
    net = accelerate(net) if foreign else net
    if isinstance(net, nn.Sequential) and any(isinstance(part, (Layer, DropIn)) for part in net):
        return Stack(*net, batch_first=any(getattr(part, "batch_first", False) for part in net))
    return net


def stages_of(net: nn.Module, ids: int | None) -> list[Stage]:
    """The stages of `net`, which is in eval mode.

    Args:
        net: what `as_layers` has made.
        ids: how many a step has, where the net takes any number.

    Raises:
        ConversionError: a module is none of the known ones.
        ArgumentError: `ids` is missing, or not what the net takes: none where it reads no ids.
    """
    refuse_pooling(net, "a chain of steps")
    stages: list[Stage] = []
    width: int | None = None
    named = ((".".join(path), module) for path, module in computing_modules(net))
    for plain, group in groupby(named, lambda part: _is_plain(part[1])):
        some = list(group)
        if plain:
            stages.append(_module(some, width))
        for path, module in some if not plain else ():
            if not isinstance(module, _TABLES):
                stages += _cells(module, path)
            elif stages:
                raise ConversionError(f"{path} reads ids, which only a net's first module can")
            else:
                stages.append(Table(path, module, _ids(module, ids, path)))
        width = stages[-1].outputs if stages else None
    if not stages:
        raise ConversionError("net has no module that computes anything")
    if ids is not None and not isinstance(stages[0], Table):
        raise ArgumentError(
            f"must be left out, for the net reads no ids, got {ids!r}", argument="ids"
        )
    for one, other in pairwise(stages):
        if one.outputs != other.inputs:
            raise ConversionError(
                f"{other.path} takes {other.inputs} numbers a step, {one.path} gives {one.outputs}"
            )
    return stages


_TABLES = (*ENCODERS, nn.Embedding)


def _is_plain(module: nn.Module) -> bool:
    return not isinstance(module, (Layer, DropIn, *_TABLES))


def _cells(module: nn.Module, path: str) -> Iterator[Cells]:
    if isinstance(module, Recurrent):
        yield Cells(path, [module])
    elif isinstance(module, Bidirectional):
        yield Cells(path, [module.forward_layer, module.backward_layer], module.join)
    else:
        assert isinstance(module, DropIn)
        cells = list(module.cells().values())
        ways = 1 + module.bidirectional
        for number in range(module.num_layers):
            some = cells[number * ways :][:ways]
            layers = [Recurrent(cell, reverse=n == 1) for n, cell in enumerate(some)]
            yield Cells(f"{path}.{number}" if path else f"{number}", layers)


def _module(parts: list[tuple[str, nn.Module]], width: int | None) -> Module:
    for path, module in parts:
        if any(isinstance(inner, (Layer, DropIn)) for inner in module.modules()):
            raise ConversionError(
                f"{path or 'net'}, a {type(module).__name__}, holds recurrent layers: what it does "
                "with them is not known; only layers, cello.Stack and nn.Sequential can be followed"
            )
    modules = nn.Sequential(*(module for _, module in parts))
    if width is None:
        (width,) = reads_of(parts[0][1]).shape
    like = next(iter(modules.parameters()), torch.zeros(()))
    try:
        with torch.no_grad():
            outputs = modules(torch.zeros(2, width, dtype=like.dtype)).shape[1:].numel()
    except Exception as error:
        path = parts[0][0] or "net"
        raise ConversionError(f"{path} cannot run on rows of {width} numbers: {error}") from error
    return Module(parts[0][0], RowWise(modules, width, outputs).eval())


def _ids(module: Any, ids: int | None, path: str) -> int:
    """How many ids a step has."""
    axes = reads_of(module).shape
    if axes == (-1,):
        if not isinstance(ids, int) or isinstance(ids, bool) or ids < 1:
            raise ArgumentError(
                f"must say how many ids a step has, for {type(module).__name__} takes any number; "
                f"got {ids!r}",
                argument="ids",
            )
        return ids
    fixed = axes[0] if axes else 1
    if ids not in (None, fixed):
        raise ArgumentError(
            f"must be {fixed}, for {path or 'net'} takes that many a step, got {ids!r}",
            argument="ids",
        )
    return fixed
