"""How one element of a product, a sum along an axis, a softmax or a norm is written.

Every rule gets the writer, the operation, its first result and the element, and returns the
formula, its value in float64 and the size of what was added up; or None where the operation is
used in a way that the rule does not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cello.program import Op, Value
from cello.program.operations import axes, facts
from cello.see.arithmetic.terms import Pairs, Writer, Written
from cello.see.formulas.notation import (
    Expression,
    FunctionCall,
    More,
    Number,
    Power,
    Quotient,
    Root,
    Sum,
)
from cello.see.formulas.writing import add, multiply, subtract

__all__ = ["RULES", "SHOWN_WHOLE", "products"]

Found = tuple[Expression, Tensor, float] | None


def _size(number: Tensor) -> float:
    return abs(number.detach().item())


def products(w: Writer, pairs: Pairs) -> Written:
    """A sum of products: the largest ones written, in their order."""
    left, left_at, right, right_at = pairs
    products = _numbers(w, left, left_at) * _numbers(w, right, right_at)
    shown = _without_zeros(_largest(products.abs(), w.limit), products)
    expressions: list[Expression] = []
    total = torch.zeros((), dtype=torch.float64)
    for k in shown:
        one, other = w.written(left, int(left_at[k])), w.written(right, int(right_at[k]))
        expressions.append(multiply(one.expression, other.expression))
        total = total + one.value * other.value
    return _with_rest(w, expressions, total, products, shown)


def _with_rest(
    w: Writer, expressions: list[Expression], total: Tensor, terms: Tensor, shown: Sequence[int]
) -> Written:
    """The written terms, and the rest as a count and a number."""
    hidden = terms.detach().clone()
    hidden[list(shown)] = 0
    if len(terms) > len(shown):
        total = total + w.use(hidden.sum(), _size(hidden.abs().sum()))
    return _with_count(expressions, len(terms)) or [Number(0)], total, _size(terms.abs().sum())


def _largest(sizes: Tensor, limit: int) -> list[int]:
    """The places of the largest ones, in their order; all if there are not many."""
    if len(sizes) <= limit + 1:  # "1 more term" would take as much room
        return list(range(len(sizes)))
    order = torch.argsort(sizes.nan_to_num(torch.inf), descending=True, stable=True)
    return sorted(order[:limit].tolist())


def _without_zeros(shown: list[int], terms: Tensor) -> list[int]:
    """Of terms that are not all shown, those that add something, or at least one."""
    if len(shown) == len(terms):
        return shown
    return [k for k in shown if terms[k] != 0] or shown[:1]


def _mm_pairs(w: Writer, a: Value, b: Value, element: int) -> Pairs:
    """For an element of a [.., n, K] times b [.., K, m], with the same axes before.

    A vector is a row before a product's sign, and a column behind it.
    """
    *_, n, K = 1, *w.values[a].shape
    m = w.values[b].shape[-1] if w.values[b].dim() > 1 else 1
    block, within = divmod(element, n * m)
    i, j = divmod(within, m)
    k = torch.arange(K)
    left, right = (a, block * n * K + i * K + k), (b, block * K * m + k * m + j)
    is_weighed = b in w.fixed and a not in w.fixed  # the weight first, then what it weighs
    return (*right, *left) if is_weighed else (*left, *right)


def _mm(w: Writer, op: Op, _value: Value, element: int) -> Found:
    expressions, total, size = w.products(_mm_pairs(w, op.args[0], op.args[1], element))
    return add(*expressions), total, size


def _addmm(w: Writer, op: Op, value: Value, element: int) -> Found:
    if op.kwargs or len(op.args) > 3:
        return None
    first, a, b = op.args
    expressions, total, size = w.products(_mm_pairs(w, a, b, element))
    place = w.broadcast(w.values[first].shape, w.values[value].shape)[element]
    term = w.of(first, int(place))
    expression = (
        add(*expressions, term.expression)
        if first in w.fixed
        else add(term.expression, *expressions)
    )
    return expression, total + term.value, size + _size(term.value)


def _rows(w: Writer, op: Op) -> Tensor:
    """The places in the input that lie along the operation's axes, [what is kept, along them]."""
    shape = w.values[op.args[0]].shape
    along = [axis % len(shape) for axis in axes(op) or range(len(shape))]
    kept = [axis for axis in range(len(shape)) if axis not in along]
    length = math.prod(shape[axis] for axis in along)
    places = torch.arange(shape.numel()).reshape(shape)
    return places.permute(kept + along).reshape(-1, length)


def _along(w: Writer, op: Op, element: int) -> tuple[Tensor, Tensor]:
    """The places in the input of which an element of the result is made, and the numbers there."""
    places = _rows(w, op)[element]
    return places, _numbers(w, op.args[0], places)


def _numbers(w: Writer, value: Value, places: Tensor) -> Tensor:
    return w.values[value].flatten()[places].double()


def _added(w: Writer, op: Op, element: int) -> tuple[Expression, Tensor, float, int]:
    """A sum, and of how many terms."""
    places, numbers = _along(w, op, element)
    shown = _without_zeros(_largest(numbers.abs(), w.limit), numbers)
    parts = [w.written(op.args[0], int(places[k])) for k in shown]
    total = sum((part.value for part in parts), torch.zeros((), dtype=torch.float64))
    expressions, total, size = _with_rest(
        w, [part.expression for part in parts], total, numbers, shown
    )
    return add(*expressions), total, size, len(numbers)


def _sum(w: Writer, op: Op, _value: Value, element: int) -> Found:
    expression, total, size, _ = _added(w, op, element)
    return expression, total, size


def _mean(w: Writer, op: Op, _value: Value, element: int) -> Found:
    expression, total, size, count = _added(w, op, element)
    return Quotient(expression, Number(count)), total / count, size / count


def _extreme(name: str) -> Callable[[Writer, Op, Value, int], Found]:
    def rule(w: Writer, op: Op, _value: Value, element: int) -> Found:
        places, numbers = _along(w, op, element)
        shown = _largest(numbers if name == "max" else -numbers, w.limit)
        best = int(numbers.argmax() if name == "max" else numbers.argmin())
        shown = sorted({*shown[: w.limit - 1], best}) if best not in shown else shown
        parts = {k: w.written(op.args[0], int(places[k])) for k in shown}
        expressions = _with_count([part.expression for part in parts.values()], len(numbers))
        return FunctionCall(name, tuple(expressions)), parts[best].value * 1, _size(numbers[best])

    return rule


def _with_count(expressions: list[Expression], count: int) -> list[Expression]:
    """The terms that are written, and how many there are besides."""
    return (
        [*expressions, More(count - len(expressions))] if count > len(expressions) else expressions
    )


def _exponentials(w: Writer, numbers: Tensor) -> Expression:
    shown = _largest(numbers, w.limit)
    expressions: list[Expression] = [
        FunctionCall("exp", (Number(numbers[k].item()),)) for k in shown
    ]
    return Sum(tuple(_with_count(expressions, len(numbers))))


def _softmax(w: Writer, op: Op, _value: Value, element: int) -> Found:
    source = op.args[0]
    places = next(row for row in _rows(w, op) if element in row)
    numbers = _numbers(w, source, places)
    own = w.of(source, element)
    others = numbers[places != element]
    log_sum = torch.logsumexp(torch.cat([own.value.reshape(1), w.use(others)]), 0)
    below = _exponentials(w, numbers)
    if facts(op).rule == "log_softmax":
        return subtract(own.expression, FunctionCall("log", (below,))), own.value - log_sum, 1.0
    result = (own.value - log_sum).exp()
    return Quotient(FunctionCall("exp", (own.expression,)), below), result, _size(result)


def _logsumexp(w: Writer, op: Op, _value: Value, element: int) -> Found:
    _, numbers = _along(w, op, element)
    result = torch.logsumexp(w.use(numbers), 0)
    return FunctionCall("log", (_exponentials(w, numbers),)), result, _size(result)


def _norm(w: Writer, op: Op, _value: Value, element: int) -> Found:
    if len(op.args) > 1 and op.args[1] != 2:
        return None
    places, numbers = _along(w, op, element)
    shown = _largest(numbers.abs(), w.limit)
    parts = [w.written(op.args[0], int(places[k])) for k in shown]
    squares = sum((part.value**2 for part in parts), torch.zeros((), dtype=torch.float64))
    expressions: list[Expression] = [Power(part.expression, Number(2)) for part in parts]
    expressions, squares, _ = _with_rest(w, expressions, squares, numbers**2, shown)
    return Root(Sum(tuple(expressions))), squares.sqrt(), _size(squares.sqrt())


def _layer_norm(w: Writer, op: Op, _value: Value, element: int) -> Found:
    source, shape, weight, bias, epsilon = op.args
    own = w.of(source, element)
    size = torch.Size(shape).numel()
    row = w.values[source].flatten()[element // size * size :][:size].double()
    mean, variance = w.use(row.mean()), w.use(row.var(correction=0))
    result: Any = (own.value - mean) / (variance + epsilon).sqrt()
    spread = Root(add(Number(variance.detach().item()), Number(epsilon)))
    expression: Expression = Quotient(
        subtract(own.expression, Number(mean.detach().item())), spread
    )
    if weight is not None:
        scale = w.of(weight, element % size)
        expression, result = multiply(scale.expression, expression), scale.value * result
    if bias is not None:
        shift = w.of(bias, element % size)
        expression, result = add(expression, shift.expression), result + shift.value
    return expression, result, _size(result)


#: By the rule that the entry of an operation names.
RULES: dict[str, Callable[[Writer, Op, Value, int], Found]] = {
    "product": _mm,
    "product and sum": _addmm,
    "sum": _sum,
    "mean": _mean,
    "amax": _extreme("max"),
    "amin": _extreme("min"),
    "max": _extreme("max"),
    "min": _extreme("min"),
    "softmax": _softmax,
    "log_softmax": _softmax,
    "logsumexp": _logsumexp,
    "norm": _norm,
    "layer_norm": _layer_norm,
}

#: Those of which all terms are written, in their order, if there are not many.
SHOWN_WHOLE = frozenset(("sum", "mean", "amax", "amin", "max", "min", "norm"))
