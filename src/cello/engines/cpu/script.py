"""The loops in a graph of `torch.jit.trace`: an operation that takes sizes from its tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from cello.engines.cpu.engine import cpu_plan, refuses
from cello.engines.fused.op.call import LoopCall
from cello.engines.fused.op.operators import forward
from cello.engines.fused.run_plan import shaped, shared_tensors, taken
from cello.engines.run import Run, RunResult
from cello.errors import CaptureError
from cello.program import program_of

__all__ = ["refuses_script", "run_in_script"]

_LIBRARY = torch.library.Library("cello", "FRAGMENT")
_LIBRARY.define(
    "at_any_size(str plan, Tensor[] tensors, Tensor? forced, bool reverse, Tensor? reset, "
    "Tensor? lengths) -> Tensor[]"
)


def _at_any_size(
    plan: str,
    tensors: list[Tensor],
    forced: Tensor | None,
    reverse: bool,
    reset: Tensor | None,
    lengths: Tensor | None,
) -> list[Tensor]:
    total, rows = len(tensors[0]), len(tensors[-1])
    steps = total // max(1, rows)
    return forward(LoopCall(plan, tensors, forced, steps, rows, None, reverse, reset, lengths, []))


_LIBRARY.impl("at_any_size", _at_any_size, "CompositeImplicitAutograd")


def refuses_script(run: Run) -> str | None:
    """Why the loop cannot stand in such a graph, or None if it can."""
    try:  # for any number of rows, also for one
        run.program = program_of(run.cell, run.data.dtype, run.data.device, rows=(1,))
    except CaptureError as error:
        return str(error)
    return refuses(run)


def run_in_script(run: Run) -> RunResult:
    """Put the loop into the graph."""
    plan = cpu_plan(run.captured(), run.cell.feedback)
    tensors = taken(plan, shared_tensors(plan, run.cell), run)
    made = torch.ops.cello.at_any_size(
        plan.text, tensors, run.forced, run.reverse, run.reset, run.lengths
    )
    return RunResult(shaped(plan.program.output, made[0]), tuple(made[1:]))
