"""The GPU engine: the captured step as a fused loop in Triton, forward and backward."""

from __future__ import annotations

import torch

from cello.cells import Cell
from cello.cells.contract.like import like_of
from cello.engines.fused.plan import Plan, plan_of
from cello.engines.fused.run_plan import run_plan
from cello.engines.gpu.card import H100, LONGEST, WIDEST_OF_A_STEP, why_not_whole
from cello.engines.gpu.launch import TritonLibrary
from cello.engines.gpu.stepwise.rendered import render_steps
from cello.engines.gpu.trust import distrust
from cello.engines.gpu.write import render
from cello.engines.run import Run, RunResult
from cello.errors import CaptureError, EngineError
from cello.program import Program, program_of
from cello.program.kernel import Kernel
from cello.program.precomputed import Ahead

__all__ = ["DTYPES", "NAME", "GpuPlan", "gpu_plan", "refuses", "run", "source"]

NAME = "gpu"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)  # all are computed in float32


class GpuPlan(Plan):
    """The loops of one program, in Triton."""

    engine = NAME

    def __init__(self, program: Program, feedback: str | None, ahead: Ahead | None = None) -> None:
        super().__init__(program, feedback, ahead)
        self.trust: dict[object, str | None] = {}

    def _library(self, kernel: Kernel) -> TritonLibrary:
        graph, dtype = self.lowered.graph, self.program.x.dtype
        return TritonLibrary(
            render(graph, kernel, self.feedback),
            render_steps(graph, kernel, self.feedback),
            dtype,
        )

    def library_of(self, *, backward: bool) -> TritonLibrary:
        """The loop that computes outputs, or that for all gradients."""
        if backward:
            needed = frozenset(value.name for value in self.shared)
            loop = self.backward(names=(), seen=(), x=True, needed=needed)
        else:
            loop = self.forward(save=False)
        library: TritonLibrary = loop.library
        return library

    def ways(self, run: Run) -> tuple[str, ...]:
        """How the loops run for as many rows: outputs, gradients."""
        sizes = run.batch_sizes
        rows = sizes[0] if sizes else 0
        libraries = (self.library_of(backward=backward) for backward in (False, True))
        return tuple(type(one.way(rows, run.data.device)).__name__ for one in libraries)

    def too_large(self) -> str | None:
        """Why not even one step can be run, or None if it can."""
        libraries = [self.library_of(backward=backward) for backward in (False, True)]
        texts = [library.stepwise.text for library in libraries]
        widest = max(text.widest for text in texts)
        longest = max(text.longest for text in texts)
        if widest > WIDEST_OF_A_STEP:
            most = f"{WIDEST_OF_A_STEP:,}"
            return f"its loops hold vectors of at most {most} numbers, here are {widest:,}"
        if longest > LONGEST:
            return (
                f"a function of its loops would have {longest:,} lines, and Triton takes minutes "
                f"for more than {LONGEST}"
            )
        return None


def gpu_plan(program: Program, feedback: str | None) -> GpuPlan:
    """The plan of a program.

    Raises:
        CaptureError: a fused loop does not have all its operations.
    """
    return plan_of(GpuPlan, program, feedback)


def refuses(run: Run) -> str | None:
    """Why this engine cannot run it, or None if it can."""
    try:
        from cello.engines.gpu.language import is_interpreted
    except ImportError:
        return "Triton is not installed: PyTorch's builds for CUDA bring it"
    device, dtype = run.data.device, run.data.dtype
    if device.type != "cuda" and not is_interpreted():
        return f"its loops run on a GPU, the input is on {device}"
    if dtype not in DTYPES:
        *others, last = map(str, DTYPES)
        return f"its loops take {', '.join(others)} and {last}, not {dtype}"
    try:
        plan = _plan(run)
    except CaptureError as error:
        return str(error)
    return plan.too_large() or distrust(plan, run, plan.trust, plan.ways(run))


def run(run: Run) -> RunResult:
    """Run the fused loop."""
    return run_plan(_plan(run), run)


def _plan(run: Run) -> GpuPlan:
    return gpu_plan(run.captured(), run.cell.feedback)


def source(cell: Cell, *, backward: bool = False, whole: bool = False) -> str:
    """The Triton of the loop that this engine makes of `cell`; neither Triton nor a GPU is needed.

    Args:
        cell: whose step it is.
        backward: the loop that computes gradients, in place of the one that computes outputs.
        whole: here the same: there is nothing that every text has.

    Raises:
        EngineError: the cell cannot become a loop in Triton; names the reason.

    >>> import cello
    >>> "tl.dot" in source(cello.ElmanCell(3, 5))
    True
    """
    del whole
    like = like_of(cell)
    try:
        plan = gpu_plan(program_of(cell, like.dtype, like.device), cell.feedback)
    except CaptureError as error:
        name = type(cell).__name__
        raise EngineError(f"{name} cannot become a loop in Triton: {error}") from error
    title = f"# The {'backward' if backward else 'forward'} loop of {type(cell).__name__}."
    library = plan.library_of(backward=backward)
    kernel, steps = library.whole.text, library.stepwise.text
    reason = why_not_whole(kernel, steps, 1, H100)
    if reason is None:
        return f"{title}\n\n{kernel.source}"
    return f"{title} Step by step, for {reason}.\n\n{steps.source}"
