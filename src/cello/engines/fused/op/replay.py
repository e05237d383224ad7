"""Gradients that can be differentiated again: the program's own operations, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.op.call import LoopCall
from cello.engines.fused.plan import Plan
from cello.engines.interpreter import run_ops
from cello.engines.run import Rows, joined, nothing_of
from cello.program import Value, needed_ops

__all__ = ["replay", "replayed"]


def replay(
    call: LoopCall, _made: Any, grads: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor]:
    """What `run_backward` returns, differentiable again."""
    forced = call.forced
    known = forced is not None and forced.requires_grad
    with torch.enable_grad():
        # Each tensor under a name of its own: one may come twice, or be made of another.
        tensors = [tensor.view_as(tensor) for tensor in call.tensors]
        forced = None if forced is None else forced.view_as(forced)
        results = replayed(call.loops, call._replace(tensors=tensors, forced=forced))
    inputs = [tensor for tensor, need in zip(tensors, needs, strict=True) if need]
    leaves = [*inputs, *([forced] if known and forced is not None else [])]
    pairs = [
        (result, grad)
        for result, grad in zip(results, grads, strict=True)
        if grad is not None and result.requires_grad
    ]
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if pairs and leaves:
        found = torch.autograd.grad(
            [result for result, _ in pairs], leaves, [grad for _, grad in pairs],
            allow_unused=True, create_graph=True,
        )  # fmt: skip
    made = [
        torch.zeros_like(leaf) if grad is None else grad
        for leaf, grad in zip(leaves, found, strict=True)
    ]
    if forced is not None and not known:
        made.append(torch.zeros_like(forced))
    return made


def replayed(plan: Plan, call: LoopCall) -> list[Tensor]:
    """Outputs, final states and what was recorded."""
    program, places, tensors = plan.program, plan.places, call.tensors
    sizes = [call.rows] * call.length if call.table is None else call.table[0].tolist()
    shown = [program.names[name] for name in call.names]
    if not call.steps.total:
        return _no_rows(plan, call, shown)
    shared = dict(zip(plan.shared, tensors[places.shared], strict=True))
    rows = dict(zip([program.x, *plan.drawn], tensors[places.rows], strict=True))
    known = {*shared, *rows, *program.state.values()}
    ops = needed_ops(plan.lowered.program.ops, [*program.results, *shown], known)
    fed = None if plan.feedback is None else list(program.state).index(plan.feedback)
    through = Rows(
        tensors[0], sizes, tensors[places.start], tensors[places.initial],
        call.reverse, call.reset, call.forced, fed=fed,
    )  # fmt: skip
    output, final, others = run_ops(program, ops, through, shared, rows, shown)
    return [output, *final, *(rows.flatten(1).to(output.dtype) for rows in others)]


def _no_rows(plan: Plan, call: LoopCall, shown: Sequence[Value]) -> list[Tensor]:
    """The same where there is not a single row."""
    nothing = nothing_of([*call.tensors, *([] if call.forced is None else [call.forced])])
    rows = [nothing.reshape(0, prod(value.shape[1:])) for value in (plan.program.output, *shown)]
    states = [joined(part, nothing) for part in call.tensors[plan.places.start]]
    return [rows[0], *states, *rows[1:]]
