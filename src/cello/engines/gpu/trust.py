"""Whether loops do on this very card what the step does: seen before a plan runs there first.

A few rows and steps of the first call go through the loops and through the step's own operations,
forward and backward. Only where both agree do the loops run.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.op.call import LoopCall
from cello.engines.fused.op.forward import run_forward
from cello.engines.fused.op.gradients import run_backward
from cello.engines.fused.op.replay import replay, replayed
from cello.engines.fused.plan import Plan
from cello.engines.fused.run_plan import shared_tensors, taken
from cello.engines.gpu.compiled import may_be_tf32
from cello.engines.gpu.launch import as_for
from cello.engines.run import Rows, Run

__all__ = ["CHECKED", "ROUNDING", "difference", "distrust"]

#: Kinds of devices on which loops are checked; elsewhere Triton's interpreter runs them.
CHECKED = {"cuda"}
#: The greatest difference that rounding explains, in parts of the greatest number of a tensor.
ROUNDING = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
_OF_TF32 = 1e-2
_ROWS, _STEPS = 4, 4


def distrust(plan: Plan, run: Run, found: dict[object, str | None], way: object) -> str | None:
    """Why the loops of a plan are not to run on the device of a run; None if they may.

    Args:
        plan: whose loops.
        run: the first steps of which they are tried on.
        found: what was found before, by device, way and whether gradients were asked for.
        way: how the loops run for so many rows.
    """
    device, train = run.data.device, torch.is_grad_enabled()
    if device.type not in CHECKED or not run.data.shape[0]:
        return None
    for key in ((device, way, True), (device, way, train)):
        if key in found:
            return found[key]
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        return f"its loops have not been checked on {device}, and a CUDA graph is being captured"
    found[device, way, train] = reason = _reason(plan, run, train)
    return reason


def _reason(plan: Plan, run: Run, train: bool) -> str | None:
    device, most = run.data.device, _most(run.data.dtype)
    try:
        size, where = difference(plan, run, backward=train)
    except Exception as error:  # of any kind: Triton, its compilers and the card's driver raise it
        said = str(error).strip().partition("\n")[0]
        return f"on {device} its loops fail: {type(error).__name__}: {said}"
    if size <= most:
        return None
    return (
        f"on {device} its loops differ from the step by {size:.2g} in {where}, "
        f"where rounding would explain {most:g}"
    )


def _most(dtype: torch.dtype) -> float:
    most = ROUNDING[dtype]
    return max(most, _OF_TF32) if may_be_tf32() else most


@torch.no_grad()
def difference(plan: Plan, run: Run, *, backward: bool) -> tuple[float, str]:
    """The greatest difference between loops and step, in parts of the tensor's greatest number.

    With it, in which tensor it is.
    """
    devices = [run.data.device] if run.data.device.type == "cuda" else []
    with torch.random.fork_rng(devices), as_for(run.batch_sizes[0]):
        few = _few(run)
        tensors = [
            tensor.detach().clone() for tensor in taken(plan, shared_tensors(plan, run.cell), few)
        ]
        call = LoopCall.over(plan.name, tensors, few)
        made = run_forward(call, save=backward)
        expected = replayed(plan, call)
        states = [f"the final {name}" for name in plan.program.state]
        names = ["the output", *states]
        pairs = list(zip(names, made, expected, strict=False))
        if backward:
            pairs += _gradients(plan, call, made)
    sizes = [(_apart(ours, theirs), name) for name, ours, theirs in pairs]
    return max(sizes, key=lambda pair: pair[0] if pair[0] == pair[0] else float("inf"))


def _gradients(plan: Plan, call: LoopCall, made: list[Tensor]) -> list[tuple[str, Tensor, Tensor]]:
    """The gradients of everything that has one: by loops, and by the step's operations."""
    names = [_said(*name) for name in plan.places.names]
    drawn = range(1, plan.places.rows.stop)  # random numbers have no gradient
    needs = [t.is_floating_point() and i not in drawn for i, t in enumerate(call.tensors)]
    grads = [torch.randn_like(part) for part in made[:-1]]
    ours = run_backward(call, [made[0], made[-1]], grads, needs)
    leaves = [t.requires_grad_(n) for t, n in zip(call.tensors, needs, strict=True)]
    theirs = replay(call._replace(tensors=leaves), None, grads, needs)
    of = [f"the gradient of {name}" for name, need in zip(names, needs, strict=True) if need]
    return list(zip(of, ours, theirs, strict=False))


def _said(kind: str, of: Any) -> str:
    """A tensor that an operation takes, see `TensorPlaces`."""
    if kind == "array":
        return "the input" if of == "x" else of.removeprefix("drawn_")
    return of.name if kind == "shared" else f"the {'first' if kind == 'start' else kind} {of}"


def _few(run: Run) -> Rows:
    """The first rows and steps."""
    every = run.batch_sizes[:_STEPS]
    first = [0, *accumulate(every)]
    sizes = [min(size, _ROWS) for size in every]
    rows = torch.cat([torch.arange(a, a + n) for a, n in zip(first, sizes, strict=False)])
    at = rows.to(run.data.device)

    def of(part: Tensor | None) -> Tensor | None:
        return None if part is None else part.detach()[at]

    state, initial = ([part[: sizes[0]] for part in parts] for parts in (run.state, run.initial))
    return Rows(
        run.data.detach()[at], sizes, state, initial, run.reverse, of(run.reset), of(run.forced),
        fed=run.fed,
    )  # fmt: skip


def _apart(ours: Tensor, theirs: Tensor) -> float:
    """The greatest difference; NaN and infinity are to be where the step has them."""
    ours, theirs = ours.detach().double(), theirs.detach().double()
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    if same.all():
        return 0.0
    scale = max(1.0, _greatest(theirs))
    return float((ours - theirs)[~same].abs().max()) / scale


def _greatest(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0
