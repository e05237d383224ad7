"""Text coloured by the value of one memory unit or gate, for `cello predict --color`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cello.cli.inputs import as_batch
from cello.cli.models import Model
from cello.cli.output import print_json, rich_output
from cello.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from cello.tasks import Given

__all__ = ["colour"]


def colour(model: Model, path: Path, memory: str, token: int | str | None, as_json: bool) -> None:
    """Print the text of a file, coloured.

    Args:
        model: what reads it.
        path: a text file, one in the CoNLL form for a model of words, or numbers.
        memory: NAME or NAME:UNIT, as in a recording.
        token: the column of the words.
        as_json: print the values instead.

    Raises:
        DataError: the file cannot be read, or holds nothing.
        ArgumentError: there is no such unit.
        UnknownNameError: nothing has this name.
    """
    import torch

    name, unit = _parse(memory)
    pieces = model.reader.given(path, token=token)
    recorded = [_values(model, piece, name) for piece in pieces]
    every = torch.cat([values for _, values in recorded])
    full = recorded[0][0]
    units = every.shape[1]
    chosen = int(every.var(0, correction=0).argmax()) if unit is None else unit
    if not 0 <= chosen < units:
        raise ArgumentError(f"{full} has no unit {chosen}: its units go from 0 to {units - 1}")
    rows = [values[:, chosen].tolist() for _, values in recorded]
    if as_json:
        pairs = zip(pieces, rows, strict=True)
        sequences = [{"tokens": list(piece.tokens), "values": row} for piece, row in pairs]
        print_json({"name": full, "unit": chosen, "sequences": sequences})
        return
    how = _meaning(model, full) + (", which varies most here" if unit is None else "")
    _print(
        pieces, rows, model.reader.separator, f"{full} unit {chosen}{how}", _scale(every[:, chosen])
    )


def _meaning(model: Model, name: str) -> str:
    """What an open gate does, where that is known."""
    from cello.layers.paths import cells_of
    from cello.see.draw.step.cells import gate_meanings

    layer, _, own = name.rpartition(".")
    meaning = gate_meanings(cells_of(model.net).get(layer)).get(own)
    return f" ({meaning})" if meaning else ""


def _parse(memory: str) -> tuple[str, int | None]:
    name, colon, number = memory.partition(":")
    if not colon:
        return name, None
    if not number.isascii() or not number.isdigit():
        raise ArgumentError(f"--color must be NAME or NAME:UNIT, such as c:12, got {memory!r}")
    return name, int(number)


def _values(model: Model, piece: Given, name: str) -> tuple[str, Tensor]:
    """The full name of the value, and its value [T, size] at each step."""
    import torch

    from cello.see import record
    from cello.see.names import find

    with torch.no_grad():
        names = record(model.net, as_batch(model.net, [piece.x[:1]])[0]).names
        full = find(name, names)
        x, _ = as_batch(model.net, [piece.x])
        return full, record(model.net, x, only=full)[full][:, 0].double()


def _scale(values: Tensor) -> tuple[float, float]:
    """Gates from 0 to 1, anything else as far below zero as above it."""
    low, high = values.min().item(), values.max().item()
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    size = max(abs(low), abs(high))
    return -size, size


def _print(
    pieces: list[Given],
    rows: list[list[float]],
    separator: str,
    name: str,
    scale: tuple[float, float],
) -> None:
    from cello.cli.answers.coloured import legend, print_coloured

    console = rich_output()
    legend(console, *scale, name)
    for piece, row in zip(pieces, rows, strict=True):
        shown = [token + separator for token in piece.tokens]
        values = [v for text, v in zip(shown, row, strict=True) for _ in text]
        print_coloured(console, "".join(shown), values, *scale)
