"""A cell's loop over inputs of one size, with all that does not change between calls."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.cells.contract.like import a_tensor_of
from cello.cells.contract.state import HasState, has_shapes, shapes_of
from cello.engines.cpu.engine import CpuPlan
from cello.engines.cpu.node.recipes import node_of
from cello.engines.cpu.node.sums import Sums
from cello.engines.fused.batched import in_batch
from cello.engines.fused.in_place_changes import kept_apart
from cello.engines.fused.op.call import LoopCall
from cello.engines.fused.op.direct import PLAIN_TENSORS, can_bypass_dispatcher
from cello.engines.fused.op.forward import ForwardRecipe
from cello.engines.fused.op.gradients import BackwardRecipe, backward_recipe
from cello.engines.fused.op.memory_layout import compute_dtype, plain
from cello.engines.fused.op.operators import backward, differentiable
from cello.engines.fused.run_plan import shared_tensors
from cello.engines.fused.step_table import NOWHERE, StepTable
from cello.program import FastGuard, Program, fast_guard_of, key_of

__all__ = ["DenseLoop", "dense_loop", "is_dense"]

_requires_grad = attrgetter("requires_grad")
_unwrap = torch._C._functorch.unwrap_if_dead  # what a transform has made that is over
_LIMIT = 16  # sizes that are kept for one cell
_PATIENCE = 64  # calls in Python after which the extension in C++ is worth its build
_FELT = 1 << 26  # multiplications of a call, above which the time of Python does not matter


def is_dense(x: Any) -> bool:
    """Whether x is a tensor of numbers on the CPU, of no class of its own."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in PLAIN_TENSORS
        and x.is_cpu
        and x.layout is torch.strided
        and not x.is_nested
    )


class DenseLoop:
    """The steps of B sequences without padding, resets, recordings, or forced outputs.

    It lives in the guard of its cell, for as long as nothing changes that the step can read. The
    tensors that it takes are those of an operation, see `TensorPlaces`, without the zeros: x,
    the shared ones, the state if one is given. All have its dtype. Where shared ones are sums of
    parts of others, the node in C++ is given those and adds them up itself.
    """

    def __init__(self, cell: Cell, plan: CpuPlan, dtype: torch.dtype, rows: int) -> None:
        self.plan, self.dtype, self.inputs = plan, dtype, cell.input_size
        self.recipes: dict[bool, tuple[ForwardRecipe, int]] = {}  # by whether a tape is left
        self.backward: dict[Any, BackwardRecipe] = {}  # by what needs a gradient
        self.node: Any = None  # in C++, of as much as is known here
        self.calls = 0  # without it
        self.output = plan.program.output.shape[1]
        self.state = [(rows, *shape) for shape in shapes_of(cell).values()]
        self.stacked = [(1, *shape) for shape in self.state]
        with torch.inference_mode(False):
            self.zeros = [torch.zeros(shape, dtype=dtype) for shape in self.state]
            self.like = torch.empty(0, dtype=dtype)
        known = shared_tensors(plan, cell)
        self.own = [known[value] for value in plan.shared]
        # What of them is computed at each call: out of what, and where it belongs.
        self.given = [known[value] for value in plan.given]
        self.places = [plan.shared.index(value) for value in plan.once_made]
        for place in self.places:
            self.own[place] = NOWHERE
        self.sums = Sums(plan)
        self.read = self.sums.tensors(self.own, self.given)  # see `Sums.is_all`
        self.is_plain = PLAIN_TENSORS.issuperset(map(type, self.own + self.given))
        # A cell may begin with something else.
        self.begins = getattr(cell.zero_state, "__func__", None) is HasState.zero_state

    def takes(self, state: Any, *, stacked: bool = False) -> bool:
        """Whether the loop can begin with a state as the user passes it; with zeros if None."""
        if state is None:
            return self.begins
        return (
            isinstance(state, tuple)
            and len(state) == len(self.state)
            and all(
                is_dense(part) and part.shape == shape and part.dtype == self.dtype
                for part, shape in zip(state, self.stacked if stacked else self.state, strict=True)
            )
        )

    def __call__(
        self, x: Tensor, state: Sequence[Tensor] | None, steps: StepTable, stacked: bool = False
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """The outputs [..., O] and the final state, each with a place of its own in the graph.

        Args:
            x: [..., I], the rows of all steps in their order; see `is_dense`.
            state: what to begin with, see `takes`; zeros if None.
            steps: which rows each step has; each sequence has one step at least.
            stacked: whether states have an axis of length 1 before the others.
        """
        if self.node is not None and steps.table is None and self.is_plain:
            given = self.read if self.sums.is_all else self._shared()
            found: tuple[Tensor, list[Tensor]] | None = self.node.run(
                [x, *given] if state is None else [x, *given, *state],
                steps.length,
                steps.rows,
                steps.reverse,
                self.gradients_of,
                stacked,
            )
            if found is not None:
                return found
        if state is not None and stacked:
            state = [part.squeeze(0) for part in state]
        tensors = [x, *self._shared(), *(state or ())]
        plain = PLAIN_TENSORS.issuperset(map(type, tensors))
        if not torch.is_grad_enabled() or not any(map(_requires_grad, tensors)):
            y, final, _ = self.run(tensors, steps, False)
            return y, [part.unsqueeze(0) for part in final] if stacked else final
        if plain:
            y, *final = _apply(self, steps, *map(_unwrap, tensors))
        else:
            y, *final = differentiable(self._call(tensors, steps))
        final = [part.unsqueeze(0) if stacked else part.view_as(part) for part in final]
        return y.view(*x.shape[:-1], self.output), final  # what is made last has its gradient first

    def run(
        self, tensors: Sequence[Tensor], steps: StepTable, save: bool
    ) -> tuple[Tensor, Sequence[Tensor], Tensor | None]:
        """The outputs, the final state, and the tape if `save`."""
        recipe, width = self.recipes.get(save) or self._recipe(save)
        if steps.total * recipe.loop.rendered.work < _FELT:
            self.calls += 1
            if self.calls % _PATIENCE == 0:
                self._tell(begin=True)
        x = tensors[0]
        new = x.new_empty
        y, final = new((*x.shape[:-1], self.output)), [*map(torch.empty_like, self.zeros)]
        tape = new((steps.total, width)) if save else None
        recipe.run([*self._operands(tensors), y, *final], tape, steps)
        return y, final, tape

    def gradients(
        self,
        tensors: Sequence[Tensor],
        steps: StepTable,
        made: list[Tensor],
        grads: Any,
        needs: tuple[bool, ...],
    ) -> list[Tensor | None]:
        """Those of the tensors that need one, after `made`: the outputs and the tape."""
        more = [False] * (len(self.plan.places.names) - len(needs))
        if torch.is_grad_enabled() or in_batch() or not can_bypass_dispatcher(grads):
            made = [part.flatten(0, -2) for part in made]
            rows = [g if g is None else g.reshape(-1, g.shape[-1]) for g in grads]
            left = iter(backward(self._call(tensors, steps), made, rows, [*needs, *more]))
            found = [next(left) if need else None for need in needs]
            dx = found[0]
            return [dx if dx is None else dx.view(tensors[0].shape), *found[1:]]
        recipe = self.backward.get(needs)
        if recipe is None:
            recipe = backward_recipe(self.plan, (), grads, [*needs, *more])
            self.backward[needs] = recipe
            self._tell()
        given = self._operands(tensors)
        grads = plain(grads, self.dtype)
        return recipe(given, made, grads, steps, None, None)[: len(needs)]

    def _shared(self) -> list[Tensor]:
        """The shared tensors that the loop takes; some are computed at each call."""
        if self.plan.once is None:
            return self.own
        own = self.own.copy()
        for place, made in zip(self.places, self.plan.once(*self.given), strict=True):
            own[place] = made
        return own

    def _call(self, tensors: Sequence[Tensor], steps: StepTable) -> LoopCall:
        """The same as an operation takes it."""
        x, *others = tensors
        given = [x.flatten(0, -2), *others, *self._zeros(tensors)]
        length, rows, table, reverse = steps.length, steps.rows, steps.table, steps.reverse
        return LoopCall(self.plan.name, given, None, length, rows, table, reverse, None, None, [])

    def _operands(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """All that an operation takes, in the form in which the loop reads it."""
        return [*plain(tensors, self.dtype), *self._zeros(tensors)]

    def _zeros(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The states that are not among the tensors."""
        with_state = len(tensors) > self.plan.places.shared.stop
        return self.zeros if with_state else [*self.zeros, *self.zeros]

    def _recipe(self, save: bool) -> tuple[ForwardRecipe, int]:
        loop = self.plan.forward(save=save)
        recipe = loop.recipe(ForwardRecipe, self.plan, ())
        self.recipes[save] = recipe, loop.tape.width if loop.tape is not None else 0
        self._tell()
        return self.recipes[save]

    def _tell(self, *, begin: bool = False) -> None:
        """Make the node in C++ anew, with all recipes that there are now."""
        forward = {save: recipe for save, (recipe, _) in self.recipes.items()}
        self.node = node_of(
            self.output,
            self.sums,
            self.like,
            self.zeros,
            forward,
            self.backward,
            begin=begin,
        )

    def gradients_of(
        self,
        saved: list[Any],
        grads: list[Any],
        needs: tuple[bool, ...],
        length: int,
        rows: int,
        reverse: bool,
        changed: bool,
    ) -> list[Tensor | None]:
        """The gradients of a node in C++, where its own way does not apply.

        Args:
            saved: the tensors, the outputs and the tape, None if that is empty.
            grads: of the outputs and the final state.
            needs: which tensors need one.
            length: T.
            rows: B.
            reverse: see `StepTable`.
            changed: whether the outputs have been changed in place.
        """
        *given, y, tape = saved
        if tape is None:  # there is nothing to keep beside the outputs
            tape = y.new_empty(length * rows, 0)
        steps = StepTable(length, rows, length * rows, None, reverse)
        tensors = self.sums.taken(given)
        if changed:
            y = self.run(tensors, steps, True)[0]  # has the same bits as it had
        found = self.gradients(tensors, steps, [y, tape], grads, self.sums.needs(needs))
        return self.sums.gradients(found, given, needs)


class _DenseFunction(torch.autograd.Function):
    """The forward loop with its backward loop, as the operation has them; see `operators`."""

    @staticmethod
    def forward(ctx: Any, loop: DenseLoop, steps: StepTable, *tensors: Tensor) -> Any:
        y, final, tape = loop.run(tensors, steps, True)
        kept, ctx.counter = kept_apart(y)
        ctx.loop, ctx.steps, ctx.version = loop, steps, ctx.counter._version
        ctx.save_for_backward(*tensors, kept, tape)
        ctx.set_materialize_grads(False)
        return (y, *final)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        *tensors, y, tape = ctx.saved_tensors
        if ctx.counter._version != ctx.version:
            y = ctx.loop.run(tensors, ctx.steps, True)[0]  # has the same bits as it had
        needs = ctx.needs_input_grad[2:]
        return None, None, *ctx.loop.gradients(tensors, ctx.steps, [y, tape], grads, needs)


# As `_DenseFunction.apply` where no transform is active, which goes a longer way.
_apply: Any = super(torch.autograd.Function, _DenseFunction).apply


def dense_loop(cell: Cell, x: Tensor, rows: int, least: int) -> DenseLoop | None:
    """The loop of a cell for inputs such as x; None if there is none, or it is not known yet.

    Args:
        cell: whose step it is.
        x: [..., I], see `is_dense`.
        rows: how many sequences there are.
        least: how many of them the step has that has fewest; one at least.
    """
    guard = fast_guard_of(cell)
    if guard is None or not least or not x.shape[0]:
        return None
    form = (rows, least == rows, least == 1, x.dtype, torch.get_default_dtype())
    loop: DenseLoop | None = guard.loops.get(form)
    if loop is None and (plan := _built(cell, guard, x, rows, least)) is not None:
        if len(guard.loops) >= _LIMIT:
            guard.loops.clear()
        loop = guard.loops[form] = DenseLoop(cell, plan, x.dtype, rows)
    return loop if loop is not None and x.shape[-1] == loop.inputs else None


def _built(cell: Cell, guard: FastGuard, x: Tensor, rows: int, least: int) -> CpuPlan | None:
    """What has been compiled for inputs such as x, if x fits and is all that the loops take."""
    like = a_tensor_of(cell)
    if x.shape[-1] != cell.input_size or has_shapes(cell):
        return None
    if compute_dtype(x.dtype) != x.dtype or (like is not None and like.dtype != x.dtype):
        return None
    program = guard.found.get(key_of(x.dtype, x.device, one_row=least == 1))
    if not isinstance(program, Program):
        return None
    if program.asks_size and (least < rows or program.tried.get(rows) != ""):
        return None
    if any(value.dtype != x.dtype or len(value.shape) != 2 for value in program.results):
        return None
    plan = program.derived.get("cpu")
    if not isinstance(plan, CpuPlan) or not plan.is_built:
        return None
    return plan if plan.draw is None and plan.ahead is None else None
