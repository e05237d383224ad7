"""A cell's loop over inputs of one size, where all that was looked up for them once is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.cells.like import a_tensor_of
from cello.cells.state import HasState, shapes_of
from cello.engines.cpu.batched import in_batch
from cello.engines.cpu.changes import kept_apart
from cello.engines.cpu.engine import shared_tensors
from cello.engines.cpu.library import StepTable
from cello.engines.cpu.op.call import LoopCall
from cello.engines.cpu.op.direct import PLAIN_TENSORS, can_bypass_dispatcher
from cello.engines.cpu.op.forward import ForwardRecipe
from cello.engines.cpu.op.gradients import BackwardRecipe, backward_recipe
from cello.engines.cpu.op.memory_layout import compute_dtype, plain
from cello.engines.cpu.op.operators import backward, differentiable
from cello.engines.cpu.plan import Plan
from cello.program import FastGuard, Program, fast_guard_of

__all__ = ["DenseLoop", "dense_loop", "is_dense"]

_requires_grad = attrgetter("requires_grad")
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

    It lives in the guard of its cell, for as long as nothing changes that the step can read. The
    tensors that it takes are those of an operation, see `OperationInputs`, without the zeros: x,
    the shared ones, the state if one is given. All have its dtype.
    """

    def __init__(self, cell: Cell, plan: Plan, x: Tensor, reverse: bool) -> None:
        T, B, _ = x.shape
        self.dtype = x.dtype
        self.plan, self.steps = plan, StepTable(T, B, T * B, None, reverse)
        self.call = LoopCall(plan.name, [], None, T, B, None, reverse, None, None, [])
        self.recipes: dict[bool, tuple[ForwardRecipe, int]] = {}  # by whether a tape is left
        self.backward: dict[Any, BackwardRecipe] = {}  # by what needs a gradient
        self.y = (T, B, plan.program.output.shape[1])
        self.state = [(B, *shape) for shape in shapes_of(cell).values()]
        with torch.inference_mode(False):
            self.zeros = [torch.zeros(shape, dtype=x.dtype) for shape in self.state]
        self.without_state = 1 + len(plan.shared)
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
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """The outputs [T, B, O] and the final state; to autograd results of one operation.

        Args:
            cell: as it was when this was made.
            x: [T, B, I] of the same size and dtype, see `is_dense`.
            state: what to begin with, see `takes`; zeros if None.
        """
        own = self._own(cell) if self.own is None else self.own
        tensors = [x, *own] if state is None else [x, *own, *state]
        if not torch.is_grad_enabled() or not any(map(_requires_grad, tensors)):
            return self.run(tensors, False)[:2]
        if PLAIN_TENSORS.issuperset(map(type, tensors)):
            y, *final = _Differentiable.apply(self, *tensors)  # type: ignore[no-untyped-call]
            return y, final
        y, *final = differentiable(self.call._replace(tensors=self._operands(tensors, flat=True)))
        return y.view(self.y), final

    def run(
        self, tensors: Sequence[Tensor], save: bool
    ) -> tuple[Tensor, Sequence[Tensor], Tensor | None]:
        """The outputs, the final state, and the tape if `save`."""
        recipe, width = self.recipes.get(save) or self._recipe(save)
        new = tensors[0].new_empty
        y, final = new(self.y), [new(shape) for shape in self.state]
        tape = new((self.steps.total, width)) if save else None
        recipe.run([*self._operands(tensors), y, *final], tape, self.steps)
        return y, final, tape

    def gradients(
        self, tensors: Sequence[Tensor], made: list[Tensor], grads: Any, needs: tuple[bool, ...]
    ) -> list[Tensor | None]:
        """Those of the tensors that need one, after `made`: the outputs and the tape."""
        more = [False] * (self.without_state + 2 * len(self.state) - len(needs))
        if torch.is_grad_enabled() or in_batch() or not can_bypass_dispatcher(grads):
            call = self.call._replace(tensors=self._operands(tensors, flat=True))
            made = [part.flatten(0, -2) for part in made]
            rows = [g if g is None else g.reshape(-1, g.shape[-1]) for g in grads]
            left = iter(backward(call, made, rows, [*needs, *more]))
            found = [next(left) if need else None for need in needs]
            dx = found[0]
            return [dx if dx is None else dx.view(tensors[0].shape), *found[1:]]
        recipe = self.backward.get(needs)
        if recipe is None:
            recipe = backward_recipe(self.plan, (), grads, [*needs, *more])
            self.backward[needs] = recipe
        given = self._operands(tensors)
        grads = plain(grads, self.dtype)
        return recipe(given, made, grads, self.steps, None, None)[: len(needs)]

    def _operands(self, tensors: Sequence[Tensor], *, flat: bool = False) -> list[Tensor]:
        """All that an operation takes; if `flat`, as the user has it, x as [T * B, I]."""
        zeros = self.zeros
        state = zeros if len(tensors) == self.without_state else []
        if flat:
            return [tensors[0].flatten(0, 1), *tensors[1:], *state, *zeros]
        return [*plain(tensors, self.dtype), *state, *zeros]

    def _recipe(self, save: bool) -> tuple[ForwardRecipe, int]:
        loop = self.plan.forward(save=save)
        recipe = loop.recipe(ForwardRecipe, self.plan, ())
        self.recipes[save] = recipe, loop.tape.width if loop.tape is not None else 0
        return self.recipes[save]

    def _own(self, cell: Cell) -> list[Tensor]:
        """The tensors without rows that the loop reads."""
        known = shared_tensors(self.plan, cell)
        return [known[value] for value in self.plan.shared]


class _Differentiable(torch.autograd.Function):
    """The forward loop with its backward loop, as the operation has them; see `operators`."""

    @staticmethod
    def forward(ctx: Any, loop: DenseLoop, *tensors: Tensor) -> Any:
        y, final, tape = loop.run(tensors, True)
        kept, ctx.counter = kept_apart(y)
        ctx.loop, ctx.version = loop, ctx.counter._version
        ctx.save_for_backward(*tensors, kept, tape)
        ctx.set_materialize_grads(False)
        return (y, *final)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        *tensors, y, tape = ctx.saved_tensors
        if ctx.counter._version != ctx.version:
            y = ctx.loop.run(tensors, True)[0]  # has the same bits as it had
        needs = ctx.needs_input_grad[1:]
        return None, *ctx.loop.gradients(tensors, [y, tape], grads, needs)


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
