"""The CPU engine: the captured step as a fused loop in C, forward and backward."""

from __future__ import annotations

import torch

from cello.engines.cpu.c.render import render
from cello.engines.cpu.library import Library
from cello.engines.fused.plan import Plan, plan_of
from cello.engines.fused.run_plan import run_plan
from cello.engines.run import Run, RunResult
from cello.errors import CaptureError, CompilerError
from cello.program import Program
from cello.program.kernel import Kernel

__all__ = ["DTYPES", "NAME", "CpuPlan", "cpu_plan", "no_loops", "refuses", "run"]

NAME = "cpu"
DTYPES = (torch.float32, torch.float64, torch.bfloat16)


class CpuPlan(Plan):
    """The loops of one program, in C."""

    engine = NAME

    def _library(self, kernel: Kernel) -> Library:
        return Library(render(self.lowered.graph, kernel, self.feedback))


def cpu_plan(program: Program, feedback: str | None, *, whole: bool = False) -> CpuPlan:
    """The plan of a program; see `plan_of`."""
    return plan_of(CpuPlan, program, feedback, whole=whole)


def no_loops(dtype: torch.dtype) -> str:
    """Why there are no loops for a dtype."""
    *others, last = (str(known) for known in DTYPES)
    return f"compiled loops compute in {', '.join(others)} and {last}, not in {dtype}"


def refuses(run: Run) -> str | None:
    """Why this engine cannot run it, or None if it can."""
    if run.data.device.type != "cpu":
        return f"compiled loops run on the CPU, the input is on {run.data.device}"
    if run.data.dtype not in DTYPES:
        return no_loops(run.data.dtype)
    try:
        plan = _plan(run)
        if not plan.is_built:
            plan.build(train=torch.is_grad_enabled())
    except (CaptureError, CompilerError) as error:
        return str(error)
    return None


def run(run: Run) -> RunResult:
    """Run the fused loop."""
    return run_plan(_plan(run), run)


def _plan(run: Run) -> CpuPlan:
    return cpu_plan(run.captured(), run.cell.feedback)
