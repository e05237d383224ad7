"""Chains of additions → sums of many terms, so that products run into one accumulator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from cello.program.kernel.nodes import (
    Apply,
    Dot,
    Fold,
    Gather,
    Graph,
    Node,
    Slice,
    TermSum,
    ancestors,
)

__all__ = ["gather_sums", "rebuild"]


def gather_sums(graph: Graph, ends: Iterable[Node], keep: Iterable[Node]) -> dict[Node, Node]:
    """What stands for each node that `ends` need when every product is a term of a `TermSum`.

    A partial sum that something else reads too, or that is one of `keep`, stays a sum of its own.
    """
    ends = list(ends)
    nodes = ancestors([*ends, *keep])
    reads = Counter(arg for node in nodes for arg in node.inputs)
    reads.update(dict.fromkeys([*ends, *keep], 2))
    sums: set[Node] = set()  # additions that have a product among their terms
    for node in nodes:
        is_sum = isinstance(node, Apply) and node.function == "add"
        if is_sum and any(isinstance(a, Dot) or a in sums for a in node.inputs):
            sums.add(node)

    def terms(node: Node) -> list[Node]:
        """The terms that a sum has when it takes over those of sums that nobody else reads."""
        found = []
        for arg in node.inputs:
            inside = arg in sums and reads[arg] == 1 and arg.length == node.length
            found += terms(arg) if inside else [arg]
        return found

    made: dict[Node, Node] = {}

    def whole(node: Node) -> Node:
        """A node that may stand anywhere: a product alone is a sum of one term."""
        return graph.sum([made[node]]) if isinstance(node, Dot) else made[node]

    for node in nodes:
        if node in sums:
            parts = terms(node)
            if all(part.length == node.length for part in parts if isinstance(part, Dot)):
                made[node] = graph.sum(
                    [made[p] if isinstance(p, Dot) and reads[p] == 1 else whole(p) for p in parts]
                )
                continue
        made[node] = rebuild(graph, node, whole)
    result = {node: whole(node) for node in nodes}
    for node, new in result.items():
        new.name = new.name or node.name
    return result


def rebuild(graph: Graph, node: Node, of: Callable[[Node], Node]) -> Node:
    """The node with other inputs."""
    if isinstance(node, Apply):
        return graph.call(node.function, *map(of, node.args), length=node.length)
    if isinstance(node, Dot):
        place = (node.matrix, node.transposed, node.k0, node.n0, node.length, node.use)
        return graph.dot(of(node.arg), *place)
    if isinstance(node, Fold):
        return graph.fold(node.kind, of(node.arg))
    if isinstance(node, TermSum):
        return graph.sum([of(term) for term in node.terms])
    if isinstance(node, Slice):
        arg = of(node.arg)
        return graph.gather([(arg, node.start + i) for i in range(node.length)])
    if isinstance(node, Gather):
        args = [of(arg) for arg in node.args]
        return graph.gather([(args[number], i) for number, i in node.places])
    return node
