"""One step of a recording: the program that made it, and all its numbers."""

from __future__ import annotations

from torch import Tensor

from cello.errors import CaptureError, ModelError
from cello.program import Program, Value
from cello.see.arithmetic.evaluation import Evaluation
from cello.see.recording.rows import LayerRows

__all__ = ["evaluate", "evaluate_rows", "program_behind"]


def program_behind(rows: LayerRows) -> Program:
    """The traced step of the layer.

    Raises:
        ModelError: it is not known, or the parameters are not those of the recording.
        CaptureError: it cannot be traced.
    """
    if rows.source is None:
        raise ModelError(
            "the arithmetic comes from the net, which the file of a recording does not hold: "
            "load it with cello.load_recording(path, net)"
        )
    if rows.source.program is None:
        raise CaptureError(f"the arithmetic cannot be shown: {rows.source.reason}")
    rows.source.check_unchanged(rows.layer)
    program = rows.source.program
    if unknown := [name for name in rows.rows if name not in program.names]:
        raise ModelError(
            f"{program.cell} has no {', '.join(unknown)}: is this the net that was recorded?"
        )
    return program


def evaluate(rows: LayerRows, program: Program, row: int) -> tuple[Evaluation, int]:
    """The values of all rows of the step that `row` belongs to, and its place among them."""
    begin = 0
    for size in rows.steps.batch_sizes:
        if row < begin + size:
            break
        begin += size
    return evaluate_rows(rows, program, begin, begin + size), row - begin


def evaluate_rows(rows: LayerRows, program: Program, begin: int, end: int) -> Evaluation:
    """The values of these rows."""
    recorded: dict[Value, Tensor] = {}
    for name, tensor in rows.rows.items():
        recorded.setdefault(program.names[name], tensor[begin:end].detach().cpu())
    assert rows.source is not None
    cell = rows.source.cell
    parameters = dict(cell.named_parameters()) | dict(cell.named_buffers())
    return Evaluation(program, recorded, parameters, end - begin)
