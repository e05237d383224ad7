"""The numbers of one step, for the wires of a cell's diagram."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cello.errors import ArgumentError
from cello.see.arithmetic.one_step import evaluate
from cello.see.draw.diagram import Block, Diagram
from cello.see.numbers import short, whole
from cello.see.recording.rows import LayerRows

__all__ = ["WHOLE", "put_numbers", "put_room", "shown_number"]

WHOLE = 4  # an input of up to this many numbers is shown whole


def shown_number(value: float | complex, digits: int) -> str:
    """A number as a drawing shows it."""
    return short(value, digits).replace("-", "−")


def put_room(diagram: Diagram) -> None:
    """Leave room for a number beside every name."""
    for block in diagram.blocks:
        if block.label.value:
            block.label.number = ""


def put_numbers(
    diagram: Diagram, rows: LayerRows, t: int, unit: int, batch: int, digits: int
) -> None:
    """Write beside each wire the number that was on it.

    Raises:
        ArgumentError: there is no such step, sequence or unit.
    """
    row = rows.row_of(whole("t", t), batch)
    unit = whole("unit", unit)
    sizes = [tensor[0].numel() for name, tensor in rows.rows.items() if name != "x"]
    if unit not in range(max(sizes, default=1)):
        raise ArgumentError(f"unit={unit} is no unit of any value; the largest has {max(sizes)}")
    of = _numbers(rows, row)
    for block in diagram.blocks:
        tensor = of(block)
        if tensor is None or block.kind == "output":
            continue
        if block.kind == "input":
            if tensor.numel() <= WHOLE:
                block.label.number = ", ".join(shown_number(v, digits) for v in tensor.tolist())
        elif tensor.numel() == 1 or unit < tensor.numel():
            number = tensor[min(unit, tensor.numel() - 1)].item()
            block.label.number = shown_number(number, digits)


def _numbers(rows: LayerRows, row: int) -> Callable[[Block], Tensor | None]:
    """A function that gives the units of a block's value at this row; None for unknown ones."""

    def recorded(block: Block) -> Tensor | None:
        units = rows.rows.get(block.label.value)
        return None if units is None else units[row].detach().cpu().flatten()

    source = rows.source
    if source is None or source.program is None:
        return recorded
    source.check_unchanged(rows.layer)
    evaluation, place = evaluate(rows, source.program, row)
    hidden = evaluation.missing | evaluation.unknown

    def computed(block: Block) -> Tensor | None:
        found = recorded(block)
        if found is not None or block.source is None:
            return found
        value, first = block.source
        has_rows = value.batched and len(value.shape) == 2
        if value in hidden or value not in evaluation.values or not has_rows:
            return None
        whole_row: Tensor = evaluation.values[value][place].flatten()
        return whole_row[first:].to(torch.complex128 if value.dtype.is_complex else torch.float64)

    return computed
