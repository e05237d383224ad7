"""What becomes of each operation of PyTorch: rules that make vectors of it.

`pointwise` has the formulas of activations, `reductions` what makes one number of many; here is
what multiplies, cuts, joins and copies.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from cello.program.graph import Op, Value, map_leaves
from cello.program.kernel.builder import Lowering
from cello.program.kernel.nodes import Node
from cello.program.kernel.reductions import REDUCTIONS, chosen
from cello.program.kernel.shapes import axis, last, parts_of
from cello.program.operations import OPERATIONS, argument, axes, facts

__all__ = ["RULES"]

Rule = Callable[[Lowering, Op], None]


def _product(low: Lowering, op: Op) -> None:
    """`a @ m`, and `a @ m` with a vector for m."""
    _multiply(low, op, op.args[0], op.args[1], added=None)


def _product_and_sum(low: Lowering, op: Op) -> None:
    """`beta · b + alpha · a @ m`."""
    _multiply(low, op, op.args[1], op.args[2], added=op.args[0])


def _multiply(low: Lowering, op: Op, rows: Value, factor: Value, added: Value | None) -> None:
    beta, alpha = (float(op.kwargs.get(name, 1)) for name in ("beta", "alpha"))
    matrix, transposed = low.matrix(factor)
    out, graph = op.outputs[0], low.graph
    sources = zip(low.result.nodes(rows), low.pieces(rows), strict=True)
    pieces = [(node, k0) for node, (k0, _) in sources]
    made = []
    for number, (n0, length) in enumerate(low.pieces(out)):
        dots = [
            graph.call("mul", graph.dot(node, matrix, transposed, k0, n0, length, use=op), alpha)
            for node, k0 in pieces
        ]
        if added is not None:
            dots.insert(0, graph.call("mul", low.operand(added, out, 0, number), beta))
        made.append(functools.reduce(functools.partial(graph.call, "add"), dots))
    low.put(out, [tuple(made)], op.grad)


def _cut(low: Lowering, op: Op) -> None:
    """Chunk, split, slice, select: along the last axis the pieces are there already."""
    parts = parts_of(op)
    if parts is None:
        return _cut_vectors(low, op)
    whole = parts[0].whole
    starts = [start for start, _ in low.pieces(whole)]
    for part in parts:
        first = starts.index(part.start) if last(part.value) else 0
        count = len(low.pieces(part.value)) if last(part.value) else 0
        vectors = [vector[first : first + count] for vector in low.values[whole]]
        low.put(part.value, vectors, op.grad)
    return None


def _cut_vectors(low: Lowering, op: Op) -> None:
    """Along another axis whole vectors are taken: unbind, select, split, slice."""
    value, name = op.args[0], op.target._opname
    along = axis(axes(op)[0], value)
    if along == 0:
        low.refuse(op, f"{op.target} along the rows")
    if along == len(value.shape) - 1:
        low.refuse(op, f"{op.target} takes single features apart")
    groups = low.gather(value, along)
    if facts(op).kind == "pick":
        index = range(value.shape[along]) if name == "unbind" else [argument(op, 2, "index")]
        for out, i in zip(op.outputs, index, strict=True):
            low.put(out, [group[i] for group in groups], op.grad)
        return
    if name == "slice":
        start, stop, step = (argument(op, p, n) for p, n in ((2, "start"), (3, "end"), (4, "step")))
        kept = [range(value.shape[along])[slice(start, stop, step)]]
    else:
        sizes, kept, at = [out.shape[along] for out in op.outputs], [], 0
        for size in sizes:
            kept.append(range(at, at + size))
            at += size
    if len(groups) != 1:
        low.refuse(op, f"{op.target} along a middle axis")
    for out, places in zip(op.outputs, kept, strict=True):
        low.put(out, [groups[0][i] for i in places], op.grad)
    return


def _cat(low: Lowering, op: Op) -> None:
    values, out = list(op.args[0]), op.outputs[0]
    if not all(value.batched for value in values):
        low.refuse(op, f"{op.target} of a tensor without rows")
    if parts_of(op) is not None:
        rows = zip(*(low.values[v] for v in values if last(v)), strict=True)
        low.put(out, [tuple(n for vector in row for n in vector) for row in rows], op.grad)
        return
    if axis(axes(op)[0], out) != 1:
        low.refuse(op, f"{op.target} along a middle axis")
    low.put(out, [vector for v in values for vector in low.values[v]], op.grad)


def _stack(low: Lowering, op: Op) -> None:
    values, out = list(op.args[0]), op.outputs[0]
    if parts_of(op) is not None:  # of single numbers
        return _cat(low, op)
    if not all(value.batched for value in values) or axis(axes(op)[0], out) != 1:
        low.refuse(op, f"{op.target} along another axis than the first of a row")
    return low.put(out, [vector for v in values for vector in low.values[v]], op.grad)


def _reshape(low: Lowering, op: Op) -> None:
    """The same features in the same order, in vectors of another length."""
    source, out = op.args[0], op.outputs[0]
    if op in low.closing:
        low.put(out, [low.result.nodes(source)], op.grad)
        return
    changed = op.target._opname not in ("squeeze", "unsqueeze") or last(source) != last(out)
    if len(low.values[source]) == 1 and not changed:
        low.put(out, low.values[source], op.grad)
        return
    nodes, vectors = list(low.result.nodes(source)), []
    lengths = [length for _, length in low.pieces(out)]
    while nodes:
        vectors.append(tuple(nodes[: len(lengths)]))
        nodes = nodes[len(lengths) :]
    if any([node.length for node in vector] != lengths for vector in vectors):
        low.refuse(op, f"{op.target} from {source} to {out}")
    low.put(out, vectors, op.grad)


def _expand(low: Lowering, op: Op) -> None:
    low.pointwise(op, lambda node: node, [op.args[0]])


def _copy(low: Lowering, op: Op) -> None:
    source, out = op.args[0], op.outputs[0]
    vectors = low.values[source]
    if out.dtype == torch.bool and source.dtype != torch.bool:
        vectors = [tuple(low.graph.call("ne", n, 0.0) for n in vector) for vector in vectors]
    low.put(out, vectors, op.grad and op.target._opname != "detach")


def _creation(low: Lowering, op: Op) -> None:
    fill = facts(op).fill
    low.pointwise(op, lambda node: node, [op.args[1] if fill is None else fill])


def _pointwise(low: Lowering, op: Op) -> None:
    formula, given = facts(op).formula, list(dict.fromkeys(op.inputs))
    assert formula is not None

    def make(*nodes: Node) -> Node:
        known = dict(zip(given, nodes, strict=True))
        args, kwargs = map_leaves(lambda leaf: known.get(leaf, leaf), (op.args, op.kwargs))
        made: Node = formula(low.graph.call, *args, **kwargs)
        return made

    low.pointwise(op, make, given)


def _reduction(function: Callable[[Lowering, Op], dict[int, Any]]) -> Rule:
    def rule(low: Lowering, op: Op) -> None:
        for number, vectors in function(low, op).items():
            low.put(op.outputs[number], vectors, op.grad)

    return rule


_KINDS: dict[str, Rule] = {
    "product": _product, "cut": _cut, "pick": _cut, "join": _cat, "reshape": _reshape,
    "squeeze": _reshape, "expand": _expand, "copy": _copy,
}  # fmt: skip

RULES: dict[str, Rule] = {
    **{name: _KINDS[entry.kind] for name, entry in OPERATIONS.items() if entry.kind in _KINDS},
    **{name: _pointwise for name, entry in OPERATIONS.items() if entry.formula},
    **dict.fromkeys(("zeros", "ones", "full"), _creation),
    "addmm": _product_and_sum,
    "stack": _stack,
    **{name: _reduction(function) for name, function in REDUCTIONS.items()},
    **{kind: _reduction(functools.partial(chosen, kind)) for kind in ("max", "min")},
}
