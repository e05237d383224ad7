"""What becomes of each kind of operation: rules that make vectors of it.

`pointwise` has the formulas of activations, `reductions` what makes one number of many; here is
what multiplies, cuts, joins and copies.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

import torch

from cello.program.graph import Op, Value, map_leaves
from cello.program.kernel.builder import Lowering
from cello.program.kernel.nodes import Node
from cello.program.kernel.reductions import REDUCTIONS
from cello.program.movement import REARRANGES, Origin, row_origins
from cello.program.operations import facts, is_random
from cello.program.operations.activations import trunc
from cello.program.operations.operation import Make

__all__ = ["RULES", "Rule", "rule_of"]

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


def _sources(origins: list[Origin]) -> list[Value]:
    return list(dict.fromkeys(origin[0] for origin in origins if isinstance(origin, tuple)))


def _move(low: Lowering, op: Op) -> None:
    """An operation that moves features, by the origin of each."""
    origins = row_origins(op)
    if origins is None:  # the numbers in the input say where from
        low.refuse(op, f"a fused loop has no {op.function} of so many")
    if op in low.closing:
        low.put(op.outputs[0], [low.result.nodes(op.args[0])], op.grad)
        return
    given = {value: low.features(value) for found in origins for value in _sources(found)}
    for out, found in zip(op.outputs, origins, strict=True):
        features = [
            given[origin[0]][origin[1]]
            if isinstance(origin, tuple)
            else (low.graph.constant(origin), 0)
            for origin in found
        ]
        low.put(out, low.assemble(out, features), op.grad)


def _copy(low: Lowering, op: Op) -> None:
    source, out = op.args[0], op.outputs[0]
    vectors = low.values[source]
    if source.dtype != out.dtype and source.dtype != torch.bool:
        convert = {torch.bool: _is_true, torch.int64: _whole}.get(out.dtype)
        if convert is not None:
            vectors = [tuple(convert(low.graph.call, node) for node in v) for v in vectors]
    low.put(out, vectors, op.grad and facts(op).grad)


def _is_true(call: Make, x: Node) -> Node:
    return cast(Node, call("ne", x, 0.0))


def _whole(call: Make, x: Node) -> Node:
    """As int64, which has one number for all that it cannot hold."""
    limit = 2.0**63
    return cast(Node, call("where", call("lt", call("abs", x), limit), trunc(call, x), -limit))


def _creation(low: Lowering, op: Op) -> None:
    is_full = op.target._opname == "full"  # in an empty one, any number may stand
    low.pointwise(op, lambda node: node, [op.args[1] if is_full else facts(op).fill or 0])


def _pointwise(low: Lowering, op: Op) -> None:
    formula, given = facts(op).formula, list(dict.fromkeys(op.inputs))
    assert formula is not None
    parameters = inspect.signature(formula).parameters
    if any(isinstance(leaf, complex) for leaf in (*op.args, *op.kwargs.values())):
        low.refuse(op, f"{op.function} of a complex number")

    def make(*nodes: Node) -> Node:
        known = dict(zip(given, nodes, strict=True))
        args, kwargs = map_leaves(lambda leaf: known.get(leaf, leaf), (op.args, op.kwargs))
        if "dtype" in parameters:
            kwargs["dtype"] = op.outputs[0].dtype
        made: Node = formula(low.graph.call, *args, **kwargs)
        return made

    low.pointwise(op, make, given)


def _reduction(function: Callable[[Lowering, Op], dict[int, Any]]) -> Rule:
    def rule(low: Lowering, op: Op) -> None:
        for number, vectors in function(low, op).items():
            low.put(op.outputs[number], vectors, op.grad)

    return rule


#: By the rule of an operation, or by its kind if its entry names no rule.
RULES: dict[str, Rule] = {
    **dict.fromkeys(REARRANGES, _move),
    "copy": _copy,
    "pointwise": _pointwise,
    "creation": _creation,
    "product": _product,
    "product and sum": _product_and_sum,
    **{name: _reduction(function) for name, function in REDUCTIONS.items()},
}


def rule_of(op: Op) -> Rule | None:
    """How a fused loop computes the operation; None if it does not know how."""
    entry = facts(op)
    if is_random(op) or (entry.kind == "pointwise" and entry.formula is None):
        return None
    return RULES.get(entry.rule or entry.kind)
