"""How one element of a product, a sum along an axis, a softmax or a norm is written.

Every rule gets the writer, the operation, the value and the element, and returns the formula, its
value in float64 and the size of what was added up; or None where the operation is used in a way
that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from cello.program import Op, Value
from cello.see.arithmetic.terms import Pairs, Writer, Written
from cello.see.formulas.notation import FunctionCall, More, Node, Number, Power, Quotient, Root, Sum
from cello.see.formulas.operations import add, log_sigmoid, multiply, subtract

__all__ = ["RULES", "SHOWN_WHOLE", "products"]

Found = tuple[Node, Tensor, float] | None


def _size(number: Tensor) -> float:
    return abs(number.detach().item())


def products(w: Writer, pairs: Pairs) -> Written:
    """A sum of products: the largest ones written, in their order."""
    left, left_at, right, right_at = pairs
    numbers = [w.values[v].flatten()[at].double() for v, at in ((left, left_at), (right, right_at))]
    products = numbers[0] * numbers[1]
    shown = _without_zeros(_largest(products.abs(), w.limit), products)
    nodes: list[Node] = []
    total = torch.zeros((), dtype=torch.float64)
    for k in shown:
        one, other = w.written(left, int(left_at[k])), w.written(right, int(right_at[k]))
        nodes.append(multiply(one.node, other.node))
        total = total + one.value * other.value
    return _with_rest(w, nodes, total, products, shown)


def _with_rest(
    w: Writer, nodes: list[Node], total: Tensor, terms: Tensor, shown: Sequence[int]
) -> Written:
    """What is written, and what is not."""
    hidden = terms.detach().clone()
    hidden[list(shown)] = 0
    if len(terms) > len(shown):
        total = total + w.use(hidden.sum(), _size(hidden.abs().sum()))
        nodes = [*nodes, More(len(terms) - len(shown))]
    return nodes or [Number(0)], total, _size(terms.abs().sum())


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
    """For an element of a [.., n, K] times b [.., K, m], with the same axes before."""
    K, m = w.values[b].shape[-2:]
    n = w.values[a].shape[-2]
    block, within = divmod(element, n * m)
    i, j = divmod(within, m)
    k = torch.arange(K)
    return _weight_first(w, (a, block * n * K + i * K + k, b, block * K * m + k * m + j))


def _weight_first(w: Writer, pairs: Pairs) -> Pairs:
    """The weight, then what it weighs."""
    left, left_at, right, right_at = pairs
    turn = right in w.fixed and left not in w.fixed
    return (right, right_at, left, left_at) if turn else pairs


def _mm(w: Writer, op: Op, _value: Value, element: int) -> Found:
    nodes, total, size = w.products(_mm_pairs(w, op.args[0], op.args[1], element))
    return add(*nodes), total, size


def _mv(w: Writer, op: Op, _value: Value, element: int) -> Found:
    k = torch.arange(w.values[op.args[1]].numel())
    pairs = _weight_first(w, (op.args[0], element * len(k) + k, op.args[1], k))
    nodes, total, size = w.products(pairs)
    return add(*nodes), total, size


def _addmm(w: Writer, op: Op, value: Value, element: int) -> Found:
    if op.kwargs or len(op.args) > 3:
        return None
    first, a, b = op.args
    nodes, total, size = w.products(_mm_pairs(w, a, b, element))
    shape, large = w.values[first].shape, w.values[value].shape
    place = torch.arange(shape.numel()).reshape(shape).broadcast_to(large).flatten()[element]
    term = w.of(first, int(place))
    node = add(*nodes, term.node) if first in w.fixed else add(term.node, *nodes)
    return node, total + term.value, size + _size(term.value)


def _along(w: Writer, op: Op, position: int = 1) -> tuple[Value, Tensor] | None:
    """The input, and for each element of the result the elements that it is made of."""
    source = op.args[0]
    if op.kwargs.get("dtype") is not None:
        return None
    shape = w.values[source].shape
    numbers = torch.arange(shape.numel()).reshape(shape)
    axes = op.args[position] if len(op.args) > position else None
    axes = [axes] if isinstance(axes, int) else list(axes or range(len(shape)))
    kept = [axis for axis in range(len(shape)) if axis not in {a % len(shape) for a in axes}]
    order = kept + [axis % len(shape) for axis in axes]
    length = 1
    for axis in axes:
        length *= shape[axis]
    return source, numbers.permute(order).reshape(-1, length)


def _added(w: Writer, op: Op, element: int) -> tuple[list[Node], Tensor, float, int] | None:
    found = _along(w, op)
    if found is None:
        return None
    source, elements = found
    numbers = w.values[source].flatten()[elements[element]].double()
    shown = _without_zeros(_largest(numbers.abs(), w.limit), numbers)
    parts = [w.written(source, int(elements[element][k])) for k in shown]
    total = sum((part.value for part in parts), torch.zeros((), dtype=torch.float64))
    nodes, total, size = _with_rest(w, [part.node for part in parts], total, numbers, shown)
    return nodes, total, size, len(numbers)


def _sum(w: Writer, op: Op, _value: Value, element: int) -> Found:
    found = _added(w, op, element)
    return None if found is None else (add(*found[0]), found[1], found[2])


def _mean(w: Writer, op: Op, _value: Value, element: int) -> Found:
    found = _added(w, op, element)
    if found is None:
        return None
    nodes, total, size, count = found
    return Quotient(add(*nodes), Number(count)), total / count, size / count


def _extreme(name: str) -> Callable[[Writer, Op, Value, int], Found]:
    def rule(w: Writer, op: Op, value: Value, element: int) -> Found:
        found = _along(w, op)
        if found is None or value is not op.outputs[0]:
            return None
        source, elements = found
        numbers = w.values[source].flatten()[elements[element]].double()
        shown = _largest(numbers if name == "max" else -numbers, w.limit)
        best = int(numbers.argmax() if name == "max" else numbers.argmin())
        shown = sorted({*shown[: w.limit - 1], best}) if best not in shown else shown
        parts = {k: w.written(source, int(elements[element][k])) for k in shown}
        nodes = [part.node for part in parts.values()]
        if len(numbers) > len(shown):
            nodes.append(More(len(numbers) - len(shown)))
        return FunctionCall(name, tuple(nodes)), parts[best].value * 1, _size(numbers[best])

    return rule


def _exponentials(w: Writer, numbers: Tensor) -> Node:
    shown = _largest(numbers, w.limit)
    nodes: list[Node] = [FunctionCall("exp", (Number(numbers[k].item()),)) for k in shown]
    if len(numbers) > len(shown):
        nodes.append(More(len(numbers) - len(shown)))
    return Sum(tuple(nodes))


def _softmax(w: Writer, op: Op, _value: Value, element: int) -> Found:
    found = _along(w, op)
    if found is None:
        return None
    source, elements = found
    row = next(row for row in elements if element in row)
    numbers = w.values[source].flatten()[row].double()
    own = w.of(source, element)
    others = numbers[row != element]
    log_sum = torch.logsumexp(torch.cat([own.value.reshape(1), w.use(others)]), 0)
    below = _exponentials(w, numbers)
    if op.target._opname == "_log_softmax":
        return subtract(own.node, FunctionCall("log", (below,))), own.value - log_sum, 1.0
    result = (own.value - log_sum).exp()
    return Quotient(FunctionCall("exp", (own.node,)), below), result, _size(result)


def _logsumexp(w: Writer, op: Op, _value: Value, element: int) -> Found:
    found = _along(w, op)
    if found is None:
        return None
    source, elements = found
    numbers = w.values[source].flatten()[elements[element]].double()
    result = torch.logsumexp(w.use(numbers), 0)
    return FunctionCall("log", (_exponentials(w, numbers),)), result, _size(result)


def _norm(w: Writer, op: Op, _value: Value, element: int) -> Found:
    found = _along(w, op, position=2)
    if found is None or (len(op.args) > 1 and op.args[1] != 2):
        return None
    source, elements = found
    numbers = w.values[source].flatten()[elements[element]].double()
    shown = _largest(numbers.abs(), w.limit)
    parts = [w.written(source, int(elements[element][k])) for k in shown]
    squares = sum((part.value**2 for part in parts), torch.zeros((), dtype=torch.float64))
    nodes: list[Node] = [Power(part.node, Number(2)) for part in parts]
    nodes, squares, _ = _with_rest(w, nodes, squares, numbers**2, shown)
    return Root(Sum(tuple(nodes))), squares.sqrt(), _size(squares.sqrt())


def _layer_norm(w: Writer, op: Op, value: Value, element: int) -> Found:
    if value is not op.outputs[0]:
        return None
    source, shape, weight, bias, epsilon = op.args
    own = w.of(source, element)
    size = torch.Size(shape).numel()
    row = w.values[source].flatten()[element // size * size :][:size].double()
    mean, variance = w.use(row.mean()), w.use(row.var(correction=0))
    result: Any = (own.value - mean) / (variance + epsilon).sqrt()
    spread = Root(add(Number(variance.detach().item()), Number(epsilon)))
    node: Node = Quotient(subtract(own.node, Number(mean.detach().item())), spread)
    if weight is not None:
        scale = w.of(weight, element % size)
        node, result = multiply(scale.node, node), scale.value * result
    if bias is not None:
        shift = w.of(bias, element % size)
        node, result = add(node, shift.node), result + shift.value
    return node, result, _size(result)


def _log_sigmoid(w: Writer, op: Op, value: Value, element: int) -> Found:
    if value is not op.outputs[0]:
        return None
    own = w.of(op.args[0], element)
    result = logsigmoid(own.value)
    return log_sigmoid(own.node), result, _size(result)


RULES: dict[str, Callable[[Writer, Op, Value, int], Found]] = {
    "mm": _mm,
    "bmm": _mm,
    "dot": _mv,
    "mv": _mv,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "sum": _sum,
    "mean": _mean,
    "amax": _extreme("max"),
    "amin": _extreme("min"),
    "max": _extreme("max"),
    "min": _extreme("min"),
    "_softmax": _softmax,
    "_log_softmax": _softmax,
    "logsumexp": _logsumexp,
    "linalg_vector_norm": _norm,
    "native_layer_norm": _layer_norm,
    "log_sigmoid_forward": _log_sigmoid,
}

#: Those of which all terms are written, in their order, if there are not many.
SHOWN_WHOLE = frozenset(("sum", "mean", "amax", "amin", "max", "min", "linalg_vector_norm"))
