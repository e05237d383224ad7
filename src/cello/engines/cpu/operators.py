"""The two loops as operations of PyTorch: `torch.ops.cello.forward` and `backward`.

Gradients of gradients come from the step itself: see `replay`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.engines.cpu.calls import run_forward
from cello.engines.cpu.direct import nobody_listens
from cello.engines.cpu.gradients import run_backward
from cello.engines.cpu.library import Steps
from cello.engines.cpu.plan import Plan, plan_by_number
from cello.engines.cpu.replay import replay

__all__ = ["forward"]

_LIBRARY = torch.library.Library("cello", "DEF")
_STEPS = "int length, int rows, Tensor? table, bool reverse, Tensor? reset"
_LIBRARY.define(
    f"forward(int plan, Tensor[] tensors, Tensor? forced, {_STEPS}, str[] names, bool save)"
    " -> Tensor[]"
)
_LIBRARY.define(
    "backward(int plan, Tensor[] tensors, Tensor[] made, Tensor?[] grads, Tensor? forced, "
    f"{_STEPS}, str[] names, bool[] needs) -> Tensor[]"
)


def _forward(
    plan: int,
    tensors: list[Tensor],
    forced: Tensor | None,
    length: int,
    rows: int,
    table: Tensor | None,
    reverse: bool,
    reset: Tensor | None,
    names: list[str],
    save: bool,
) -> list[Tensor]:
    steps = Steps(length, rows, len(tensors[0]), table, reverse)
    return run_forward(plan_by_number(plan), tensors, steps, reset, forced, save, names)


def _backward(
    plan: int,
    tensors: list[Tensor],
    made: list[Tensor],
    grads: list[Tensor | None],
    forced: Tensor | None,
    length: int,
    rows: int,
    table: Tensor | None,
    reverse: bool,
    reset: Tensor | None,
    names: list[str],
    needs: list[bool],
) -> list[Tensor]:
    steps = Steps(length, rows, len(tensors[0]), table, reverse)
    whole = plan_by_number(plan)
    return run_backward(whole, tensors, made, grads, steps, reset, forced, names, needs)


def _forward_shapes(
    plan: int,
    tensors: list[Tensor],
    forced: Tensor | None,
    length: int,
    rows: int,
    table: Tensor | None,
    reverse: bool,
    reset: Tensor | None,
    names: list[str],
    save: bool,
) -> list[Tensor]:
    whole = plan_by_number(plan)
    x, states = tensors[0], len(whole.program.state)
    start = tensors[-2 * states : -states]
    lowered, program = whole.lowered, whole.program

    def rows_of(value: Any) -> Tensor:
        return x.new_empty(x.shape[0], sum(node.length for node in lowered.nodes(value)))

    made = [rows_of(program.output), *(x.new_empty(part.shape) for part in start)]
    made += [rows_of(program.names[name]) for name in names]
    if save:
        tape = whole.forward(save=True, names=names).tape
        assert tape is not None
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        width = (x.shape[0], tape.width) if tape.width else (0,)
        made.append(x.new_empty(width, dtype=dtype))
    return made


def _backward_shapes(
    plan: int,
    tensors: list[Tensor],
    made: list[Tensor],
    grads: list[Tensor | None],
    forced: Tensor | None,
    length: int,
    rows: int,
    table: Tensor | None,
    reverse: bool,
    reset: Tensor | None,
    names: list[str],
    needs: list[bool],
) -> list[Tensor]:
    found = [t.new_empty(t.shape) for t, need in zip(tensors, needs, strict=True) if need]
    return found if forced is None else [*found, forced.new_empty(forced.shape)]


class _Differentiable(torch.autograd.Function):
    """The forward loop with its backward loop."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, steps: tuple[Any, ...], names: list[str], forced: Any, *tensors: Any
    ) -> Any:
        length, rows, table, reverse, reset = steps
        how = (plan.number, list(tensors), forced, length, rows, table, reverse, reset, names, True)
        if nobody_listens(tensors):
            made = _forward(*how)
        else:
            with torch._C._AutoDispatchBelowAutograd():
                made = _op_forward(*how)
        ctx.plan, ctx.names, ctx.count = plan, names, len(tensors)
        ctx.fixed = (length, rows, reverse)
        ctx.save_for_backward(*tensors, made[0], made[-1], forced, table, reset)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(made[-1])
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        saved = ctx.saved_tensors
        tensors = list(saved[: ctx.count])
        y, tape, forced, table, reset = saved[ctx.count :]
        length, rows, reverse = ctx.fixed
        steps = (length, rows, table, reverse, reset)
        needs = list(ctx.needs_input_grad[4:])
        direct = not torch.is_grad_enabled() and nobody_listens(grads)
        found = (_backward if direct else _op_backward)(
            ctx.plan.number, tensors, [y, tape], list(grads[:-1]), forced, *steps, ctx.names, needs
        )
        left = iter(found)
        wanted = [next(left) if need else None for need in needs]
        return None, None, None, next(left) if ctx.needs_input_grad[3] else None, *wanted


def _forward_autograd(
    plan: int,
    tensors: list[Tensor],
    forced: Tensor | None,
    length: int,
    rows: int,
    table: Tensor | None,
    reverse: bool,
    reset: Tensor | None,
    names: list[str],
    save: bool,
) -> list[Tensor]:
    steps = (length, rows, table, reverse, reset)
    if torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (*tensors, *(() if forced is None else (forced,)))
    ):
        whole = plan_by_number(plan)
        made = _Differentiable.apply(whole, steps, names, forced, *tensors)
        return list(made if save else made[:-1])
    if nobody_listens(tensors):
        return _forward(plan, tensors, forced, *steps, names, save)
    with torch._C._AutoDispatchBelowAutograd():
        return _op_forward(plan, tensors, forced, *steps, names, save)


def _backward_autograd(
    plan: int,
    tensors: list[Tensor],
    made: list[Tensor],
    grads: list[Tensor | None],
    forced: Tensor | None,
    length: int,
    rows: int,
    table: Tensor | None,
    reverse: bool,
    reset: Tensor | None,
    names: list[str],
    needs: list[bool],
) -> list[Tensor]:
    """Gradients that can be differentiated again come from the step's own operations."""
    steps = (length, rows, table, reverse, reset)
    given = [*tensors, *grads, forced]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given):
        return replay(plan_by_number(plan), tensors, grads, forced, steps, names, needs)
    with torch._C._AutoDispatchBelowAutograd():
        return _op_backward(plan, tensors, made, grads, forced, *steps, names, needs)


_LIBRARY.impl("forward", _forward, "CPU")
_LIBRARY.impl("backward", _backward, "CPU")
_LIBRARY.impl("forward", _forward_autograd, "Autograd")
_LIBRARY.impl("backward", _backward_autograd, "Autograd")
torch.library.register_fake("cello::forward", _forward_shapes, lib=_LIBRARY)
torch.library.register_fake("cello::backward", _backward_shapes, lib=_LIBRARY)
_op_forward = torch.ops.cello.forward.default
_op_backward = torch.ops.cello.backward.default


def forward(
    plan: Plan,
    tensors: Sequence[Tensor],
    forced: Tensor | None,
    steps: Steps,
    reset: Tensor | None,
    names: Sequence[str],
) -> list[Tensor]:
    """Run the forward loop: the outputs, the final states, what was recorded."""
    how = (steps.length, steps.rows, steps.table, steps.reverse, reset)
    given = (plan.number, list(tensors), forced, *how, list(names), False)
    if nobody_listens(tensors):
        return _forward_autograd(*given)
    return _op_forward(*given)
