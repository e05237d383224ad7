"""The forward loop as a function of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from torch import Tensor

from cello.engines.fused.op.call import LoopCall
from cello.engines.fused.op.memory_layout import compute_dtype, plain, pointer_places
from cello.engines.fused.plan import Loop, Plan
from cello.engines.fused.step_table import NOWHERE, StepTable
from cello.program.kernel.nodes import Array

__all__ = ["ForwardRecipe", "run_forward"]


def run_forward(call: LoopCall, save: bool) -> list[Tensor]:
    """The outputs, the final states, what was recorded, and the tape if `save`."""
    plan, given_dtype = call.loops, call.tensors[0].dtype
    recipe = plan.forward(save=save, names=call.names).recipe(ForwardRecipe, plan, call.names)
    dtype = compute_dtype(given_dtype)
    (known,) = plain([call.forced], dtype)
    made, tape = recipe(plain(call.tensors, dtype), call.steps, call.reset, known)
    if given_dtype != dtype:
        made = [tensor.to(given_dtype) for tensor in made]
    return made if tape is None else [*made, tape]


class ForwardRecipe:
    """What is the same in all calls of a forward loop."""

    def __init__(self, plan: Plan, loop: Loop, names: Sequence[str]) -> None:
        self.loop, self.places = loop, plan.places
        more = [("array", "y"), *(("final", name) for name in plan.program.state)]
        more += [("array", f"seen_{name}") for name in names]
        more += [("array", "tape"), ("forced", "")]
        self.of_pointers, _ = pointer_places(plan, loop, more)
        self.pointers = itemgetter(*self.of_pointers)
        slots = [slot.of for slot in loop.rendered.slots]
        widths = {str(array): array.width for array in slots if isinstance(array, Array)}
        self.output, self.seen = widths["y"], [widths[f"seen_{name}"] for name in names]
        self.tape = None if loop.tape is None else loop.tape.width

    def __call__(
        self,
        given: list[Tensor],
        steps: StepTable,
        reset: Tensor | None,
        forced: Tensor | None,
    ) -> tuple[list[Tensor], Tensor | None]:
        new, total = given[0].new_empty, steps.total
        made = [new((total, self.output))]
        for start in given[self.places.start]:
            final = new(start.shape)
            if start.shape[0] > steps.rows:
                final[steps.rows :] = start[steps.rows :]
            made.append(final)
        for width in self.seen:
            made.append(new((total, width)))
        tape = None if self.tape is None else new((total, self.tape))
        self.run([*given, *made], tape, steps, reset, forced)
        return made, tape

    def run(
        self,
        tensors: Sequence[Tensor],
        tape: Tensor | None,
        steps: StepTable,
        reset: Tensor | None = None,
        forced: Tensor | None = None,
    ) -> None:
        """Run on what an operation takes and what it makes, the tape, and what is fed back."""
        tape = NOWHERE if tape is None else tape
        forced = NOWHERE if forced is None else forced
        self.loop.library(steps, self.pointers([*tensors, tape, forced]), reset)
