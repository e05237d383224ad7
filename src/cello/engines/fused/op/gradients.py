"""The backward loop as a function of tensors, and the matrix products that follow it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from torch import Tensor

from cello.engines.fused.op.call import LoopCall
from cello.engines.fused.op.memory_layout import compute_dtype, plain, pointer_places
from cello.engines.fused.plan import Loop, Plan
from cello.engines.fused.step_table import NOWHERE, StepTable
from cello.program.kernel import MatrixGradient, Operand
from cello.program.kernel.nodes import Array

__all__ = ["BackwardRecipe", "backward_recipe", "run_backward"]

_GIVEN = ("x", "drawn")  # kinds of arrays that the operation takes
_OUTSIDE = ("y", "tape", "grad", "sum")  # and others that are not made for the products
_LITTLE = 1 << 17  # numbers that a recipe may keep from call to call
_TALL = 2048  # rows from which on PyTorch is faster where a product has fewer rows than columns


def run_backward(
    call: LoopCall, made: Sequence[Tensor], grads: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor]:
    """The gradients of the tensors that need one, in their order, and of `forced` in the end.

    Args:
        call: that of the forward loop.
        made: its outputs and its tape.
        grads: of the outputs, the final states and what was recorded.
        needs: whether each of the call's tensors needs a gradient.
    """
    own = call.tensors[0].dtype
    dtype = compute_dtype(own)
    recipe = backward_recipe(call.loops, call.names, grads, needs)
    given, made, grads = plain(call.tensors, dtype), plain(made, dtype), plain(grads, dtype)
    (known,) = plain([call.forced], dtype)
    every = recipe(given, made, grads, call.steps, call.reset, known)
    found = (part for part in every if part is not None)
    return [part if part.dtype == own else part.to(own) for part in found]


def backward_recipe(
    plan: Plan, names: Sequence[str], grads: Sequence[Any], needs: Sequence[bool]
) -> BackwardRecipe:
    """The recipe of the loop that computes what is needed and no more; see `run_backward`."""
    recorded = any(grad is not None for grad in grads[plan.places.recorded])
    key = (recorded, *names, *needs)
    recipe: BackwardRecipe | None = plan.backward_for.get(key)
    if recipe is None:
        shared = zip(plan.shared, needs[plan.places.shared], strict=True)
        loop = plan.backward(
            names=names,
            seen=names if recorded else (),
            x=needs[0],
            needed=frozenset(value.name for value, need in shared if need),
        )
        recipe = plan.backward_for[key] = BackwardRecipe(plan, loop, names, needs)
    return recipe


class BackwardRecipe:
    """What is the same in all calls of a backward loop: which tensors it takes, and where from.

    All tensors of a call stand in one list: those that the forward loop took, the gradients of the
    final, the first and the initial states, what was fed back with its gradient, then arrays.
    """

    def __init__(self, plan: Plan, loop: Loop, names: Sequence[str], needs: Sequence[bool]) -> None:
        self.loop, kernel = loop, loop.kernel
        states = list(plan.program.state)
        self.places = plan.places
        factors = [
            factor.array
            for product in kernel.products
            for factor in (*product.inputs, *product.cotangents)
        ]
        sums = [array for _, _, array in kernel.shared]
        slots = [slot.of for slot in loop.rendered.slots if isinstance(slot.of, Array)]
        arrays = [a for a in dict.fromkeys([*slots, *factors, *sums]) if a.kind not in _GIVEN]
        more = [("grad_final", name) for name in states]
        more += [("grad_start", name) for name in states]
        more += [("grad_initial", name) for name in states]
        more += [("forced", ""), ("grad_forced", "")]
        more += [("array", str(array)) for array in arrays]
        self.of_pointers, places = pointer_places(plan, loop, more)
        self.pointers = itemgetter(*self.of_pointers)
        self.makers = [self._maker(array, names) for array in arrays]
        self.needs = list(needs)
        self.of_start = any(needs[self.places.start])
        self.of_initial = any(needs[self.places.initial])
        self.dx = places.get(("array", "dx"))
        # What the loop writes for the products alone: kept for the next call if it is little.
        self.scratch = {
            places["array", str(a)]: a.width
            for a in arrays
            if a.kind not in _OUTSIDE and a.kind != "dx"
        }
        self.scratches: list[_Scratch] = []
        self.kept: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        first = self.places.shared.start
        self.products = [
            (first + plan.shared.index(product.matrix), _terms(product, places))
            for product in kernel.products
        ]
        self.sums = [
            (first + plan.shared.index(value), places["array", str(array)], start, array.width)
            for value, start, array in kernel.shared
        ]
        self.shares = len({*sums}) < len(sums)  # whether an array is the sums of two tensors

    def _maker(self, array: Array, names: Sequence[str]) -> tuple[str, int, int]:
        """Where an array comes from: its kind, its place there, its width."""
        place = {"y": 0, "tape": -1}.get(array.kind, 0)
        if array.kind == "grad" and array.name != "y":
            place = self.places.recorded.start + names.index(array.name.removeprefix("of_"))
        return array.kind, place, array.width

    def __call__(
        self,
        given: list[Tensor],
        made: Sequence[Tensor],
        grads: Sequence[Tensor | None],
        steps: StepTable,
        reset: Tensor | None,
        known: Tensor | None,
    ) -> list[Tensor | None]:
        """For each of the tensors given its gradient, None if not needed; and that of `known`."""
        new, zeros, at = given[0].new_empty, given[0].new_zeros, self.places
        starts, initial = given[at.start], given[at.initial]
        nothing, unread = self._kept(starts)
        ends, begin, first = nothing, unread, nothing
        if any(grad is not None for grad in grads[at.final]):
            pairs = zip(nothing, grads[at.final], strict=True)
            ends = [zero if grad is None else grad for zero, grad in pairs]
        if self.of_start:
            begin = [new(start.shape) for start in starts]
            if starts[0].shape[0] > steps.rows:
                for gradient, last in zip(begin, ends, strict=True):
                    gradient[steps.rows :] = last[steps.rows :]
        if self.of_initial or reset is not None:
            first = [zeros(part.shape) for part in initial]
        back = None if known is None else zeros(known.shape)
        fed = (NOWHERE, NOWHERE) if known is None or back is None else (known, back)
        all_of = [*given, *ends, *begin, *first, *fed]
        scratch = self._scratch(steps.total, given[0])
        self._add_arrays(all_of, made, grads, steps, scratch)
        self.loop.library(steps, self.pointers(all_of), reset)
        found = self._gradients(all_of, steps, scratch)
        if steps.total * sum(self.scratch.values()) <= _LITTLE:
            self.scratches.append(scratch)
        every = [
            None if not need else zeros(tensor.shape) if grad is None else grad
            for tensor, grad, need in zip(given, [*found, *begin, *first], self.needs, strict=True)
        ]
        return every if back is None else [*every, back]

    def _add_arrays(
        self,
        all_of: list[Tensor],
        made: Sequence[Tensor],
        grads: Sequence[Tensor | None],
        steps: StepTable,
        scratch: _Scratch,
    ) -> None:
        """Add the arrays, those that the loop writes newly made."""
        x = all_of[0]
        for kind, place, width in self.makers:
            if kind == "y" or kind == "tape":
                array = made[place]
            elif kind == "grad":
                grad = grads[place]
                array = x.new_zeros((steps.total, width)) if grad is None else grad
            elif kind == "sum":
                array = x.new_zeros((steps.sums, width))
            elif kind == "dx":
                array = x.new_empty(x.shape)
            else:
                array = scratch.arrays[len(all_of)]
            all_of.append(array)

    def _gradients(
        self, all_of: list[Tensor], steps: StepTable, scratch: _Scratch
    ) -> list[Tensor | None]:
        """Those of the arrays and the shared tensors, from what the loop has left."""
        found: list[Tensor | None] = [None] * self.places.shared.stop
        found[0] = None if self.dx is None else all_of[self.dx]
        for value, terms in self.products:
            found[value] = _sum_of(terms, all_of, scratch, all_of[value], found[value])
        for value, place, start, width in self.sums:
            sums = all_of[place]
            of_all = sums if steps.sums == 1 and not self.shares else sums.sum(0)
            found[value] = _add(found[value], all_of[value], of_all, start, width)
        return found

    def _scratch(self, total: int, like: Tensor) -> _Scratch:
        """Arrays of so many rows that nobody else has."""
        try:
            kept = self.scratches.pop()
        except IndexError:  # none is free
            kept = None
        if kept is not None and kept.total == total:
            return kept
        return _Scratch(total, {p: like.new_empty(total, w) for p, w in self.scratch.items()})

    def _kept(self, states: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Tensors like the states, for all calls: zeros that are only read, and some never read."""
        rows = states[0].shape[0] if states else 0
        found = self.kept.get(rows)
        if found is None:
            if len(self.kept) > 16:
                self.kept.clear()
            zeros, unread = ([part.new_zeros(part.shape) for part in states] for _ in range(2))
            found = self.kept[rows] = zeros, unread
        return found


class _Scratch:
    """Arrays that only the products read, by their place; and the operands that they make."""

    def __init__(self, total: int, arrays: dict[int, Tensor]) -> None:
        self.total, self.arrays = total, arrays
        self.operands: dict[tuple[_Operand, bool], Tensor] = {}

    def operand(self, operand: _Operand, all_of: Sequence[Tensor], transposed: bool) -> Tensor:
        """An array as [N, width] or some columns of it, or the same as [width, N]."""
        found = self.operands.get((operand, transposed))
        if found is None:
            place, start, end = operand
            array = all_of[place]
            rows = array if array.dim() == 2 else array.flatten(0, 1)
            rows = rows if end is None else rows[:, start:end]
            found = rows.t() if transposed else rows
            if place in self.arrays:
                self.operands[operand, transposed] = found
        return found


_Operand = tuple[int, int, int | None]  # an array's place, and the columns of it if not all
_Term = tuple[_Operand, _Operand, slice, slice]


def _terms(product: MatrixGradient, places: dict[Any, int]) -> list[_Term]:
    """What a matrix' gradient is the sum of: two factors, and where their product belongs."""
    terms = []
    for factor in product.inputs:
        for cotangent in product.cotangents:
            left, right = (cotangent, factor) if product.transposed else (factor, cotangent)
            terms.append((_columns(left, places), _columns(right, places), _at(left), _at(right)))
    return terms


def _columns(operand: Operand, places: dict[Any, int]) -> _Operand:
    whole = operand.length == operand.array.width
    end = None if whole else operand.start + operand.length
    return places["array", str(operand.array)], operand.start, end


def _at(operand: Operand) -> slice:
    return slice(operand.place, operand.place + operand.length)


def _sum_of(
    terms: list[_Term],
    all_of: Sequence[Tensor],
    scratch: _Scratch,
    like: Tensor,
    grad: Tensor | None,
) -> Tensor:
    for a, b, down, right in terms:
        if scratch.total >= _TALL and down.stop - down.start > right.stop - right.start:
            part = scratch.operand(b, all_of, True) @ scratch.operand(a, all_of, False)
            part = part.t().contiguous()
        else:
            part = scratch.operand(a, all_of, True) @ scratch.operand(b, all_of, False)
        if grad is None and part.shape == like.shape:
            grad = part
            continue
        grad = like.new_zeros(like.shape) if grad is None else grad
        target = grad.unsqueeze(-1) if grad.dim() == 1 else grad
        target[down, right] += part
    assert grad is not None
    return grad


def _add(grad: Tensor | None, like: Tensor, total: Tensor, start: int, width: int) -> Tensor:
    """The gradient of a tensor without rows with a sum added, `width` elements from `start` on."""
    if grad is None and width == like.numel():
        return total.view(like.shape)
    grad = like.new_zeros(like.shape) if grad is None else grad
    grad.view(-1)[start : start + width] += total.view(width)
    return grad
