"""The floating point operations of a loop: those of its products, as the step would run them.

`torch.utils.flop_counter` asks for the number of floating point operations by a formula for each
operation; ours asks the formulas of the products that stand in the captured step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, register_flop_formula

from cello.engines.fused.op.call import LoopCall, Unpadded
from cello.engines.fused.plan import Plan
from cello.program import BATCH, Op, Value, map_leaves
from cello.program.operations import facts

__all__ = ["register_counts"]

States = frozenset[str]


def register_counts(forward: Any, backward: Any) -> None:
    """Tell PyTorch the formulas of the two operations."""
    register_flop_formula(forward, get_raw=True)(_of_forward)
    register_flop_formula(backward, get_raw=True)(_of_backward)


def _of_forward(*args: Any, **_: Any) -> int:
    call = _unpadded(LoopCall.of(args)[0])
    return call.tensors[0].shape[0] * sum(count for _, count in _products(call.loops))


def _of_backward(*args: Any, **_: Any) -> int:
    call, _, grads, needs = LoopCall.of(args)
    return _Backward(_unpadded(call), grads, needs).count()


def _unpadded(call: LoopCall) -> LoopCall:
    known = call.lengths is not None and type(call.lengths) is Tensor
    return Unpadded(call).call if known else call


def _products(plan: Plan) -> list[tuple[Op, int]]:
    """The products that each step runs, with the operations for one row."""
    once = set(plan.lowered.once)
    counted = ((op, flop_registry.get(op.target.overloadpacket)) for op in plan.program.ops)
    return [(op, _count(op, formula)) for op, formula in counted if formula and op not in once]


def _count(op: Op, formula: Any) -> int:
    def sized(leaf: Any) -> Any:
        if not isinstance(leaf, Value):
            return 1 if leaf is BATCH else leaf
        return torch.empty([1 if n is BATCH else n for n in leaf.shape], device="meta")

    args, outputs = map_leaves(sized, (op.args, op.outputs))
    count: int = formula(*args, out_val=outputs if op.is_tuple else outputs[0])
    return count


def _made_of(plan: Plan, shared: Iterable[Value]) -> set[Value]:
    """These tensors without rows, and all that they are made of once."""
    found = set(shared)
    for op in reversed(plan.lowered.once):
        if found.intersection(op.outputs):
            found.update(op.inputs)
    return found


def _factors(op: Op) -> list[Value]:
    """The two values that it multiplies: a product has what it adds first, the others last."""
    return op.inputs[-2:] if facts(op).kind == "product" else op.inputs[:2]


class _Backward:
    """The products of the backward pass, by what needs a gradient.

    A product has one more for each factor that needs a gradient, at each step at which a gradient
    comes to the product. Both may differ between steps: a sequence begins with a state that needs
    no gradient, and at the last step nothing comes from a later one.
    """

    def __init__(
        self, call: LoopCall, grads: Sequence[Tensor | None], needs: Sequence[bool]
    ) -> None:
        plan = call.loops
        self.program = program = plan.program
        self.products = dict(_products(plan))
        self.call = call
        places = plan.places
        self.given = {program.x} if needs[0] else set()
        self.given.update(_made_of(plan, compress(plan.shared, needs[places.shared])))
        names = list(program.state)
        self.start = frozenset(
            name
            for name, need, reset in zip(
                names, needs[places.start], needs[places.initial], strict=True
            )
            if need or (reset and call.reset is not None)
        )
        shown = [program.output, *(program.names[name] for name in call.names)]
        others = [grads[0], *grads[places.recorded]]
        self.shown = {v for v, grad in zip(shown, others, strict=False) if grad is not None}
        self.final = frozenset(
            n for n, grad in zip(names, grads[places.final], strict=False) if grad is not None
        )
        self.forced = plan.feedback if call.forced is not None else None
        self._needing: dict[States, set[Value]] = {}
        self._steps: dict[tuple[States, States], tuple[int, States]] = {}

    def count(self) -> int:
        """The number of operations of all steps."""
        call = self.call
        sizes = [call.rows] * call.length if call.table is None else call.table[0].tolist()
        sizes = sizes[::-1] if call.reverse else sizes
        states = [self.start]
        for _ in sizes[1:]:
            states.append(self._after(states[-1]))
        total, wanted = 0, self.final
        for number in reversed(range(len(sizes))):
            if number + 1 < len(sizes) and sizes[number + 1] < sizes[number]:
                wanted |= self.final  # of the rows that end here
            count, wanted = self._step(states[number], wanted)
            total += sizes[number] * count
        return total

    def _after(self, states: States) -> States:
        """The states that need a gradient after a step that begins with those in `states`."""
        needing = self._with_gradient(states)
        after = {name for name, value in self.program.next_state.items() if value in needing}
        if self.forced is not None:
            known = self.call.forced is not None and self.call.forced.requires_grad
            after = after | {self.forced} if known else after - {self.forced}
        return frozenset(after)

    def _with_gradient(self, states: States) -> set[Value]:
        """All values of a step that need a gradient."""
        if states not in self._needing:
            needing = self.given | {self.program.state[name] for name in states}
            for op in self.program.ops:
                goes_on = op.grad and facts(op).grad
                if goes_on and needing.intersection(op.inputs):
                    needing.update(v for v in op.outputs if v.dtype.is_floating_point)
            self._needing[states] = needing
        return self._needing[states]

    def _step(self, states: States, wanted: States) -> tuple[int, States]:
        """The operations for a row, and the states before the step to which gradients come.

        Args:
            states: those before the step that need a gradient.
            wanted: those after the step to which gradients come.
        """
        key = (states, wanted)
        if key not in self._steps:
            needing = self._with_gradient(states)
            reached = self.shown | {self.program.next_state[name] for name in wanted}
            count = 0
            for op in reversed(self.program.ops):
                if not needing.intersection(op.outputs) or not reached.intersection(op.outputs):
                    continue
                inputs = needing.intersection(op.inputs)
                reached |= inputs
                if op in self.products:
                    count += self.products[op] * sum(v in inputs for v in _factors(op))
            old = self.program.state.items()
            before = {n for n, value in old if value in reached and n != self.forced}
            self._steps[key] = count, frozenset(before)
        return self._steps[key]
