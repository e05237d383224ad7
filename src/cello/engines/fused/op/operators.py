"""The two loops as operations of PyTorch: `torch.ops.cello.forward` and `backward`.

Both take the fields of a `LoopCall` and then a few arguments of their own. Gradients of gradients
come from the step itself: see `replay`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.batched import in_batch, register_batched
from cello.engines.fused.in_place_changes import kept_apart
from cello.engines.fused.op.call import SCHEMA, LoopCall, Unpadded
from cello.engines.fused.op.counts import register_counts
from cello.engines.fused.op.direct import can_bypass_dispatcher, nobody_traces
from cello.engines.fused.op.forward import run_forward
from cello.engines.fused.op.gradients import run_backward
from cello.engines.fused.op.memory_layout import compute_dtype
from cello.engines.fused.op.replay import replay

__all__ = ["backward", "differentiable", "forward"]

_LIBRARY = torch.library.Library("cello", "DEF")
_LIBRARY.define(f"forward({SCHEMA}, bool save) -> Tensor[]")
_LIBRARY.define(f"backward({SCHEMA}, Tensor[] made, Tensor?[] grads, bool[] needs) -> Tensor[]")


def _forward(*args: Any) -> list[Tensor]:
    call, save = LoopCall.of(args)
    if call.lengths is None:
        return run_forward(call, save)
    without = Unpadded(call)
    return without.padded(run_forward(without.call, save))


def _backward(*args: Any) -> list[Tensor]:
    call, made, grads, needs = LoopCall.of(args)
    return _gradients(run_backward, call, made, grads, needs)


def _gradients(how: Any, call: LoopCall, made: Any, grads: Any, needs: Any) -> list[Tensor]:
    """The gradients of the tensors that need one, as `run_backward` or `replay` finds them."""
    if call.lengths is None:
        found: list[Tensor] = how(call, made, grads, needs)
        return found
    without = Unpadded(call)
    made = [without.packing.pack(part) for part in made]
    return without.padded_gradients(how(without.call, made, without.unpadded(grads), needs), needs)


def _forward_shapes(*args: Any) -> list[Tensor]:
    call, save = LoopCall.of(args)
    plan = call.loops
    lowered, program = plan.lowered, plan.program
    x, start = call.tensors[0], call.tensors[plan.places.start]

    def rows_of(value: Any) -> Tensor:
        return x.new_empty(x.shape[0], sum(node.length for node in lowered.nodes(value)))

    made = [rows_of(program.output), *(x.new_empty(part.shape) for part in start)]
    made += [rows_of(program.names[name]) for name in call.names]
    if save:
        tape = plan.forward(save=True, names=call.names).tape
        assert tape is not None
        made.append(x.new_empty(x.shape[0], tape.width, dtype=compute_dtype(x.dtype)))
    return made


def _backward_shapes(*args: Any) -> list[Tensor]:
    call, _, _, needs = LoopCall.of(args)
    found = [t.new_empty(t.shape) for t, need in zip(call.tensors, needs, strict=True) if need]
    return found if call.forced is None else [*found, call.forced.new_empty(call.forced.shape)]


class _Differentiable(torch.autograd.Function):
    """The forward loop with its backward loop."""

    @staticmethod
    def forward(ctx: Any, call: LoopCall, _forced: Any, *tensors: Any) -> Any:
        direct = can_bypass_dispatcher(call.tensors)
        made = _below_autograd(call, save=True, direct=direct)
        ctx.plan = call.loops  # lives until then, whatever becomes of the cell
        ctx.call, ctx.more, more = call.without_tensors()
        if direct or nobody_traces(made[0]):
            y, ctx.counter = kept_apart(made[0])
            ctx.version = ctx.counter._version
        else:
            y, ctx.counter = made[0].clone(), None
        ctx.save_for_backward(*tensors, *more, y, made[-1])
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(made[-1])
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        *tensors, y, tape = ctx.saved_tensors
        call = ctx.call.with_tensors(tensors, ctx.more)
        if ctx.counter is not None and ctx.counter._version != ctx.version:
            y = _forward(*call, True)[0]  # has the same bits as it had
        _, needs_forced, *needs = ctx.needs_input_grad
        direct = not torch.is_grad_enabled() and can_bypass_dispatcher(grads) and not in_batch()
        run = _backward if direct else _op_backward
        left = iter(run(*call, [y, tape], list(grads[:-1]), needs))
        wanted = [next(left) if need else None for need in needs]
        return None, next(left) if needs_forced else None, *wanted


def differentiable(call: LoopCall, *, tape: bool = False) -> list[Tensor]:
    """Run the forward loop where a gradient will be asked for: what `forward` returns."""
    made = _Differentiable.apply(call, call.forced, *call.tensors)  # type: ignore[no-untyped-call]
    return list(made if tape else made[:-1])


def _below_autograd(call: LoopCall, *, save: bool, direct: bool) -> list[Tensor]:
    if direct:
        return _forward(*call, save)
    with torch._C._AutoDispatchBelowAutograd():
        made: list[Tensor] = _op_forward(*call, save)
        return made


def _forward_autograd(*args: Any) -> list[Tensor]:
    call, save = LoopCall.of(args)
    if torch.is_grad_enabled() and _any_requires_grad(*call.tensors, call.forced):
        return differentiable(call, tape=save)
    return _below_autograd(call, save=save, direct=can_bypass_dispatcher(call.tensors))


def _backward_autograd(*args: Any) -> list[Tensor]:
    """Gradients that can be differentiated again come from the step's own operations."""
    call, made, grads, needs = LoopCall.of(args)
    if torch.is_grad_enabled() and _any_requires_grad(*call.tensors, *grads, call.forced):
        return _gradients(replay, call, made, grads, needs)
    with torch._C._AutoDispatchBelowAutograd():
        gradients: list[Tensor] = _op_backward(*args)
        return gradients


def _any_requires_grad(*tensors: Tensor | None) -> bool:
    return any(tensor is not None and tensor.requires_grad for tensor in tensors)


for _device in ("CPU", "CUDA"):
    _LIBRARY.impl("forward", _forward, _device)
    _LIBRARY.impl("backward", _backward, _device)
_LIBRARY.impl("forward", _forward_autograd, "Autograd")
_LIBRARY.impl("backward", _backward_autograd, "Autograd")
torch.library.register_fake("cello::forward", _forward_shapes, lib=_LIBRARY)
torch.library.register_fake("cello::backward", _backward_shapes, lib=_LIBRARY)
_op_forward = torch.ops.cello.forward.default
_op_backward = torch.ops.cello.backward.default
register_counts(torch.ops.cello.forward, torch.ops.cello.backward)
register_batched(_LIBRARY, _op_forward)
register_batched(_LIBRARY, _op_backward)


def forward(call: LoopCall) -> list[Tensor]:
    """Run the forward loop: the outputs, the final states, what was recorded."""
    run = _forward_autograd if can_bypass_dispatcher(call.tensors) else _op_forward
    return run(*call, False)


def backward(
    call: LoopCall,
    made: list[Tensor],
    grads: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> list[Tensor]:
    """Those of the tensors that need one, through the dispatcher: differentiable, or traced."""
    gradients: list[Tensor] = _op_backward(*call, made, list(grads), list(needs))
    return gradients
