"""What the explorer is told of recordings: a head in JSON, and a block of numbers for each value.

The head::

    title       what the page is called; a string, or strings by language
    description what it is about, in the words of who made it; likewise
    sequences   each {title, tokens, outputs, shares, layers}: of how many outputs of a step it can
                be told where they come from; if the page has no Python, for which of them, as
                {block, targets}, each [t, unit]; a layer is
        name, cell      such as "0.forward" and "LSTMCell"
        length          its steps
        reverse         whether it reads from the end
        values          each {name, kind, size, block, low, high, varies, turn, meaning}: the unit
                        that varies most, and the step at which it changes most
    cells       by the name of a layer: {equations, diagram}
    net         the whole net: see `cello.see.page.net_levels`
    labels      what the numbers of the output stand for, if it was told, and with the sequences
                what is right; see `cello.see.page.labels`
    lines       by the name of a layer, if the page has no Python: {terms, units, fixed}, see
                `cello.see.arithmetic.templates`; fixed are the numbers of blocks
    arithmetic  by "sequence/layer/t/unit": lines of [name, text], where those are not enough
    begin       {layer, value, unit, t} to begin with, if the caller has chosen
    running     the net, if the page runs it itself: see `cello.see.page.running.given`
    exercises   what a reader may try: see `cello.see.page.exercises.answered`
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cello.errors import ArgumentError, CaptureError
from cello.layers.paths import joined
from cello.see.draw import draw
from cello.see.draw.step.cells import gate_meanings
from cello.see.formulas.equations import equations
from cello.see.names import find
from cello.see.numbers import short
from cello.see.page.net_levels import net_levels
from cello.see.page.tokens import shortened
from cello.see.page.worded import Worded
from cello.see.recording.recorded import Recorded, output_by_step, outputs_of
from cello.see.recording.rows import LayerRows

__all__ = [
    "OUTPUT",
    "NumberBlock",
    "PageData",
    "about_net",
    "array",
    "changes",
    "layer_and_value",
    "page_data",
    "place_of",
    "places_of",
]

#: The name of what the net returned, if it is a value for each step.
OUTPUT = "output"

#: How the parts of a complex value are called.
REAL, IMAGINARY = ".real", ".imag"

#: An input of up to this many numbers a step is shown as the token of that step.
_SHORT_INPUT = 4


@dataclass(frozen=True, eq=False)
class NumberBlock:
    """Numbers, such as those of one value of one sequence, [T, size].

    Attributes:
        take: gives them; those of a recording's values also of some steps only, given as a slice.
        exact: whether they are kept as they are, whatever the page's precision.
    """

    take: Callable[..., np.ndarray]
    exact: bool = False


@dataclass(frozen=True, eq=False)
class PageData:
    """What a page shows: see the module."""

    head: dict[str, Any]
    blocks: list[NumberBlock]


class _Blocks:
    """Collects blocks; names of one value share one."""

    def __init__(self) -> None:
        self.blocks: list[NumberBlock] = []
        self.known: dict[tuple[int, int], dict[str, Any]] = {}

    def add(self, rows: Tensor, sequence: int, take: Callable[[], np.ndarray]) -> dict[str, Any]:
        """The number of the block, and what `_about` says of it."""
        key = id(rows), sequence
        if key not in self.known:
            self.known[key] = {"block": len(self.blocks)} | _about(take())
            self.blocks.append(NumberBlock(take))
        return self.known[key]


def _about(values: np.ndarray) -> dict[str, Any]:
    """The least and the largest finite number, and the unit that varies most."""
    finite = np.isfinite(values)
    if not finite.any():
        return {"low": 0.0, "high": 0.0, "varies": 0}
    known = np.where(finite, values, 0).astype(np.float64)
    return {
        "low": float(values[finite].min()),
        "high": float(values[finite].max()),
        "varies": int(known.var(axis=0).argmax()),
    }


def page_data(
    recordings: Sequence[Recorded],
    tokens: Sequence[Sequence[str] | None] | None = None,
    *,
    title: Worded = "",
    titles: Sequence[str] | None = None,
    names: str | Iterable[str] | None = None,
    about: Mapping[str, Any] | None = None,
) -> PageData:
    """What a page shows of one or more recordings of the same net.

    Args:
        recordings: each with one or more sequences.
        tokens: for each sequence of all recordings, what to show at each step.
        title: of the page.
        titles: of the sequences.
        names: which values; all unless given.
        about: what `about_net` gave for this net, if it has been called before.

    Raises:
        ArgumentError: there are no sequences, or tokens or titles do not fit them.

    >>> import cello
    >>> rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3))
    >>> data = page_data([rec], ["abcde", "fghij"])
    >>> [sequence["tokens"] for sequence in data.head["sequences"]]
    ['abcde', 'fghij']
    >>> data.blocks[0].take().shape  # x of the first sequence
    (5, 3)
    """
    places = places_of(recordings)
    if not places:
        raise ArgumentError("a page needs at least one sequence: the recorded batch is empty")
    for what, given in (("tokens", tokens), ("titles", titles)):
        if given is not None and len(given) != len(places):
            raise ArgumentError(
                f"{what} must have an entry for each of the {len(places)} sequences, got "
                f"{len(given)}"
            )
    blocks = _Blocks()
    sequences = []
    for number, (rec, batch) in enumerate(places):
        shown = list(_layers(rec, batch, names, blocks))
        own = tokens[number] if tokens is not None else None
        sequences.append(
            {
                "title": titles[number] if titles is not None else f"{number}",
                "tokens": _tokens(own, number, rec, batch),
                "outputs": _outputs(rec, batch),
                "layers": shown,
            }
        )
    _share_scales(sequences)
    head = {"title": title, "sequences": sequences, "lines": {}, "arithmetic": {}}
    head |= about_net(recordings) if about is None else about
    return PageData(head, blocks.blocks)


def layer_and_value(rec: Recorded, name: str) -> tuple[str, str]:
    """The layer that has a value, and what it is called there."""
    wanted = find(name, rec.names)
    return next(
        (layer, own)
        for layer, held in rec.by_layer.items()
        for own in held.rows
        if joined(layer, own) == wanted
    )


def place_of(rec: Recorded, name: str, unit: int, t: int | None = None) -> dict[str, Any]:
    """Where a unit of a value is on a page; unless a step is given, that of its largest change.

    Raises:
        UnknownNameError: no value is called so.
        ArgumentError: it has no such unit or step.
    """
    layer, own = layer_and_value(rec, name)
    held = rec.by_layer[layer]
    wanted = joined(layer, own)
    size = math.prod(held.rows[own].shape[1:])
    if not 0 <= unit < size:
        raise ArgumentError(f"begin: {wanted} has the units 0 to {size - 1}, got {unit}")
    length = held.length(0)
    if t is not None and not 0 <= t < length:
        raise ArgumentError(f"begin: {wanted} has the steps 0 to {length - 1}, got {t}")
    place = {"layer": layer, "value": own, "unit": unit}
    real = dict(_real({own: held.rows[own]})).get(own)
    if t is None and real is not None:
        numbers = {
            name: _numbers(held, rows, 0)
            for name, rows in held.rows.items()
            if name in (own, f"{own}_prev") and not rows.is_complex()
        }
        reverse = held.reads_backward(0)
        t = _largest_change(numbers[own], numbers.get(f"{own}_prev"), unit, reverse=reverse)
    return place | {"t": t or 0}


def places_of(recordings: Sequence[Recorded]) -> list[tuple[Recorded, int]]:
    """Each sequence of each recording: the recording, and the number of the sequence there."""
    return [
        (rec, batch)
        for rec in recordings
        for batch in range(max(layer.steps.batch_size for layer in rec.by_layer.values()))
    ]


def _layers(
    rec: Recorded, batch: int, names: str | Iterable[str] | None, blocks: _Blocks
) -> Iterator[dict[str, Any]]:
    chosen = rec.select(names)
    for name, layer in rec.by_layer.items():
        if batch >= layer.steps.batch_size:
            continue
        cell = layer.cell
        states = set(cell.state) if cell is not None else set()
        meanings = gate_meanings(cell)
        values = []
        for own, rows in _real(layer.rows):
            if joined(name, own.removesuffix(REAL).removesuffix(IMAGINARY)) in chosen:
                found = blocks.add(rows, batch, partial(_numbers, layer, rows, batch))
                size = math.prod(rows.shape[1:])
                kind = _kind(own, states, found["low"], found["high"])
                meaning = meanings.get(own, "")
                values.append({"name": own, "kind": kind, "size": size, "meaning": meaning} | found)
        reverse = layer.reads_backward(batch)
        for value in values:
            before = next((v for v in values if v["name"] == f"{value['name']}_prev"), None)
            value["turn"] = _turn(blocks, value, before, reverse=reverse)
        yield {
            "name": name,
            "cell": type(cell).__name__ if cell is not None else "",
            "length": layer.length(batch),
            "reverse": reverse,
            "values": values,
        }
    # If the net is a single layer, its output is one of the values of that layer already.
    output = None if "" in rec.by_layer or OUTPUT in rec else output_by_step(rec)
    if output is not None:
        layer, rows = output
        if batch < layer.steps.batch_size and (names is None or OUTPUT in names):
            found = blocks.add(rows, batch, partial(_rows_of_output, rows, layer, batch))
            value = {"name": OUTPUT, "kind": "output", "size": rows.shape[2], "meaning": ""} | found
            value["turn"] = _turn(blocks, value, None, reverse=False)
            length = layer.length(batch)
            yield {"name": "", "cell": "", "length": length, "reverse": False, "values": [value]}


def changes(values: np.ndarray, before: np.ndarray | None, *, reverse: bool) -> np.ndarray:
    """By how much each number differs from that of the step that was read before, [T, ...].

    Args:
        values: the numbers, [T, ...].
        before: what they were before the first step; unless it is known, nothing changes there.
        reverse: whether they were read from the end.
    """
    first = slice(-1, None) if reverse else slice(0, 1)
    other = values[first] if before is None else before.reshape(values[first].shape)
    with np.errstate(invalid="ignore"):
        parts = (values, other) if reverse else (other, values)
        return np.abs(np.diff(np.concatenate(parts).astype(np.float64), axis=0))


def _turn(
    blocks: _Blocks, value: dict[str, Any], before: dict[str, Any] | None, *, reverse: bool
) -> int:
    """The step at which the unit of a value that varies most changes most."""
    own = blocks.blocks[value["block"]].take()
    old = None if before is None else blocks.blocks[before["block"]].take()
    return _largest_change(own, old, value["varies"], reverse=reverse)


def _largest_change(own: np.ndarray, before: np.ndarray | None, unit: int, *, reverse: bool) -> int:
    """The step at which a unit changes most, of values [T, size] and those before each step."""
    if not len(own):
        return 0
    known = before is not None and before.shape == own.shape
    old = before[-1 if reverse else 0, unit] if before is not None and known else None
    found = changes(own[:, unit], old, reverse=reverse)
    return int(np.where(np.isfinite(found), found, 0).argmax())


def _real(rows: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The values; a complex one as two, for a page shows real numbers."""
    for name, value in rows.items():
        if value.is_complex():
            yield from ((name + REAL, value.real), (name + IMAGINARY, value.imag))
        else:
            yield name, value


def _kind(name: str, states: set[str], low: float, high: float) -> str:
    if name == "x" or name.endswith("_prev"):
        return "input"
    if name in states:
        return "state"
    return "gate" if low >= 0 and high <= 1 and high > 0 else "value"


def _numbers(layer: LayerRows, rows: Tensor, batch: int, steps: slice = slice(None)) -> np.ndarray:
    return array(layer.sequence(rows, batch, steps))


def _rows_of_output(
    output: Tensor, layer: LayerRows, batch: int, steps: slice = slice(None)
) -> np.ndarray:
    return array(output.detach()[: layer.length(batch), batch][steps].cpu())


def array(tensor: Tensor) -> np.ndarray:
    """The numbers, of a type that a page can read."""
    exact = tensor.dtype in (torch.float32, torch.float64)
    return (tensor if exact else tensor.float()).numpy()


def _outputs(rec: Recorded, batch: int) -> int:
    """The size of an output; 0 if the net is gone and shares cannot be computed."""
    found = outputs_of(rec) if rec.call is not None else None
    return found[1].shape[2] if found and batch < found[0].steps.batch_size else 0


def _tokens(
    own: Sequence[str] | None, number: int, rec: Recorded, batch: int
) -> list[str] | str | None:
    """What to show at each step: the tokens given; else the input, if it is short."""
    layers = list(rec.by_layer.values())
    length = max(layer.length(batch) for layer in layers if batch < layer.steps.batch_size)
    if own is not None:
        if len(own) != length:
            raise ArgumentError(
                f"tokens of sequence {number} must be {length}, one for each step, got {len(own)}"
            )
        return shortened(own)
    rows = layers[0].rows.get("x")
    if rows is None or not 0 < math.prod(rows.shape[1:]) <= _SHORT_INPUT:
        return None
    numbers = _numbers(layers[0], rows, batch)
    return [", ".join(short(value, 4) for value in row) for row in numbers.tolist()]


def _share_scales(sequences: list[dict[str, Any]]) -> None:
    """One scale for a value in all sequences, so that its colours can be compared."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for sequence in sequences:
        for layer in sequence["layers"]:
            for value in layer["values"]:
                found.setdefault((layer["name"], value["name"]), []).append(value)
    for values in found.values():
        low, high = min(v["low"] for v in values), max(v["high"] for v in values)
        kind = "gate" if all(v["kind"] == "gate" for v in values) else None
        for value in values:
            if value["kind"] == "gate" and kind is None:
                value["kind"] = "value"
            value["low"], value["high"] = low, high


def about_net(recordings: Sequence[Recorded]) -> dict[str, Any]:
    """What a head says of the net whatever it has read: its cells and its levels."""
    first = recordings[0]
    net = None if first.call is None else first.call.net
    return {"cells": _about_cells(recordings), "net": net_levels(net, first.by_layer)}


def _about_cells(recordings: Sequence[Recorded]) -> dict[str, Any]:
    """The equations and the diagram of the cell of each layer, as far as it can be traced."""
    found: dict[str, Any] = {}
    for rec in recordings:
        for name, layer in rec.by_layer.items():
            cell = layer.cell
            if name not in found and cell is not None:
                try:
                    diagram = draw(cell, placeholders=True).svg
                    found[name] = {"equations": equations(cell), "diagram": diagram}
                except CaptureError:
                    found[name] = {}
    return found
