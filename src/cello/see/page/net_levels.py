"""The whole net for a page: what follows on what, and which parts are layers that it can show."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from cello.cells import Cell
from cello.errors import CelloError
from cello.see.draw.net.outline import Stage, Track, levels_of
from cello.see.recording.rows import LayerRows

__all__ = ["net_levels"]


def net_levels(net: nn.Module | None, layers: Mapping[str, LayerRows]) -> list[dict[str, Any]]:
    """What a net does to each step, from its input on.

    Args:
        net: the net that was recorded; None if it is gone, then only its layers are known.
        layers: those of the recording, by name.

    Returns:
        For each level {join, tracks}, the tracks {layer, cell, memory, reverse, stages} being two
        where both directions are read; `layer` is None for what has no memory. A stage is {title,
        size, line}; `cell` names the cell of a track of several.

    >>> import cello, torch
    >>> net = cello.Stack(cello.Bidirectional(cello.GRUCell(3, 4)), nn.Linear(8, 2))
    >>> rec = cello.record(net, torch.randn(5, 1, 3))
    >>> for level in net_levels(net, rec.by_layer):
    ...     print([(track["layer"], track["stages"][0]["title"]) for track in level["tracks"]])
    [('0.forward', 'GRU'), ('0.backward', 'GRU')]
    [(None, 'Linear')]
    """
    levels: list[dict[str, Any]] = []
    if net is not None:
        with suppress(CelloError):  # its layers are known anyway
            levels = [
                {"join": level.join, "tracks": [_track(track, layers) for track in level.tracks]}
                for level in levels_of(net)
            ]
        shown = {track["layer"] for level in levels for track in level["tracks"]}
        if shown >= {name for name, layer in layers.items() if layer.cell is not None}:
            return levels
    return [{"join": "", "tracks": [_known(name, layer)]} for name, layer in layers.items()]


def _track(track: Track, layers: Mapping[str, LayerRows]) -> dict[str, Any]:
    layer = track.path if track.states and track.path in layers else None
    cell = layers[layer].cell if layer is not None and len(track.stages) > 1 else None
    return {
        "layer": layer,
        "cell": _title(cell),
        "memory": list(track.states),
        "reverse": track.is_backward,
        "stages": [_stage(stage) for stage in track.stages],
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {"title": stage.title, "size": stage.size, "line": stage.line}


def _known(name: str, layer: LayerRows) -> dict[str, Any]:
    cell = layer.cell
    title = _title(cell) or name
    states = list(cell.state) if cell is not None else []
    size = getattr(cell, "hidden_size", None)
    stage = {"title": title, "size": size if isinstance(size, int) else None, "line": ""}
    return {
        "layer": name,
        "cell": "",
        "memory": states,
        "reverse": layer.reads_backward(0),
        "stages": [stage],
    }


def _title(cell: Cell | None) -> str:
    return "" if cell is None else type(cell).__name__.removesuffix("Cell")
