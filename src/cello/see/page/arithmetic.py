"""The arithmetic that a page without Python can show.

It fills lines with numbers itself where that can be done; the others are prepared, as many as are
wanted.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cello.errors import CaptureError, ModelError, UnknownNameError
from cello.see.arithmetic.explain import explain
from cello.see.arithmetic.templates import line_templates
from cello.see.page.data import NumberBlock, PageData, array, changes
from cello.see.recording.recorded import Recorded

__all__ = ["arithmetic", "lines"]

#: Bytes of the lines that hold for other parameters too: a small net's, whose weights one changes.
_OPEN = 60_000


class _Place(NamedTuple):
    """A step of a unit, and by how much the unit changes there."""

    change: float
    sequence: int
    layer: str
    t: int
    unit: int


def lines(rec: Recorded, layer: str, batch: int, t: int, unit: int) -> list[list[str]]:
    """How each value of a unit was computed at a step: its name, and the line."""
    explanation = explain(rec, t, unit, layer, batch)
    texts = str(explanation).splitlines()
    return [[line.name, text] for line, text in zip(explanation.lines, texts, strict=True)]


def add_lines(recordings: Sequence[Recorded], data: PageData, limit: int) -> None:
    """Give the page the lines that it can fill with numbers.

    For each layer those of the net as it was recorded, and of a small one those in which its
    parameters are open too.

    Args:
        recordings: what it shows.
        data: what it is told.
        limit: if the lines and the numbers that they need take more bytes, a layer goes without.
    """
    shown = {
        layer["name"]: {value["name"] for value in layer["values"]}
        for sequence in data.head["sequences"]
        for layer in sequence["layers"]
        if layer["cell"]
    }
    for name, values in shown.items():
        runs = [rec.by_layer[name] for rec in recordings if name in rec.by_layer]
        weights = sum(parameter.nbytes for parameter in runs[0].parameters)
        told: dict[str, Any] = {}
        for key, is_open in (("as_recorded", False), ("open", True)):
            most = min(limit, _OPEN) if is_open else limit
            if weights > most:  # no need to try
                break
            found = line_templates(runs, values, is_open=is_open)
            fixed = [array(tensor) for tensor in found.fixed]
            size = len(json.dumps(found.units)) + sum(numbers.nbytes for numbers in fixed)
            if size > most:
                break
            limit -= size
            first = len(data.blocks)
            data.blocks.extend(NumberBlock(partial(np.asarray, own), exact=True) for own in fixed)
            told[key] = {
                "terms": found.terms,
                "units": found.units,
                "fixed": list(range(first, len(data.blocks))),
                "parameters": found.parameters,
            }
        if told:
            data.head["lines"][name] = told


def arithmetic(
    places: Sequence[tuple[Recorded, int]], data: PageData, limit: int
) -> dict[str, list[list[str]]]:
    """By "sequence/layer/t/unit", at most `limit` times the arithmetic of one step of one unit.

    It is that of layers whose lines the page cannot all fill in. If not all of it fits, those steps
    are taken at which a unit that varies most in its layer changes most. A layer whose arithmetic
    cannot be shown is left out.

    Args:
        places: for each sequence of the page, its recording and its number there.
        data: what the page shows.
        limit: how much is prepared.
    """
    chosen = heapq.nlargest(limit + 1, _places(data, all_units=True))
    if len(chosen) > limit:
        chosen = heapq.nlargest(limit, _places(data, all_units=False))
    found: dict[str, list[list[str]]] = {}
    refused: set[str] = set()
    for place in chosen:
        if place.layer in refused:
            continue
        rec, batch = places[place.sequence]
        key = f"{place.sequence}/{place.layer}/{place.t}/{place.unit}"
        try:
            found[key] = lines(rec, place.layer, batch, place.t, place.unit)
        except (CaptureError, ModelError, UnknownNameError):
            refused.add(place.layer)
    return found


def _places(data: PageData, *, all_units: bool) -> Iterator[_Place]:
    for number, sequence in enumerate(data.head["sequences"]):
        for layer in sequence["layers"]:
            if _has_all_lines(layer, data.head["lines"]):
                continue
            known = {value["name"]: value["block"] for value in layer["values"]}
            for value in layer["values"]:
                if value["kind"] == "state":
                    block = data.blocks[value["block"]].take()
                    reverse = layer["reverse"]
                    old = known.get(f"{value['name']}_prev")
                    first = slice(-1, None) if reverse else slice(0, 1)
                    before = None if old is None else data.blocks[old].take()[first]
                    found = changes(block, before, reverse=reverse)
                    for unit in range(value["size"]) if all_units else [value["varies"]]:
                        for t, change in enumerate(found[:, unit].tolist()):
                            yield _Place(change, number, layer["name"], t, unit)
                    break


def _has_all_lines(layer: dict[str, Any], known: dict[str, Any]) -> bool:
    """Whether the page has the lines of every value that the step computes."""
    units = known[layer["name"]]["as_recorded"]["units"] if layer["name"] in known else []
    made = {v["name"]: v["size"] for v in layer["values"] if v["kind"] != "input"}
    return all(
        len(units) >= size and all(name in unit for unit in units[:size])
        for name, size in made.items()
    )
