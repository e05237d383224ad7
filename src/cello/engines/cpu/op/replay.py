"""Gradients that can be differentiated again: the program's own operations, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from cello.engines.cpu.op.call import LoopCall, OperationInputs
from cello.engines.cpu.plan import Plan
from cello.engines.run import joined, nothing_of
from cello.program import BATCH, Value, map_leaves

__all__ = ["replay"]


def replay(
    plan: Plan, call: LoopCall, grads: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor]:
    """What the backward loop returns, as functions of all that is given."""
    forced = call.forced
    known = forced is not None and forced.requires_grad
    with torch.enable_grad():
        # Each tensor under a name of its own: one may come twice, or be made of another.
        tensors = [tensor.view_as(tensor) for tensor in call.tensors]
        forced = None if forced is None else forced.view_as(forced)
        results = _run(plan, call._replace(tensors=tensors, forced=forced))
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


def _run(plan: Plan, call: LoopCall) -> list[Tensor]:
    """Outputs, final states and what was recorded."""
    program, given, length = plan.program, OperationInputs(plan, call.tensors), call.length
    sizes = [call.rows] * length if call.table is None else call.table[0].tolist()
    shared = dict(zip(plan.shared, given.shared, strict=True))
    state, initial = given.start, given.initial
    shown = [program.names[name] for name in call.names]
    if not call.steps.total:
        return _no_rows(plan, call, shown)
    pieces = {
        value: tensor.split(sizes)
        for value, tensor in zip([program.x, *plan.drawn], given.rows, strict=True)
    }
    masks = None if call.reset is None else call.reset.split(sizes)
    known = None if call.forced is None else call.forced.split(sizes)
    kept: list[Any] = [None] * length
    order = range(length - 1, -1, -1) if call.reverse else range(length)
    for t in order:
        m, before = sizes[t], t + 1 if call.reverse else t - 1
        now = [part[:m] for part in state]
        if known is not None and 0 <= before < length and plan.feedback is not None:
            place, has = list(program.state).index(plan.feedback), min(m, sizes[before])
            now[place] = torch.cat([known[before][:has], now[place][has:]])
        if masks is not None:
            mask = masks[t].unsqueeze(-1)
            now = [
                torch.where(mask, first[:m], part) for first, part in zip(initial, now, strict=True)
            ]
        env: dict[Value, Any] = dict(shared)
        env.update((value, parts[t]) for value, parts in pieces.items())
        env.update(zip(program.state.values(), now, strict=True))
        _step(plan, env, m)
        new = [env[value] for value in program.next_state.values()]
        state = [torch.cat([a, b[m:]]) for a, b in zip(new, state, strict=True)]
        kept[t] = [env[program.output], *(env[value].reshape(m, -1) for value in shown)]
    return [
        torch.cat([step[0] for step in kept]),
        *state,
        *(
            torch.cat([step[1 + number] for step in kept]).to(given.rows[0].dtype)
            for number in range(len(shown))
        ),
    ]


def _no_rows(plan: Plan, call: LoopCall, shown: Sequence[Value]) -> list[Tensor]:
    """The same where there is not a single row."""
    nothing = nothing_of([*call.tensors, *([] if call.forced is None else [call.forced])])
    rows = [nothing.reshape(0, prod(value.shape[1:])) for value in (plan.program.output, *shown)]
    states = [joined(part, nothing) for part in OperationInputs(plan, call.tensors).start]
    return [rows[0], *states, *rows[1:]]


def _step(plan: Plan, env: dict[Value, Any], rows: int) -> None:
    """One step, operation by operation; what is in `env` already is not made again."""

    def leaf(part: Any) -> Any:
        if isinstance(part, Value):
            return env[part]
        return rows if part is BATCH else part

    for op in plan.program.ops:
        if op.outputs[0] in env or not all(value in env for value in op.inputs):
            continue
        if not op.inputs and op in plan.lowered.drawn:
            continue
        with torch.set_grad_enabled(op.grad):
            made = op.target(*map_leaves(leaf, op.args), **map_leaves(leaf, op.kwargs))
        parts = made if op.is_tuple else (made,)
        env.update(zip(op.outputs, parts, strict=True))
