"""The backward loop as a function of tensors, and the products that are left for after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from cello.engines.cpu.library import StepTable
from cello.engines.cpu.op.memory_layout import compute_dtype, order_of, plain
from cello.engines.cpu.plan import Loop, Plan
from cello.program.kernel import MatrixGradient, Operand
from cello.program.kernel.nodes import Array

__all__ = ["run_backward"]

_GIVEN = ("x", "drawn")  # kinds of arrays that the operation takes


def run_backward(
    plan: Plan,
    tensors: Sequence[Tensor],
    made: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    steps: StepTable,
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
    dtype = compute_dtype(tensors[0].dtype)
    given, made, grads = plain(tensors, dtype), plain(made, dtype), plain(grads, dtype)
    (known,) = plain([forced], dtype)
    loop = _loop(plan, names, grads, needs)
    recipe = loop.recipe(_BackwardRecipe, plan, names)
    found = recipe(given, made, grads, steps, reset, known, needs)
    return [part if part.dtype == tensors[0].dtype else part.to(tensors[0].dtype) for part in found]


def _loop(plan: Plan, names: Sequence[str], grads: Sequence[Any], needs: Sequence[bool]) -> Loop:
    """The loop that computes what is needed, no more."""
    states, first = len(plan.program.state), 1 + len(plan.drawn)
    recorded = any(grad is not None for grad in grads[1 + states :])
    key = (recorded, *names, *needs)
    loop = plan.backward_for.get(key)
    if loop is None:
        shared = zip(plan.shared, needs[first : first + len(plan.shared)], strict=True)
        loop = plan.backward_for[key] = plan.backward(
            names=names,
            seen=names if recorded else (),
            x=needs[0],
            needed=frozenset(value.name for value, need in shared if need),
        )
    return loop


class _BackwardRecipe:
    """What is the same in all calls of a backward loop: which tensors it takes, and where from.

    All tensors of a call stand in one list: those that the forward loop took, the gradients of the
    final, the first and the initial states, what was fed back with its gradient, then arrays.
    """

    def __init__(self, plan: Plan, loop: Loop, names: Sequence[str]) -> None:
        self.loop, kernel = loop, loop.kernel
        self.states = list(plan.program.state)
        factors = [
            factor.array
            for product in kernel.products
            for factor in (*product.inputs, *product.cotangents)
        ]
        sums = [array for _, _, array in kernel.shared]
        slots = [slot.of for slot in loop.rendered.slots if isinstance(slot.of, Array)]
        arrays = [a for a in dict.fromkeys([*slots, *factors, *sums]) if a.kind not in _GIVEN]
        more = [("grad_final", name) for name in self.states]
        more += [("grad_start", name) for name in self.states]
        more += [("grad_initial", name) for name in self.states]
        more += [("forced", ""), ("grad_forced", "")]
        more += [("array", str(array)) for array in arrays]
        self.order, places = order_of(plan, loop, more)
        self.makers = [self._maker(array, names) for array in arrays]
        self.dx = places.get(("array", "dx"))
        self.zeros: dict[Any, Tensor] = {}
        first = 1 + len(plan.drawn)
        self.products = [
            (first + plan.shared.index(product.matrix), _terms(product, places))
            for product in kernel.products
        ]
        self.sums = [
            (first + plan.shared.index(value), places["array", str(array)], start, array.width)
            for value, start, array in kernel.shared
        ]

    def _maker(self, array: Array, names: Sequence[str]) -> tuple[str, int, int]:
        """Where an array comes from: its kind, its place there, its width."""
        place = {"y": 0, "tape": -1}.get(array.kind, 0)
        if array.kind == "grad" and array.name != "y":
            place = 1 + len(self.states) + names.index(array.name.removeprefix("of_"))
        return array.kind, place, array.width

    def __call__(
        self,
        given: list[Tensor],
        made: Sequence[Tensor],
        grads: Sequence[Tensor | None],
        steps: StepTable,
        reset: Tensor | None,
        known: Tensor | None,
        needs: Sequence[bool],
    ) -> list[Tensor]:
        new, zeros, count = given[0].new_empty, given[0].new_zeros, len(self.states)
        starts = given[len(given) - 2 * count : len(given) - count]
        initial = given[len(given) - count :]
        ends = [
            self._nothing(start) if grad is None else grad
            for start, grad in zip(starts, grads[1 : 1 + count], strict=True)
        ]
        begin = [new(start.shape) for start in starts]
        if starts and starts[0].shape[0] > steps.rows:
            for gradient, end in zip(begin, ends, strict=True):
                gradient[steps.rows :] = end[steps.rows :]
        first = [
            self._nothing(part) if reset is None and not need else zeros(part.shape)
            for part, need in zip(initial, needs[len(given) - count :], strict=True)
        ]
        back = None if known is None else zeros(known.shape)
        all_of: list[Any] = [*given, *ends, *begin, *first, known, back]
        all_of += [self._array(maker, made, grads, steps, new, zeros) for maker in self.makers]
        self.loop.library(steps, [all_of[place] for place in self.order], reset)
        found: list[Tensor | None] = [None] * (len(given) - 2 * count)
        found[0] = None if self.dx is None else all_of[self.dx]
        for value, terms in self.products:
            found[value] = _sum_of(terms, all_of, given[value], found[value])
        for value, place, start, width in self.sums:
            found[value] = _add(found[value], given[value], all_of[place].sum(0), start, width)
        result = [
            zeros(tensor.shape) if grad is None else grad
            for tensor, grad, need in zip(given, [*found, *begin, *first], needs, strict=True)
            if need
        ]
        return result if back is None else [*result, back]

    def _nothing(self, like: Tensor) -> Tensor:
        """Zeros that are only read."""
        found = self.zeros.get(like.shape)
        if found is None:
            if len(self.zeros) > 16:
                self.zeros.clear()
            found = self.zeros[like.shape] = like.new_zeros(like.shape)
        return found

    @staticmethod
    def _array(
        maker: tuple[str, int, int],
        made: Sequence[Tensor],
        grads: Sequence[Tensor | None],
        steps: StepTable,
        new: Callable[..., Tensor],
        zeros: Callable[..., Tensor],
    ) -> Tensor:
        kind, place, width = maker
        if kind in ("y", "tape"):
            return made[place]
        if kind == "grad":
            grad = grads[place]
            if grad is None:
                return zeros((steps.total, width))
            return grad if grad.dim() == 2 else grad.reshape(steps.total, width)
        if kind == "sum":
            return zeros((steps.rows, width))
        return new((steps.total, width))


_Term = tuple[int, slice | None, int, slice | None, slice, slice]


def _terms(product: MatrixGradient, places: dict[Any, int]) -> list[_Term]:
    """What a matrix' gradient is the sum of: two factors, and where their product belongs."""
    terms = []
    for factor in product.inputs:
        for cotangent in product.cotangents:
            left, right = (cotangent, factor) if product.transposed else (factor, cotangent)
            terms.append((*_columns(left, places), *_columns(right, places), _at(left), _at(right)))
    return terms


def _columns(operand: Operand, places: dict[Any, int]) -> tuple[int, slice | None]:
    """The place of an operand's array, and the columns of it if not all."""
    whole = operand.length == operand.array.width
    columns = None if whole else slice(operand.start, operand.start + operand.length)
    return places["array", str(operand.array)], columns


def _at(operand: Operand) -> slice:
    return slice(operand.place, operand.place + operand.length)


def _sum_of(
    terms: list[_Term], all_of: Sequence[Tensor], like: Tensor, grad: Tensor | None
) -> Tensor:
    for a, a_columns, b, b_columns, down, right in terms:
        left = all_of[a] if a_columns is None else all_of[a][:, a_columns]
        other = all_of[b] if b_columns is None else all_of[b][:, b_columns]
        part = left.t() @ other
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
    grad.view(-1)[start : start + width] += total
    return grad
