"""What a net's output stands for, what it should have said, and which numbers are as stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from cello.errors import ArgumentError
from cello.see.page.data import OUTPUT, NumberBlock, PageData, array, layer_and_value, places_of
from cello.see.page.tokens import shortened
from cello.see.recording.recorded import Recorded, output_by_sequence

__all__ = ["Verdicts", "add_labels", "add_stated", "step_outputs"]

#: By the name of a value, for each step and unit whether it is as stated; None where nothing is.
Verdicts = Mapping[str, Sequence[Sequence[bool | None]]]


def add_labels(
    recordings: Sequence[Recorded],
    data: PageData,
    labels: Sequence[str] | None,
    expected: Sequence[Sequence[str] | None] | None = None,
) -> None:
    """Tell a page the names of the output's units, and those that are right.

    The head gets `labels`; a sequence gets `expected`, the unit at each step, or -1 where the right
    one has no unit. Of a net that answers once for a whole sequence it gets `answer`, {block,
    size}, and then a single unit is expected.

    Args:
        recordings: what the page shows.
        data: of the page.
        labels: a name for each unit of the output; two where the only one decides between them.
        expected: for each sequence the right name of each step, or the one of the whole, or None.

    Raises:
        ArgumentError: the net has no such output, or there are more or fewer names.
    """
    for sequence, (rec, batch) in zip(data.head["sequences"], places_of(recordings), strict=True):
        rows = output_by_sequence(rec)
        if rows is not None:
            row = rows.detach()[batch : batch + 1].cpu()
            sequence["answer"] = {"block": len(data.blocks), "size": row.shape[1]}
            data.blocks.append(NumberBlock(partial(array, row), exact=True))
    if labels is None:
        if expected is not None:
            raise ArgumentError("expected names what is right among labels: give labels too")
        return
    sizes = [_output_size(sequence) for sequence in data.head["sequences"]]
    for size in sizes:
        if size != len(labels) and (size, len(labels)) != (1, 2):
            gives = "no output of its own at each step" if size is None else f"{size} numbers"
            raise ArgumentError(
                f"labels must name each number that the net gives, got {len(labels)}, "
                f"and it gives {gives}"
            )
    data.head["labels"] = list(shortened(labels))
    if expected is None:
        return
    if len(expected) != len(sizes):
        raise ArgumentError(
            f"expected must have an entry for each of the {len(sizes)} sequences, got "
            f"{len(expected)}"
        )
    places = {name: unit for unit, name in enumerate(labels)}
    for number, (sequence, names) in enumerate(zip(data.head["sequences"], expected, strict=True)):
        if names is None:
            continue
        once = "answer" in sequence
        length = 1 if once else _output(sequence)["length"]
        if len(names) != length:
            each = "for the whole of it" if once else "for each step"
            raise ArgumentError(
                f"expected of sequence {number} must be {length}, one {each}, got {len(names)}"
            )
        sequence["expected"] = [places.get(name, -1) for name in names]


def add_stated(recordings: Sequence[Recorded], data: PageData, stated: Sequence[Verdicts]) -> None:
    """Let a page mark the numbers of which something is stated.

    A sequence gets `stated`: by layer and value a verdict for each unit of each step.

    Args:
        recordings: what the page shows.
        data: of the page.
        stated: for each sequence.

    Raises:
        UnknownNameError: no value is called so.
    """
    for sequence, (rec, _), verdicts in zip(
        data.head["sequences"], places_of(recordings), stated, strict=True
    ):
        found: dict[str, dict[str, list[bool | None]]] = {}
        for name, rows in verdicts.items():
            is_output = name == OUTPUT and name not in rec.names
            layer, value = ("", OUTPUT) if is_output else layer_and_value(rec, name)
            found.setdefault(layer, {})[value] = list(chain.from_iterable(rows))
        if found:
            sequence["stated"] = found


def _output(sequence: dict[str, Any]) -> dict[str, Any]:
    return next((layer for layer in sequence["layers"] if layer["name"] == ""), {"values": []})


def _output_size(sequence: dict[str, Any]) -> int | None:
    if "answer" in sequence:
        return int(sequence["answer"]["size"])
    return step_outputs(sequence)


def step_outputs(sequence: dict[str, Any]) -> int | None:
    """How many numbers the net gives at each step, if the page shows them."""
    return next((v["size"] for v in _output(sequence)["values"] if v["name"] == OUTPUT), None)
