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
from cello.program.operations import argument, axes, facts
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
from cello.see.formulas.writing import add, called, multiply, subtract

__all__ = ["RULES", "WITH_OTHERS", "is_shown_whole", "length", "products", "rule_of"]

Found = tuple[Expression, Tensor, float] | None
Rule = Callable[[Writer, Op, Value, int], Found]


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
    given = axes(op) if facts(op).dim else argument(op, 1, "dim")
    given = [given] if isinstance(given, int) else given or range(len(shape))
    along = [axis % len(shape) for axis in given]
    kept = [axis for axis in range(len(shape)) if axis not in along]
    count = math.prod(shape[axis] for axis in along)
    places = torch.arange(shape.numel()).reshape(shape)
    return places.permute(kept + along).reshape(-1, count)


def length(w: Writer, op: Op) -> int:
    """How many numbers lie along the operation's axes."""
    return _rows(w, op).shape[1]


def _along(w: Writer, op: Op, element: int) -> tuple[Tensor, Tensor]:
    """The places in the input of which an element of the result is made, and the numbers there."""
    places = _rows(w, op)[element]
    return places, _numbers(w, op.args[0], places)


def _numbers(w: Writer, value: Value, places: Tensor) -> Tensor:
    return w.flat(value)[places].double()


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


def _extreme(name: str) -> Rule:
    def rule(w: Writer, op: Op, value: Value, element: int) -> Found:
        if value is not op.outputs[0]:  # where it stands
            return _by_name(w, op, value, element)
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
    p = argument(op, 1, "ord", 2)
    if p in (0, math.inf, -math.inf):
        return None
    places, numbers = _along(w, op, element)
    shown = _largest(numbers.abs(), w.limit)
    parts = [w.written(op.args[0], int(places[k])) for k in shown]
    powers = sum((part.value.abs() ** p for part in parts), torch.zeros((), dtype=torch.float64))
    expressions = [_to_power(part.expression, p) for part in parts]
    expressions, powers, _ = _with_rest(w, expressions, powers, numbers.abs() ** p, shown)
    total, result = add(*expressions), powers ** (1 / p)
    if p == 1:
        return total, result, _size(result)
    root = Root(total) if p == 2 else Power(total, Quotient(Number(1), Number(p)))
    return root, result, _size(result)


def _to_power(base: Expression, p: float) -> Expression:
    absolute = FunctionCall("abs", (base,))
    return absolute if p == 1 else Power(base if p == 2 else absolute, Number(p))


def _variance(w: Writer, op: Op, value: Value, element: int) -> Found:
    """Of squares about a mean, which is a number; or their mean, the second result of some."""
    if value is not op.outputs[0]:
        return _mean(w, op, value, element)
    places, numbers = _along(w, op, element)
    correction = argument(op, 2, "correction", 1)
    if not isinstance(correction, (int, float)) or isinstance(correction, bool):
        return None
    mean, below = w.use(numbers.mean()), max(0, len(numbers) - correction)
    shown = _largest((numbers - mean.detach()).abs(), w.limit)
    parts = [w.written(op.args[0], int(places[k])) for k in shown]
    middle = Number(mean.detach().item())
    squares = sum(((part.value - mean) ** 2 for part in parts), torch.zeros(()).double())
    expressions: list[Expression] = [
        Power(subtract(part.expression, middle), Number(2)) for part in parts
    ]
    expressions, squares, size = _with_rest(
        w, expressions, squares, (numbers - mean.detach()) ** 2, shown
    )
    fraction, result = Quotient(add(*expressions), Number(below)), squares / below
    if "deviation" in facts(op).rule:
        return Root(fraction), result.sqrt(), _size(result.sqrt())
    return fraction, result, size / below if below else math.nan


def _running(join: Callable[..., Expression], made: Callable[[Tensor], Tensor]) -> Rule:
    """Of a number and all before it along the axis."""

    def rule(w: Writer, op: Op, value: Value, element: int) -> Found:
        row = next(row for row in _rows(w, op) if element in row)
        if value is not op.outputs[0] or len(row) > w.limit + 1:
            return None
        places = row[: row.tolist().index(element) + 1]
        parts = [w.written(op.args[0], int(place)) for place in places]
        result = made(torch.stack([part.value for part in parts]))
        return join(*(part.expression for part in parts)), result, _size(result)

    return rule


def _prod(w: Writer, op: Op, value: Value, element: int) -> Found:
    places, _ = _along(w, op, element)
    if len(places) > w.limit + 1:
        return _by_name(w, op, value, element)
    parts = [w.written(op.args[0], int(place)) for place in places]
    result = torch.stack([part.value for part in parts]).prod()
    return multiply(*(part.expression for part in parts)), result, _size(result)


def _by_name(w: Writer, op: Op, value: Value, element: int) -> Found:
    """The operation's name, and of the numbers that it is made of the largest."""
    places, numbers = _along(w, op, element)
    shown = _largest(numbers.abs(), w.limit)
    parts = [w.written(op.args[0], int(places[k])).expression for k in shown]
    known = w.flat(value)[element]
    return called(op, value, _with_count(parts, len(numbers))), known, _size(known)


def _join(name: str) -> Callable[..., Expression]:
    return lambda *parts: FunctionCall(name, parts) if len(parts) > 1 else parts[0]


def _log_of_sum(*parts: Expression) -> Expression:
    return FunctionCall("log", (add(*(FunctionCall("exp", (part,)) for part in parts)),))


def _layer_norm(w: Writer, op: Op, _value: Value, element: int) -> Found:
    source, shape, weight, bias, epsilon = op.args
    own = w.of(source, element)
    size = torch.Size(shape).numel()
    row = w.flat(source)[element // size * size :][:size].double()
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
RULES: dict[str, Rule] = {
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
    "variance": _variance,
    "deviation": _variance,
    "layer_norm": _layer_norm,
}

#: Of operations that a fused loop has no rule for, by their own names.
_NAMED: dict[str, Rule] = {
    "cumsum": _running(add, torch.sum),
    "cumprod": _running(multiply, torch.prod),
    "cummax": _running(_join("max"), torch.max),
    "cummin": _running(_join("min"), torch.min),
    "logcumsumexp": _running(_log_of_sum, lambda x: torch.logsumexp(x, 0)),
    "prod": _prod,
    "_safe_softmax": _softmax,
    **dict.fromkeys("any all count_nonzero nansum argmax argmin nanmean median".split(), _by_name),
}

#: Those that need more numbers than the terms that are written.
WITH_OTHERS = frozenset(
    ("softmax", "log_softmax", "logsumexp", "variance", "deviation", "layer_norm")
)


def rule_of(op: Op) -> Rule | None:
    """How one number of the operation's result is written, if it is known."""
    return RULES.get(facts(op).rule) or _NAMED.get(op.target._opname)


def is_shown_whole(op: Op) -> bool:
    """Whether all terms are written, in their order, if there are not many, and nothing else."""
    return op.target._opname != "_safe_softmax" and facts(op).rule not in WITH_OTHERS
