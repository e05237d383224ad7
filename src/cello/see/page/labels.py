"""What the numbers of a net's output stand for, and what it should have said at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cello.errors import ArgumentError
from cello.see.page.data import OUTPUT, PageData
from cello.see.page.tokens import shortened

__all__ = ["add_labels"]


def add_labels(
    data: PageData,
    labels: Sequence[str] | None,
    expected: Sequence[Sequence[str] | None] | None = None,
) -> None:
    """Tell a page the names of the output's units, and those that are right at each step.

    The head gets `labels`; a sequence gets `expected`, the unit at each step, or -1 where the right
    one has no unit.

    Args:
        data: of the page.
        labels: a name for each unit of the output; two where the only one decides between them.
        expected: for each sequence the right name of each step, or None.

    Raises:
        ArgumentError: the net has no output at each step, or there are more or fewer names.
    """
    if labels is None:
        if expected is not None:
            raise ArgumentError("expected names what is right among labels: give labels too")
        return
    sizes = [_output_size(sequence) for sequence in data.head["sequences"]]
    for size in sizes:
        if size != len(labels) and (size, len(labels)) != (1, 2):
            gives = "no output of its own at each step" if size is None else f"{size} numbers"
            raise ArgumentError(
                f"labels must name each number that the net gives at a step, got {len(labels)}, "
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
        length = _output(sequence)["length"]
        if len(names) != length:
            raise ArgumentError(
                f"expected of sequence {number} must be {length}, one for each step, got "
                f"{len(names)}"
            )
        sequence["expected"] = [places.get(name, -1) for name in names]


def _output(sequence: dict[str, Any]) -> dict[str, Any]:
    return next((layer for layer in sequence["layers"] if layer["name"] == ""), {"values": []})


def _output_size(sequence: dict[str, Any]) -> int | None:
    return next((v["size"] for v in _output(sequence)["values"] if v["name"] == OUTPUT), None)
