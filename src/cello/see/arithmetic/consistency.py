"""Whether recorded numbers agree with what the step computes from the other ones."""

from __future__ import annotations

import torch
from torch import Tensor

from cello.program import Program, is_random
from cello.see.arithmetic.one_step import evaluate_rows
from cello.see.recording.rows import LayerRows

__all__ = ["close", "disagreeing"]

_ROWS = 1024  # at a time


def disagreeing(rows: LayerRows, program: Program) -> set[str]:
    """The names whose numbers, at some step, are not what the step makes of the other ones.

    `cello.intervene` sets such numbers. Rounding is no disagreement; values that depend on
    random numbers or on values that were not recorded are not checked.
    """
    wrong = set()
    count = len(next(iter(rows.rows.values())))
    for begin in range(0, count, _ROWS):
        found = evaluate_rows(rows, program, begin, min(begin + _ROWS, count))
        unknown = found.missing | found.unknown
        recorded = {program.names[name] for name in rows.rows}
        for op in program.ops:
            known = not is_random(op) and unknown.isdisjoint((*op.inputs, *op.outputs))
            if known and recorded.intersection(op.outputs):
                for value, own in zip(op.outputs, found.run(op), strict=True):
                    if value in recorded and not close(own, found.values[value]):
                        wrong.add(value)
    return {name for name in rows.rows if program.names[name] in wrong}


def close(made: Tensor, recorded: Tensor) -> bool:
    """Whether they are the same but for rounding."""
    if recorded.is_complex():
        made, recorded = (torch.view_as_real(part) for part in (made, recorded))
    if not recorded.is_floating_point():
        return bool(torch.equal(made, recorded))
    some = torch.finfo(recorded.dtype).eps ** 0.5
    largest = recorded[recorded.isfinite()].abs().max() if recorded.isfinite().any() else 0.0
    return torch.allclose(
        made.double(), recorded.double(), rtol=some, atol=some * float(largest), equal_nan=True
    )
