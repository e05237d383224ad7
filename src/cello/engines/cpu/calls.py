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


class Given:
    """The tensors that an operation takes, by what they are.

    They come as one list: the input, what was drawn, the shared tensors, the states that rows
    begin with, and those that a reset goes back to.
    """

    def __init__(self, plan: Plan, tensors: Sequence[Tensor]) -> None:
        tensors = [reckonable(tensor) for tensor in tensors]
        drawn, shared, states = len(plan.drawn), len(plan.shared), len(plan.program.state)
        self.x = tensors[0].contiguous()
        at = 1 + drawn
        self.drawn = {
            value.name: tensor.contiguous()
            for value, tensor in zip(plan.drawn, tensors[1:at], strict=True)
        }
        self.shared = dict(zip(plan.shared, tensors[at : at + shared], strict=True))
        at += shared
        names = list(plan.program.state)
        start, initial = tensors[at : at + states], tensors[at + states : at + 2 * states]
        self.start = {n: t.contiguous() for n, t in zip(names, start, strict=True)}
        self.initial = {n: t.contiguous() for n, t in zip(names, initial, strict=True)}


def reckonable(tensor: Tensor) -> Tensor:
    """bfloat16 is reckoned with in float32."""
    if tensor.dtype in (torch.bfloat16, torch.bool):
        return tensor.float()
    return tensor


def _launch(
    loop: Forward,
    steps: Steps,
    given: Given,
    arrays: dict[Array, Tensor],
    states: dict[str, dict[str, Tensor]],
    reset: Tensor | None,
    known: dict[str, Tensor | None],
) -> None:
    """Find every pointer and run."""
    pointers: list[Tensor | None] = []
    matrices: list[Tensor] = []
    keep: list[Tensor] = []
    for slot in loop.rendered.slots:
        of: Any = slot.of
        if slot.kind == "array":
            found = arrays[of]
        elif slot.kind == "matrix":
            found = given.shared[of]
            matrices.append(found)
        elif slot.kind == "vector":
            found = given.shared[of].contiguous()
            keep.append(found)
        elif of:
            found = states[slot.kind][of]
        else:
            pointers.append(known.get(slot.kind))
            continue
        pointers.append(found)
    loop.library(steps, pointers, matrices, reset)


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
    given = Given(plan, tensors)
    loop = plan.forward(save=save, names=names)
    arrays: dict[Array, Tensor] = {}
    new = given.x.new_empty
    for slot in loop.rendered.slots:
        if isinstance(slot.of, Array):
            arrays[slot.of] = _input(given, slot.of, new, steps.total)
    final = {}
    for name, start in given.start.items():
        final[name] = new(start.shape)
        if len(start) > steps.rows:
            final[name][steps.rows :] = start[steps.rows :]
    states = {"start": given.start, "initial": given.initial, "final": final}
    known = None if forced is None else reckonable(forced).contiguous()
    _launch(loop, steps, given, arrays, states, reset, {"forced": known})
    by_name = {str(array): tensor for array, tensor in arrays.items()}
    made = [by_name["y"], *final.values()]
    made += [by_name[f"seen_{name}"] for name in names]
    dtype = tensors[0].dtype
    made = [tensor.to(dtype) for tensor in made]
    if save:
        made.append(by_name.get("tape", new(0)))
    return made


def _input(given: Given, array: Array, new: Any, rows: int) -> Tensor:
    if array.kind == "x":
        return given.x
    if array.kind == "drawn":
        return given.drawn[array.name]
    return new(rows, array.width)


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
    given = Given(plan, tensors)
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
    total = {n: zeros(t.shape) for n, t in given.initial.items()}
    begin, ends = {}, {}
    for (name, start), grad in zip(given.start.items(), grads[1 : 1 + count], strict=True):
        ends[name] = zeros(start.shape) if grad is None else reckonable(grad).contiguous()
        begin[name] = new(start.shape)
        if len(start) > steps.rows:
            begin[name][steps.rows :] = ends[name][steps.rows :]
    states = {
        "start": given.start,
        "initial": given.initial,
        "grad_final": ends,
        "grad_start": begin,
        "grad_initial": total,
    }
    known: dict[str, Tensor | None] = {"forced": None, "grad_forced": None}
    if forced is not None:
        known["forced"] = reckonable(forced).contiguous()
        known["grad_forced"] = zeros(forced.shape)
    _launch(loop, steps, given, arrays, states, reset, known)
    for product in loop.kernel.products:  # a factor that the loop itself does not read
        for factor in product.inputs:
            if factor.array not in arrays:
                made_by = _array(given, factor.array, made, grads, names, count, steps)
                arrays[factor.array] = made_by
    shared = _shared_gradients(loop, given, arrays)
    by_name = {str(array): tensor for array, tensor in arrays.items()}
    found: list[Tensor | None] = [by_name.get("dx"), *(None for _ in plan.drawn)]
    found += [shared.get(value) for value in plan.shared]
    found += [*begin.values(), *total.values()]
    result = [
        (zeros(tensor.shape) if grad is None else grad.reshape(tensor.shape)).to(tensor.dtype)
        for tensor, grad, need in zip(tensors, found, needs, strict=True)
        if need
    ]
    if forced is not None:
        result.append(known["grad_forced"].to(forced.dtype))  # type: ignore[union-attr]
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
    if array.kind in ("x", "drawn"):
        return _input(given, array, new, steps.total)
    if array.kind == "y":
        return reckonable(made[0])
    if array.kind == "tape":
        return made[-1]
    if array.kind == "grad":
        place = 0 if array.name == "y" else 1 + states + names.index(array.name[3:])
        grad = grads[place]
        if grad is None:
            return given.x.new_zeros(steps.total, array.width)
        return reckonable(grad).reshape(steps.total, array.width).contiguous()
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
                pair, at = ((b, a), (cotangent, factor)) if product.transposed else ((a, b), (factor, cotangent))
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
        target = of(value).view(-1) if value in found or len(total) != given.shared[value].numel() else None
        if target is None:
            found[value] = total.view(given.shared[value].shape)
        else:
            target[start : start + array.width] += total
    return found
