"""The backward step: the cotangents of everything, from those of the results.

For each product with a matrix it leaves the sequence of cotangents, from which one large product
over all steps makes the gradient of the matrix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from cello.program.graph import Op, Value
from cello.program.kernel.builder import Lowered
from cello.program.kernel.nodes import (
    Apply,
    Dot,
    Feature,
    Fold,
    Gather,
    Graph,
    Load,
    Node,
    Shared,
    Slice,
    ancestors,
)
from cello.program.kernel.primitives import PRIMITIVES
from cello.program.kernel.shapes import last

__all__ = ["Adjoint", "Use", "adjoint"]


@dataclass(eq=False)
class Use:
    """One multiplication with a matrix, as its gradient needs it.

    Attributes:
        matrix: which one.
        transposed: whether it was the transpose that was multiplied with.
        inputs: vectors that were multiplied, each with the row of the matrix that it begins at.
        cotangents: of the results, each with its column.
    """

    matrix: Value
    transposed: bool
    inputs: dict[int, Node] = field(default_factory=dict)
    cotangents: dict[int, Node] = field(default_factory=dict)


@dataclass(eq=False)
class Adjoint:
    """Cotangents of what a step reads.

    Attributes:
        states: of each state before the step, in pieces, each with its first feature.
        x: of the input, likewise.
        shared: of tensors without rows, in the pieces that are read.
        uses: what the gradients of matrices need.
    """

    states: dict[str, dict[int, Node]]
    x: dict[int, Node]
    shared: list[tuple[Shared, Node]]
    uses: list[Use]

    def ends(self) -> list[Node]:
        """All nodes that it needs."""
        found = [node for pieces in (*self.states.values(), self.x) for node in pieces.values()]
        found += [node for _, node in self.shared]
        for use in self.uses:
            found += [*use.inputs.values(), *use.cotangents.values()]
        return found


def adjoint(lowered: Lowered, seen: Iterable[str] = ()) -> Adjoint:
    """Derive the backward step.

    Args:
        lowered: the step.
        seen: recorded names to which gradients come from outside.
    """
    graph, program = lowered.graph, lowered.program
    cotangents: dict[Node, list[Node]] = {}
    moved: dict[Node, list[tuple[int, Feature]]] = {}  # features of cotangents, by where they go

    def seed(value: Value, kind: str, name: str) -> None:
        array, start = lowered.array(kind, name, value), 0
        for node in lowered.nodes(value):
            cotangents.setdefault(node, []).append(graph.load(array, start, node.length))
            start += node.length

    seed(program.output, "grad", "y")
    for name, value in program.next_state.items():
        seed(value, "carry", name)
    for name in seen:
        seed(program.names[name], "grad", f"of_{name}")

    result = Adjoint({name: {} for name in program.state}, {}, [], [])
    uses: dict[Op | None, Use] = {}
    for node in reversed(ancestors(cotangents)):
        if node not in cotangents and node not in moved:
            continue
        total = _total(
            graph, [*cotangents.get(node, []), *_returned(graph, node, moved.get(node, []))]
        )
        if isinstance(node, (Slice, Gather)):
            total = _wide(graph, total, node.length)
            for i, (arg, place) in enumerate(_features(node)):
                moved.setdefault(arg, []).append((place, (total, i)))
        elif isinstance(node, Apply):
            _through_call(graph, node, total, cotangents)
        elif isinstance(node, Fold):
            _through_fold(graph, node, total, cotangents)
        elif isinstance(node, Dot):
            total = _wide(graph, total, node.length)
            back = (node.matrix, not node.transposed, node.n0, node.k0, node.arg.length)
            cotangents.setdefault(node.arg, []).append(graph.dot(total, *back))
            use = uses.setdefault(node.use, Use(node.matrix, node.transposed))
            use.inputs[node.k0] = node.arg
            use.cotangents[node.n0] = total
        elif isinstance(node, Shared):
            result.shared.append((node, _wide(graph, total, node.length)))
        elif isinstance(node, Load) and node.array.kind == "prev":
            result.states[node.array.name][node.start] = _wide(graph, total, node.length)
        elif isinstance(node, Load) and node.array.kind == "x":
            result.x[node.start] = _wide(graph, total, node.length)
    result.uses = list(uses.values())
    _fill(graph, lowered, result)
    return result


def _fill(graph: Graph, lowered: Lowered, result: Adjoint) -> None:
    """Zeros for the pieces that nothing depends on."""
    program = lowered.program
    wholes = [(program.x, result.x)]
    wholes += [(value, result.states[name]) for name, value in program.state.items()]
    for value, pieces in wholes:
        for node in lowered.nodes(value):
            assert isinstance(node, Load)
            pieces.setdefault(node.start, _wide(graph, graph.constant(0.0), node.length))
        assert sum(node.length for node in pieces.values()) == last(value)


def _total(graph: Graph, parts: list[Node]) -> Node:
    total = parts[0]
    for part in parts[1:]:
        total = graph.call("add", total, part)
    return total


def _features(node: Slice | Gather) -> list[Feature]:
    """Which feature of an input each feature is."""
    if isinstance(node, Slice):
        return [(node.arg, node.start + i) for i in range(node.length)]
    return [(node.args[number], i) for number, i in node.places]


def _returned(graph: Graph, node: Node, moved: list[tuple[int, Feature]]) -> list[Node]:
    """The cotangents of a vector whose features were moved: one for each time one was read."""
    found: list[dict[int, Feature]] = []
    seen: Counter[int] = Counter()
    for place, feature in moved:
        if seen[place] == len(found):
            found.append({})
        found[seen[place]][place] = feature
        seen[place] += 1
    zero = graph.constant(0.0)
    return [
        graph.gather([layer.get(place, (zero, 0)) for place in range(node.length)])
        for layer in found
    ]


def _wide(graph: Graph, node: Node, length: int) -> Node:
    return node if node.length == length else graph.call("copy", node, length=length)


def _through_call(
    graph: Graph, node: Apply, total: Node, cotangents: dict[Node, list[Node]]
) -> None:
    derivative = PRIMITIVES[node.function].derivative
    if derivative is None:
        return
    for arg, part in zip(node.args, derivative(graph, node.args, node, total), strict=True):
        if part is None or not _depends(arg):
            continue
        if arg.length == 1 and node.length > 1:
            part = graph.fold("sum", part, node.length)
        cotangents.setdefault(arg, []).append(part)


def _through_fold(
    graph: Graph, node: Fold, total: Node, cotangents: dict[Node, list[Node]]
) -> None:
    if node.kind != "sum":  # evenly among those that are the greatest
        hits = graph.call("eq", node.arg, node)
        count = graph.fold("sum", graph.call("where", hits, 1.0, 0.0))
        total = graph.call("where", hits, graph.call("div", total, count), 0.0)
    cotangents.setdefault(node.arg, []).append(total)


def _depends(node: Node) -> bool:
    """Whether a gradient can reach anything through the node: not through a constant."""
    return bool(node.inputs) or isinstance(node, (Load, Shared))
