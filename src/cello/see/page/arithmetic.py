"""The arithmetic that a page without Python can show: prepared, as much as is wanted."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cello.errors import CaptureError, ModelError, UnknownNameError
from cello.see.page.data import PageData

if TYPE_CHECKING:
    from cello.see.recording import Recording

__all__ = ["arithmetic", "lines"]


class _Place(NamedTuple):
    """A step of a unit, and by how much the unit changes there."""

    change: float
    sequence: int
    layer: str
    t: int
    unit: int


def lines(rec: Recording, layer: str, batch: int, t: int, unit: int) -> list[list[str]]:
    """How each value of a unit was computed at a step: its name, and the line."""
    told = rec.explain(t, unit, layer, batch)
    texts = str(told).splitlines()
    return [[line.name, text] for line, text in zip(told.lines, texts, strict=True)]


def arithmetic(
    places: Sequence[tuple[Recording, int]], data: PageData, limit: int
) -> dict[str, list[list[str]]]:
    """By "sequence/layer/t/unit", at most `limit` times the arithmetic of one step of one unit.

    If not all fit, those are taken at which a unit that varies most in its layer changes most.
    A layer whose arithmetic cannot be shown is left out.

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
            for value in layer["values"]:
                if value["kind"] == "state":
                    block = data.blocks[value["block"]].take()
                    changes = np.abs(np.diff(block, axis=0, prepend=0))
                    for unit in range(value["size"]) if all_units else [value["varies"]]:
                        for t, change in enumerate(changes[:, unit].tolist()):
                            yield _Place(change, number, layer["name"], t, unit)
                    break
