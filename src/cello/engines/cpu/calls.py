"""The two loops as functions of tensors: what goes to which pointer, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.engines.cpu.library import Steps
from cello.engines.cpu.plan import Backward, Forward, Plan
from cello.program import Value
from cello.program.kernel import Operand
from cello.program.kernel.nodes import Array

__all__ = ["run_backward", "run_forward"]


def reckon_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a loop reckons with: bfloat16 in float32."""
    return torch.float32 if dtype == torch.bfloat16 else dtype


def _plain(tensors: Sequence[Tensor | None], dtype: torch.dtype) -> list[Any]:
    """Contiguous, in the dtype that the loop reckons with."""
    return [
        tensor
        if tensor is None or (tensor.dtype == dtype and tensor.is_contiguous())
        else tensor.to(dtype).contiguous()
        for tensor in tensors
    ]


def _order(plan: Plan, loop: Forward, more: Sequence[tuple[str, Any]]) -> list[int]:
    """For each pointer of a loop, the place of its tensor.

    The tensors stand in one list: those that the operation takes (the input, what was drawn, the
    shared tensors, the states that rows begin with, those that a reset goes back to), then those
    that `more` names.
    """
    states = list(plan.program.state)
    names: list[Any] = [("array", "x")]
    names += [("array", f"drawn_{value.name}") for value in plan.drawn]
    names += [("shared", value) for value in plan.shared]
    names += [("start", name) for name in states] + [("initial", name) for name in states]
    places = {name: place for place, name in enumerate([*names, *more])}
    kinds = {"vector": "shared", "matrix": "shared"}
    return [
        places[kinds.get(slot.kind, slot.kind), str(slot.of) if slot.kind == "array" else slot.of]
        for slot in loop.rendered.slots
    ]


def run_forward(
    plan: Plan,
    tensors: Sequence[Tensor],
    steps: Steps,
    reset: Tensor | None,
    forced: Tensor | None,
    save: bool,
    names: Sequence[str],
) -> list[Tensor]:
    """Returns the outputs, the final states, what was recorded, and the tape if `save`."""
    loop = plan.forward(save=save, names=names)
    states = list(plan.program.state)
    if loop.order is None:
        more = [("array", "y"), *(("final", name) for name in states)]
        more += [("array", f"seen_{name}") for name in names]
        more += [("array", "tape"), ("forced", "")]
        loop.order = _order(plan, loop, more)
        of = [slot.of for slot in loop.rendered.slots]
        arrays = {str(array): array.width for array in of if isinstance(array, Array)}
        loop.widths = [arrays["y"], *(arrays[f"seen_{name}"] for name in names)]
    dtype = reckon_dtype(tensors[0].dtype)
    flat = _plain(tensors, dtype)
    x, total = flat[0], steps.total
    new = x.new_empty
    begin = flat[len(flat) - 2 * len(states) : len(flat) - len(states)]
    made = [new((total, loop.widths[0]))]
    for start in begin:
        final = new(start.shape)
        if start.shape[0] > steps.rows:
            final[steps.rows :] = start[steps.rows :]
        made.append(final)
    made += [new((total, width)) for width in loop.widths[1:]]
    tape = new((total, loop.tape.width)) if loop.tape is not None else None
    flat += [*made, tape, *_plain([forced], dtype)]
    loop.library(steps, [flat[place] for place in loop.order], reset)
    if dtype != tensors[0].dtype:
        made = [tensor.to(tensors[0].dtype) for tensor in made]
    return made if tape is None else [*made, tape]


class Given:
    """The tensors that an operation takes, by what they are."""

    def __init__(self, plan: Plan, tensors: Sequence[Tensor]) -> None:
        self.all = tensors
        self.x, rest = tensors[0], iter(tensors[1:])
        self.drawn = {value.name: next(rest) for value in plan.drawn}
        self.shared = {value: next(rest) for value in plan.shared}
        self.start = {name: next(rest) for name in plan.program.state}
        self.initial = {name: next(rest) for name in plan.program.state}


def run_backward(
    plan: Plan,
    tensors: Sequence[Tensor],
    made: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    steps: Steps,
    reset: Tensor | None,
    forced: Tensor | None,
    names: Sequence[str],
    needs: Sequence[bool],
) -> list[Tensor]:
    """The gradients of the tensors that need one, in their order, and of `forced` in the end.

    Args:
        plan: whose loops.
        tensors: what the forward loop took.
        made: its outputs and its tape.
        grads: of the outputs, the final states and what was recorded.
        steps: which rows each step has.
        reset: which rows are reset before their step.
        forced: outputs that were fed back.
        names: what was recorded.
        needs: whether each of `tensors` needs a gradient.
    """
    dtype = reckon_dtype(tensors[0].dtype)
    given = Given(plan, _plain(tensors, dtype))
    made, grads = _plain(made, dtype), _plain(grads, dtype)
    (forced,) = _plain([forced], dtype)
    count = len(plan.program.state)
    seen = names if any(grad is not None for grad in grads[1 + count :]) else ()
    first = 1 + len(plan.drawn)
    wanted = [
        value
        for value, need in zip(plan.shared, needs[first : first + len(plan.shared)], strict=True)
        if need
    ]
    loop = plan.backward(
        names=names, seen=seen, x=needs[0], needed=frozenset(value.name for value in wanted)
    )
    new, zeros = given.x.new_empty, given.x.new_zeros
    arrays: dict[Array, Tensor] = {}
    for slot in loop.rendered.slots:
        if isinstance(slot.of, Array):
            arrays[slot.of] = _array(given, slot.of, made, grads, names, count, steps)
    states = list(given.start)
    ends = [
        zeros(start.shape) if grad is None else grad
        for start, grad in zip(given.start.values(), grads[1 : 1 + count], strict=True)
    ]
    begin = [new(start.shape) for start in given.start.values()]
    for gradient, end in zip(begin, ends, strict=True):
        if len(end) > steps.rows:
            gradient[steps.rows :] = end[steps.rows :]
    first_ones = [zeros(tensor.shape) for tensor in given.initial.values()]
    known = None if forced is None else zeros(forced.shape)
    if loop.order is None:
        more = [("grad_final", name) for name in states]
        more += [("grad_start", name) for name in states]
        more += [("grad_initial", name) for name in states]
        more += [("forced", ""), ("grad_forced", "")]
        more += [("array", str(array)) for array in arrays if array.kind not in ("x", "drawn")]
        loop.order = _order(plan, loop, more)
    flat = [*given.all, *ends, *begin, *first_ones, forced, known]
    flat += [tensor for array, tensor in arrays.items() if array.kind not in ("x", "drawn")]
    loop.library(steps, [flat[place] for place in loop.order], reset)
    for product in loop.kernel.products:  # a factor that the loop itself does not read
        for factor in product.inputs:
            if factor.array not in arrays:
                made_by = _array(given, factor.array, made, grads, names, count, steps)
                arrays[factor.array] = made_by
    shared = _shared_gradients(loop, given, arrays)
    by_name = {str(array): tensor for array, tensor in arrays.items()}
    found: list[Tensor | None] = [by_name.get("dx"), *(None for _ in plan.drawn)]
    found += [shared.get(value) for value in plan.shared]
    found += [*begin, *first_ones]
    result = [
        (zeros(tensor.shape) if grad is None else grad.reshape(tensor.shape)).to(tensor.dtype)
        for tensor, grad, need in zip(tensors, found, needs, strict=True)
        if need
    ]
    if known is not None:
        result.append(known.to(tensors[0].dtype))
    return result


def _array(
    given: Given,
    array: Array,
    made: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    names: Sequence[str],
    states: int,
    steps: Steps,
) -> Tensor:
    new = given.x.new_empty
    if array.kind == "x":
        return given.x
    if array.kind == "drawn":
        return given.drawn[array.name]
    if array.kind == "y":
        return made[0]
    if array.kind == "tape":
        return made[-1]
    if array.kind == "grad":
        place = 0 if array.name == "y" else 1 + states + names.index(array.name[3:])
        grad = grads[place]
        if grad is None:
            return given.x.new_zeros(steps.total, array.width)
        return grad.reshape(steps.total, array.width)
    if array.kind == "sum":
        return given.x.new_zeros(steps.rows, array.width)
    return new(steps.total, array.width)


def _shared_gradients(
    loop: Backward, given: Given, arrays: dict[Array, Tensor]
) -> dict[Value, Tensor]:
    """The gradients of tensors without rows: a product for a matrix, a sum for anything else."""
    found: dict[Value, Tensor] = {}

    def of(value: Value) -> Tensor:
        like = given.shared[value]
        return found.setdefault(value, like.new_zeros(like.shape))

    def columns(operand: Operand) -> Tensor:
        whole = arrays[operand.array]
        if operand.length == operand.array.width:
            return whole
        return whole[:, operand.start : operand.start + operand.length]

    for product in loop.kernel.products:
        value = product.matrix
        shape = given.shared[value].shape
        for factor in product.inputs:
            for cotangent in product.cotangents:
                a, b = columns(factor), columns(cotangent)
                pair, at = (a, b), (factor, cotangent)
                if product.transposed:
                    pair, at = (b, a), (cotangent, factor)
                whole = (at[0].length, at[1].length) == tuple(shape)
                if whole and value not in found:
                    found[value] = pair[0].t() @ pair[1]
                    continue
                grad = pair[0].t() @ pair[1]
                target = of(value)
                target = target.unsqueeze(-1) if target.dim() == 1 else target
                down, right = at[0].place, at[1].place
                target[down : down + at[0].length, right : right + at[1].length] += grad
    for value, start, array in loop.kernel.shared:
        total = arrays[array].sum(0)
        if value not in found and len(total) == given.shared[value].numel():
            found[value] = total.view(given.shared[value].shape)
        else:
            of(value).view(-1)[start : start + array.width] += total
    return found
