"""Operations that make one number of many features, and those that need such a number."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from cello.program.graph import Op, Value
from cello.program.kernel.builder import Lowering
from cello.program.kernel.nodes import Graph, Node
from cello.program.kernel.shapes import axis, last, outer
from cello.program.operations import argument

__all__ = ["REDUCTIONS", "chosen"]

Pieces = tuple[Node, ...]
Made = dict[int, list[Pieces]]  # for each result that there is, its vectors
Reduce = Callable[[Graph, list[Node], int], Node]  # (graph, nodes to combine, how many numbers)


def _sum(g: Graph, nodes: list[Node], _count: int) -> Node:
    return functools.reduce(lambda a, b: g.call("add", a, b), nodes)


def _mean(g: Graph, nodes: list[Node], count: int) -> Node:
    return g.call("mul", _sum(g, nodes, count), 1 / count)


def _extreme(kind: str) -> Reduce:
    """The greatest or least of nodes, feature by feature."""

    def reduce(g: Graph, nodes: list[Node], _count: int) -> Node:
        best = g.call("stop", _chain(g, kind, nodes))
        ties = [g.call("where", g.call("eq", node, best), 1.0, 0.0) for node in nodes]
        return _shared_out(g, best, nodes, ties)

    return reduce


def _chain(g: Graph, kind: str, nodes: Sequence[Node]) -> Node:
    return functools.reduce(lambda a, b: g.call(kind, a, b), nodes)


def _shared_out(g: Graph, best: Node, nodes: Sequence[Node], ties: list[Node]) -> Node:
    """`best`, whose gradient goes evenly to all that are it: so many as `ties` for each node."""
    total, result = _sum(g, ties, 0), best
    for node, some in zip(nodes, ties, strict=True):
        part = g.call("where", g.call("eq", node, best), g.call("div", some, total), 0.0)
        result = g.call("share", result, node, part)
    return result


_FOLDS: dict[str, tuple[str, Reduce]] = {
    "sum": ("sum", _sum),
    "mean": ("sum", _mean),
    "amax": ("max", _extreme("max")),
    "amin": ("min", _extreme("min")),
}


def fold_pieces(g: Graph, kind: str, pieces: Pieces) -> Node:
    """One number of all features of a vector: their sum, greatest or least."""
    parts = [g.fold(kind, piece) for piece in pieces]
    if kind == "sum":
        return _sum(g, parts, 0)
    if len(parts) == 1:
        return parts[0]
    best = g.call("stop", _chain(g, kind, parts))
    hits = [g.call("where", g.call("eq", piece, best), 1.0, 0.0) for piece in pieces]
    return _shared_out(g, best, parts, [g.fold("sum", hit) for hit in hits])


def best_of(g: Graph, kind: str, pieces: Pieces) -> Node:
    """The greatest or least of all features of a vector, without a gradient."""
    return g.call("stop", _chain(g, kind, [g.fold(kind, piece) for piece in pieces]))


def _spread(kind: str, low: Lowering, op: Op) -> Made:
    """Sum, mean, amax, amin over axes of a row."""
    value, fold = op.args[0], _FOLDS[kind]
    axes = argument(op, 1, "dim")
    axes = [axes] if isinstance(axes, int) else list(axes)
    numbers = sorted({axis(a, value) for a in axes})
    vectors, count = list(low.values[value]), 1
    if len(value.shape) - 1 in numbers:
        count *= last(value)
        if len(numbers) == len(value.shape) - 1:  # all features of a row
            vectors, numbers = [tuple(n for vector in vectors for n in vector)], numbers[-1:]
            count *= outer(value)
        vectors = [(fold_pieces(low.graph, fold[0], vector),) for vector in vectors]
        numbers.remove(len(value.shape) - 1)
    if numbers:
        if len(numbers) > 1 or len(value.shape) != 3:
            low.refuse(op, f"{op.target} over several axes")
        count *= value.shape[numbers[0]]
        combine = _sum if kind == "mean" else fold[1]
        vectors = [
            tuple(combine(low.graph, list(nodes), 0) for nodes in zip(*vectors, strict=True))
        ]
    if kind == "mean":
        vectors = [
            tuple(low.graph.call("mul", node, 1 / count) for node in vector) for vector in vectors
        ]
    return {0: _as_shaped(low, op, op.outputs[0], vectors)}


def _as_shaped(low: Lowering, op: Op, out: Value, vectors: Sequence[Pieces]) -> list[Pieces]:
    """One number for each vector may be a vector of numbers, when the axis is dropped."""
    lengths = [length for _, length in low.pieces(out)]
    if all([node.length for node in vector] == lengths for vector in vectors):
        return list(vectors)
    if lengths == [1] * len(vectors):  # cut into single numbers
        return [tuple(node for vector in vectors for node in vector)]
    return low.refuse(op, f"{op.target} makes a vector of single numbers")


def chosen(kind: str, low: Lowering, op: Op) -> Made:
    """`max(dim)`: as PyTorch, the gradient goes to one of the greatest, here the first."""
    value, g = op.args[0], low.graph
    if axis(argument(op, 1, "dim"), value) != len(value.shape) - 1:
        low.refuse(op, f"{op.target} over another axis than the last")
    starts = [float(start) for start, _ in low.pieces(value)]
    made = []
    for vector in low.values[value]:
        best = best_of(g, kind, vector)
        places = [
            g.call("add", g.call("feature", node), start)
            for node, start in zip(vector, starts, strict=True)
        ]
        first = best_of(
            g,
            "min",
            tuple(
                g.call("where", g.call("eq", node, best), place, float(last(value)))
                for node, place in zip(vector, places, strict=True)
            ),
        )
        chosen = fold_pieces(
            g,
            "sum",
            tuple(
                g.call("where", g.call("eq", place, first), node, 0.0)
                for node, place in zip(vector, places, strict=True)
            ),
        )
        lost = g.call("ne", best, best)  # NaN is equal to nothing
        made.append((g.call("where", lost, best, chosen),))
    return {0: _as_shaped(low, op, op.outputs[0], made)}


def _deviations(low: Lowering, vector: Pieces, count: int) -> tuple[Pieces, Node]:
    """From the mean, and the mean.

    What comes back through the two all but cancels: it is added up first, at the copies, and then
    to what comes from elsewhere.
    """
    g = low.graph
    vector = tuple(g.call("copy", node) for node in vector)
    mean = g.call("mul", fold_pieces(g, "sum", vector), 1 / count)
    return tuple(g.call("sub", node, mean) for node in vector), mean


def _squares(g: Graph, vector: Pieces) -> Node:
    return fold_pieces(g, "sum", tuple(g.call("mul", node, node) for node in vector))


def _variance(root: bool, low: Lowering, op: Op) -> Made:
    """Of features; `var_mean` and `std_mean` have the mean beside it."""
    value, g = op.args[0], low.graph
    axes, correction = argument(op, 1, "dim"), op.kwargs.get("correction", 1)
    if axes is None or [axis(a, value) for a in axes] != [len(value.shape) - 1]:
        low.refuse(op, f"{op.target} over another axis than the last")
    less = last(value) - (1 if correction is None else correction)
    made, means = [], []
    for vector in low.values[value]:
        apart, mean = _deviations(low, vector, last(value))
        variance = g.call("div", _squares(g, apart), float(max(less, 0)))
        made.append((g.call("sqrt", variance) if root else variance,))
        means.append((mean,))
    found = zip(op.outputs, (made, means), strict=False)
    return {number: _as_shaped(low, op, out, f) for number, (out, f) in enumerate(found)}


def _layer_norm(low: Lowering, op: Op) -> Made:
    value, sizes, weight, bias, eps = op.args
    out, g = op.outputs[0], low.graph
    if len(sizes) != 1:
        low.refuse(op, f"{op.target} over several axes")
    norms: list[Pieces] = []
    means: list[Pieces] = []
    scales: list[Pieces] = []
    for number, vector in enumerate(low.values[value]):
        apart, mean = _deviations(low, vector, last(value))
        variance = g.call("mul", _squares(g, apart), 1 / last(value))
        scale = g.call("rsqrt", g.call("add", variance, float(eps)))
        norms.append(_scaled(low, out, number, apart, scale, weight, bias))
        means.append((mean,))
        scales.append((scale,))
    return {0: norms, 1: means, 2: scales}


def _scaled(
    low: Lowering, out: Value, number: int, vector: Pieces, scale: Node, weight: Any, bias: Any
) -> Pieces:
    made = []
    for piece, node in enumerate(vector):
        node = low.graph.call("mul", node, scale)
        if weight is not None:
            node = low.graph.call("mul", node, low.operand(weight, out, number, piece))
        if bias is not None:
            node = low.graph.call("add", node, low.operand(bias, out, number, piece))
        made.append(node)
    return tuple(made)


def _along_last(low: Lowering, op: Op) -> list[Pieces]:
    value = op.args[0]
    if axis(argument(op, 1, "dim"), value) != len(value.shape) - 1:
        low.refuse(op, f"{op.target} over another axis than the last")
    return low.values[value]


def _shifted(low: Lowering, vector: Pieces) -> tuple[Pieces, Node]:
    """What is left under the greatest, which only keeps the exponential small."""
    g = low.graph
    most = best_of(g, "max", vector)
    return tuple(g.call("sub", node, most) for node in vector), most


def _total(g: Graph, vector: Pieces) -> Node:
    return fold_pieces(g, "sum", tuple(g.call("exp", node) for node in vector))


def _softmax(low: Lowering, op: Op) -> Made:
    g, made = low.graph, []
    for vector in _along_last(low, op):
        shifted, _ = _shifted(low, vector)
        total = _total(g, shifted)
        made.append(tuple(g.call("div", g.call("exp", node), total) for node in shifted))
    return {0: made}


def _log_softmax(low: Lowering, op: Op) -> Made:
    g, made = low.graph, []
    for vector in _along_last(low, op):
        shifted, _ = _shifted(low, vector)
        total = g.call("log", _total(g, shifted))
        made.append(tuple(g.call("sub", node, total) for node in shifted))
    return {0: made}


def _logsumexp(low: Lowering, op: Op) -> Made:
    value, g = op.args[0], low.graph
    if [axis(a, value) for a in argument(op, 1, "dim")] != [len(value.shape) - 1]:
        low.refuse(op, f"{op.target} over another axis than the last")
    made = []
    for vector in low.values[value]:
        shifted, most = _shifted(low, vector)
        made.append((g.call("add", g.call("log", _total(g, shifted)), most),))
    return {0: _as_shaped(low, op, op.outputs[0], made)}


def _norm(low: Lowering, op: Op) -> Made:
    value, g = op.args[0], low.graph
    axes = argument(op, 2, "dim")
    order = argument(op, 1, "ord", 2)
    if order not in (1, 2) or axes is None or len(axes) != 1:
        low.refuse(op, f"{op.target} other than of order 1 or 2 over one axis")
    if axis(axes[0], value) != len(value.shape) - 1:
        low.refuse(op, f"{op.target} over another axis than the last")
    made = []
    for vector in low.values[value]:
        if order == 1:
            made.append((fold_pieces(g, "sum", tuple(g.call("abs", node) for node in vector)),))
            continue
        total = _squares(g, vector)
        is_zero = g.call("eq", total, 0.0)  # where the root has no slope, the gradient is 0
        root = g.call("sqrt", g.call("where", is_zero, 1.0, total))
        made.append((g.call("where", is_zero, 0.0, root),))
    return {0: _as_shaped(low, op, op.outputs[0], made)}


REDUCTIONS: dict[str, Callable[[Lowering, Op], Made]] = {
    **{kind: functools.partial(_spread, kind) for kind in _FOLDS},
    "var": functools.partial(_variance, False),
    "std": functools.partial(_variance, True),
    "var_mean": functools.partial(_variance, False),
    "std_mean": functools.partial(_variance, True),
    "native_layer_norm": _layer_norm,
    "_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "linalg_vector_norm": _norm,
}
