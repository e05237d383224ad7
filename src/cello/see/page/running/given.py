"""What a page needs to run a recorded net again: the net, and what it was given."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.cells.contract.shapes import INTEGER, is_several, sizes_of, width_of
from cello.errors import CelloError
from cello.layers import Stack
from cello.layers.call.inputs import side_by_side
from cello.see.page.data import NumberBlock, PageData, array, places_of
from cello.see.page.running.net import running_net
from cello.see.recording.recorded import Call, Recorded
from cello.see.recording.rows import LayerRows

__all__ = ["LARGEST", "add_running", "rows_of"]

#: Bytes of weights that a page carries at most.
LARGEST = 2_000_000


def add_running(recordings: Sequence[Recorded], data: PageData) -> str:
    """Give a page the net to run, or tell it why it cannot.

    The head gets `running`: what `RunningNet.about` has, with the block of the `numbers` of the
    weights; `parts`, each [name, size, whether its numbers are whole], of what a step reads, if a
    layer reads it; and for each sequence {rows, size, begin, resets}: the block of what the net
    read at its steps, `size` ids or numbers each; by the name of a layer, states that it began
    with, if not with the initial ones; and the steps before which the state was set back. Or {why}.

    Args:
        recordings: what the page shows.
        data: what it is told.

    Returns:
        The steps in JavaScript; "[]" if there is nothing to run.
    """
    try:
        return _added(recordings, data)
    except (CelloError, _Unknown) as error:
        data.head["running"] = {"why": re.sub(r" \([^()]*:\d+\)", "", str(error))}
        return "[]"


class _Unknown(Exception):
    """Why a net cannot be run again."""


def _added(recordings: Sequence[Recorded], data: PageData) -> str:
    calls = [rec.call for rec in recordings]
    first = calls[0]
    if first is None or any(call is None or call.net is not first.net for call in calls):
        raise _Unknown("the recording does not hold the net that it was made of")
    for rec in recordings:
        for name, layer in rec.by_layer.items():
            if layer.source is None or layer.source.program is None:
                raise _Unknown(f"the step of {name or 'the net'} cannot be traced")
            layer.source.check_unchanged(name)
    net = running_net(first.net, _ids(first.x))
    if net.numbers.nbytes > LARGEST:
        size, most = net.numbers.nbytes / 1e6, LARGEST / 1e6
        raise _Unknown(f"its weights take {size:.1f} MB, and a page carries {most:.0f} at most")
    layers = {
        layer["name"]: layer
        for stage in net.about["stages"]
        for layer in stage.get("layers", ())
        if layer["name"] is not None
    }
    if any(set(rec.by_layer) != set(layers) for rec in recordings):
        raise _Unknown("its layers ran otherwise than once each, one after the other")
    given = [_given(rec, batch, layers) for rec, batch in places_of(recordings)]

    def put(numbers: Any) -> int:
        data.blocks.append(NumberBlock(partial(np.asarray, numbers), exact=True))
        return len(data.blocks) - 1

    try:
        json.dumps([net.about, [about for _, about in given]], allow_nan=False)
    except ValueError:
        raise _Unknown("a state that it begins with is no finite number") from None
    sequences = [{**about, "rows": put(rows), "size": rows.shape[1]} for rows, about in given]
    data.head["running"] = net.about | {
        "numbers": put(net.numbers),
        "parts": _parts(first.net),
        "sequences": sequences,
    }
    return net.steps


def _are_ids(x: Any) -> bool:
    x = x.data if isinstance(x, PackedSequence) else x
    return isinstance(x, Tensor) and not x.is_floating_point()


def _ids(x: Any) -> int | None:
    """How many ids a step has, where they have an axis of their own."""
    rows = x.data.unsqueeze(0) if isinstance(x, PackedSequence) else x
    return rows.shape[2] if _are_ids(rows) and rows.dim() == 3 else None


def _parts(net: Any) -> list[tuple[str, int, bool]]:
    """Of each part of what a step reads, if a layer reads it: name, size, whether it is whole."""
    size = getattr(_first(net), "input_size", None)
    if size is None:
        return []
    named = {f"x_{key}": part for key, part in sizes_of(size).items()}
    parts = named if is_several(size) else {"x": size}
    return [(name, width_of(part), part == INTEGER) for name, part in parts.items()]


def _first(net: Any) -> Any:
    """The module that reads what the net is given."""
    while isinstance(net, (Stack, nn.Sequential)) and len(net):
        net = net[0]
    return net


def _given(
    rec: Recorded, batch: int, layers: dict[str, dict[str, Any]]
) -> tuple[np.ndarray, dict[str, Any]]:
    """What the net read at each step of a sequence, [T, size], and what else it was given."""
    assert rec.call is not None
    layer = next(iter(rec.by_layer.values()))
    numbers = _numbers(rec.call, layer, batch)
    about: dict[str, Any] = {"begin": {}, "resets": []}
    reset = rec.call.kwargs.get("reset")
    if reset is not None:
        found = layer.sequence(layer.steps.like_user("reset", reset, 2).flatten(), batch)
        about["resets"] = found[:, 0].nonzero()[:, 0].tolist()
    for name, own in rec.by_layer.items():
        if not own.length(batch) or own.cell is None:
            continue
        first = own.length(batch) - 1 if layers[name]["reverse"] else 0
        begin = [
            own.sequence(own.rows[f"{state}_prev"], batch, slice(first, first + 1))[0].tolist()
            for state in own.cell.state
            if f"{state}_prev" in own.rows
        ]
        if len(begin) == len(layers[name]["initial"]) and begin != layers[name]["initial"]:
            about["begin"][name] = begin
    if _are_ids(rec.call.x):
        return numbers.double().numpy(), about
    return array(numbers), about


def _numbers(call: Call, layer: LayerRows, batch: int) -> Tensor:
    """What the net read at each step of a sequence, [T, size]."""
    x, first = call.x, _first(call.net)
    if is_several(getattr(first, "input_size", None)):
        x = side_by_side(first, x, layer.steps.form == "BT", "x")
    if isinstance(x, PackedSequence):
        return layer.sequence(x.data, batch)
    rows, length = rows_of(x, layer.steps, batch), layer.length(batch)
    if rows is None:
        raise _Unknown("what it read is no tensor with a row for each step")
    return rows[:length].detach().reshape(length, math.prod(rows.shape[1:])).cpu()


def rows_of(x: Any, steps: Any, batch: int) -> Tensor | None:
    """The rows of a sequence, as a view of x, if that has the form of the net's input."""
    if not isinstance(x, Tensor) or steps.form not in ("T", "TB", "BT"):
        return None
    rows = x.unsqueeze(1) if steps.form == "T" else x
    rows = rows.transpose(0, 1) if steps.form == "BT" else rows
    fits = rows.dim() >= 2 and rows.shape[:2] == (steps.length, steps.batch_size)
    return rows[:, batch] if fits else None
