"""A cell's loop over inputs of one size, where all that was looked up for them once is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.cells.like import a_tensor_of
from cello.cells.state import HasState, shapes_of
from cello.engines.cpu.engine import shared_tensors
from cello.engines.cpu.library import StepTable
from cello.engines.cpu.op.call import LoopCall
from cello.engines.cpu.op.direct import PLAIN_TENSORS
from cello.engines.cpu.op.forward import ForwardRecipe
from cello.engines.cpu.op.memory_layout import compute_dtype, plain
from cello.engines.cpu.op.operators import differentiable
from cello.engines.cpu.plan import Plan
from cello.program import FastGuard, Program, fast_guard_of

__all__ = ["DenseLoop", "dense_loop", "is_dense"]

_LIMIT = 16  # sizes that are kept for one cell


def is_dense(x: Any) -> bool:
    """Whether x is a tensor on the CPU that a loop can read where it lies."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in PLAIN_TENSORS
        and x.is_cpu
        and x.layout is torch.strided
        and not x.is_nested
        and x.is_contiguous()
        and not x.is_neg()
    )


class DenseLoop:
    """The steps of B sequences that all have T steps, without resets, recordings, forced outputs.

    It lives in the guard of its cell, for as long as nothing changes that the step can read.
    """

    def __init__(self, cell: Cell, plan: Plan, x: Tensor, reverse: bool) -> None:
        T, B, _ = x.shape
        self.plan, self.steps = plan, StepTable(T, B, T * B, None, reverse)
        self.call = LoopCall(plan.name, [], None, T, B, None, reverse, None, None, [])
        self.recipe: ForwardRecipe | None = None  # made when no gradient is asked for
        self.y = (T, B, plan.program.output.shape[1])
        self.state = [(B, *shape) for shape in shapes_of(cell).values()]
        with torch.inference_mode(False):
            self.zeros = [torch.zeros(shape, dtype=x.dtype) for shape in self.state]
        self.own = None if plan.once is not None else self._own(cell)
        # A cell may begin with something else.
        self.begins = getattr(cell.zero_state, "__func__", None) is HasState.zero_state

    def takes(self, state: Any) -> bool:
        """Whether the loop can begin with a state as the user passes it; with zeros if None."""
        if state is None:
            return self.begins
        return (
            isinstance(state, tuple)
            and len(state) == len(self.state)
            and all(
                is_dense(part) and part.shape == zeros.shape and part.dtype == zeros.dtype
                for part, zeros in zip(state, self.zeros, strict=True)
            )
        )

    def __call__(
        self, cell: Cell, x: Tensor, state: Sequence[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """The outputs [T, B, O] and the final state.

        Args:
            cell: as it was when this was made.
            x: [T, B, I] of the same size and dtype, see `is_dense`.
            state: what to begin with, see `takes`; zeros if None.
        """
        own = self._own(cell) if self.own is None else self.own
        given = [*own, *(self.zeros if state is None else state), *self.zeros]
        if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *given)):
            call = self.call._replace(tensors=[x.flatten(0, 1), *given])
            y, *final = differentiable(call)
            end = [part.view_as(part) for part in final]
            return y.view(self.y), end  # what is made last has its gradient first
        y, final = x.new_empty(self.y), [x.new_empty(shape) for shape in self.state]
        if self.recipe is None:
            self.recipe = self.plan.forward(save=False).recipe(ForwardRecipe, self.plan, ())
        self.recipe.run([x, *plain(given, x.dtype), y, *final, None, None], self.steps)
        return y, final

    def _own(self, cell: Cell) -> list[Tensor]:
        """The tensors without rows that the loop reads."""
        known = shared_tensors(self.plan, cell)
        return [known[value] for value in self.plan.shared]


def dense_loop(cell: Cell, x: Tensor, reverse: bool) -> DenseLoop | None:
    """The loop of a cell for inputs such as x; None if there is none, or it is not known yet.

    Args:
        cell: whose step it is.
        x: [T, B, I], see `is_dense`.
        reverse: whether to read from the end.
    """
    guard = fast_guard_of(cell)
    if guard is None:
        return None
    form = (x.shape, x.dtype, reverse, torch.get_default_dtype())
    loop: DenseLoop | None = guard.loops.get(form)
    if loop is None and (plan := _built(cell, guard, x)) is not None:
        if len(guard.loops) >= _LIMIT:
            guard.loops.clear()
        loop = guard.loops[form] = DenseLoop(cell, plan, x, reverse)
    return loop


def _built(cell: Cell, guard: FastGuard, x: Tensor) -> Plan | None:
    """What has been compiled for inputs such as x, if x fits and is all that the loops take."""
    like = a_tensor_of(cell)
    if x.dim() != 3 or x.shape[2] != cell.input_size or not x.numel():
        return None
    if compute_dtype(x.dtype) != x.dtype or (like is not None and like.dtype != x.dtype):
        return None
    rows = x.shape[1]
    program = guard.found.get((x.dtype, x.device, rows == 1, torch.get_default_dtype()))
    if not isinstance(program, Program) or (program.asks_size and program.tried.get(rows) != ""):
        return None
    if any(value.dtype != x.dtype or len(value.shape) != 2 for value in program.results):
        return None
    plan = program.derived.get("cpu")
    return plan if isinstance(plan, Plan) and plan.is_built and plan.draw is None else None
