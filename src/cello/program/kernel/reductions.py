"""Operations that make one number of many features, and those that need such a number."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from cello.program.graph import Op, Value
from cello.program.kernel.builder import Lowering
from cello.program.kernel.nodes import Graph, Node
from cello.program.kernel.shapes import axis, features, last
from cello.program.operations import argument, axes

__all__ = ["REDUCTIONS"]

Pieces = tuple[Node, ...]
Made = dict[int, list[Pieces]]  # for each result that there is, its vectors
Reduce = Callable[[Graph, Sequence[Node]], Node]


def _sum(g: Graph, nodes: Sequence[Node]) -> Node:
    return functools.reduce(lambda a, b: g.call("add", a, b), nodes)


def _extreme(kind: str) -> Reduce:
    """The greatest or least of nodes, feature by feature."""

    def reduce(g: Graph, nodes: Sequence[Node]) -> Node:
        best = g.call("stop", _chain(g, kind, nodes))
        ties = [g.call("where", g.call("eq", node, best), 1.0, 0.0) for node in nodes]
        return _shared_out(g, best, nodes, ties)

    return reduce


def _chain(g: Graph, kind: str, nodes: Sequence[Node]) -> Node:
    return functools.reduce(lambda a, b: g.call(kind, a, b), nodes)


def _shared_out(g: Graph, best: Node, nodes: Sequence[Node], ties: list[Node]) -> Node:
    """`best`, whose gradient goes evenly to all that are it: so many as `ties` for each node."""
    total, result = _sum(g, ties), best
    for node, some in zip(nodes, ties, strict=True):
        part = g.call("where", g.call("eq", node, best), g.call("div", some, total), 0.0)
        result = g.call("share", result, node, part)
    return result


_FOLDS: dict[str, tuple[str, Reduce]] = {
    "sum": ("sum", _sum),
    "mean": ("sum", _sum),
    "amax": ("max", _extreme("max")),
    "amin": ("min", _extreme("min")),
}


def fold_pieces(g: Graph, kind: str, pieces: Pieces) -> Node:
    """One number of all features of a vector: their sum, greatest or least."""
    parts = [g.fold(kind, piece) for piece in pieces]
    if kind == "sum":
        return _sum(g, parts)
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
    value, (folded, combine) = op.args[0], _FOLDS[kind]
    along = {axis(number, value) - 1 for number in axes(op)}
    sizes = features(value)
    over_last = len(sizes) - 1 in along
    groups: dict[tuple[int, ...], list[Pieces]] = {}  # vectors that become one
    places = itertools.product(*map(range, sizes[:-1]))
    for place, vector in zip(places, low.values[value], strict=True):
        kept = tuple(index for number, index in enumerate(place) if number not in along)
        groups.setdefault(kept, []).append(vector)
    made: list[Pieces] = []
    for vectors in groups.values():
        if over_last:
            whole = tuple(node for vector in vectors for node in vector)
            made.append((fold_pieces(low.graph, folded, whole),))
        else:
            combined = zip(*vectors, strict=True)
            made.append(tuple(combine(low.graph, list(nodes)) for nodes in combined))
    if kind == "mean":
        count = math.prod(sizes[number] for number in along)
        made = [tuple(low.graph.call("mul", n, 1 / count) for n in vector) for vector in made]
    return {0: _as_shaped(low, op.outputs[0], made)}


def _along_last(low: Lowering, op: Op) -> list[Pieces]:
    """The vectors of what is given, along which the operation must work."""
    value = op.args[0]
    if [axis(number, value) for number in axes(op)] != [len(value.shape) - 1]:
        low.refuse(op, f"{op.function} over another axis than the last")
    return low.values[value]


def _as_shaped(low: Lowering, out: Value, vectors: Sequence[Pieces]) -> list[Pieces]:
    """One number for each vector may be a vector of numbers, when the axis is dropped."""
    return low.assemble(
        out, [(n, i) for vector in vectors for n in vector for i in range(n.length)]
    )


def _chosen(kind: str, low: Lowering, op: Op) -> Made:
    """`max(dim)`: as PyTorch, the gradient goes to one of the greatest, here the first."""
    value, g = op.args[0], low.graph
    starts = [float(start) for start, _ in low.pieces(value)]
    made = []
    for vector in _along_last(low, op):
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
    return {0: _as_shaped(low, op.outputs[0], made)}


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
    correction = op.kwargs.get("correction", 1)
    less = last(value) - (1 if correction is None else correction)
    made, means = [], []
    for vector in _along_last(low, op):
        apart, mean = _deviations(low, vector, last(value))
        variance = g.call("div", _squares(g, apart), float(max(less, 0)))
        made.append((g.call("sqrt", variance) if root else variance,))
        means.append((mean,))
    found = zip(op.outputs, (made, means), strict=False)
    return {number: _as_shaped(low, out, f) for number, (out, f) in enumerate(found)}


def _layer_norm(low: Lowering, op: Op) -> Made:
    value, sizes, weight, bias, eps = op.args
    out, g = op.outputs[0], low.graph
    if len(sizes) != 1:
        low.refuse(op, f"{op.function} over several axes")
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


def _shifted(low: Lowering, vector: Pieces) -> tuple[Pieces, Node]:
    """A vector minus its maximum, which keeps exponentials from overflowing; the maximum."""
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
    g, made = low.graph, []
    for vector in _along_last(low, op):
        shifted, most = _shifted(low, vector)
        made.append((g.call("add", g.call("log", _total(g, shifted)), most),))
    return {0: _as_shaped(low, op.outputs[0], made)}


def _norm(low: Lowering, op: Op) -> Made:
    g, made, order = low.graph, [], argument(op, 1, "ord", 2)
    if order not in (1, 2):
        low.refuse(op, f"{op.function} other than of order 1 or 2")
    for vector in _along_last(low, op):
        if order == 1:
            made.append((fold_pieces(g, "sum", tuple(g.call("abs", node) for node in vector)),))
            continue
        total = _squares(g, vector)
        is_zero = g.call("eq", total, 0.0)  # where the root has no slope, the gradient is 0
        root = g.call("sqrt", g.call("where", is_zero, 1.0, total))
        made.append((g.call("where", is_zero, 0.0, root),))
    return {0: _as_shaped(low, op.outputs[0], made)}


#: By the rule that the entry of an operation names.
REDUCTIONS: dict[str, Callable[[Lowering, Op], Made]] = {
    **{kind: functools.partial(_spread, kind) for kind in _FOLDS},
    **{kind: functools.partial(_chosen, kind) for kind in ("max", "min")},
    "variance": functools.partial(_variance, False),
    "deviation": functools.partial(_variance, True),
    "layer_norm": _layer_norm,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "norm": _norm,
}
