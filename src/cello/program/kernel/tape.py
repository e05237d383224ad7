"""What the forward loop leaves for the backward loop, and what that computes again."""

from __future__ import annotations

from dataclasses import dataclass, field

from cello.program.kernel.adjoint import Adjoint
from cello.program.kernel.builder import Lowered
from cello.program.kernel.nodes import (
    Apply,
    Array,
    Constant,
    Gather,
    Graph,
    Load,
    Node,
    Shared,
    Slice,
    ancestors,
)
from cello.program.kernel.primitives import PRIMITIVES
from cello.program.kernel.sums import rebuild

__all__ = ["Tape", "make_tape"]


@dataclass(eq=False)
class Tape:
    """Values of each row of each step.

    Attributes:
        stores: the nodes kept, each with its first column, in one array; a node that is part of
            several states may be there several times.
        columns: where each node is read.
        width: columns in all.
        states: the array and column at which the new value of each state is kept.
        read: how the backward step reads a node of the forward step that is kept.
    """

    stores: list[tuple[Node, int]] = field(default_factory=list)
    columns: dict[Node, int] = field(default_factory=dict)
    width: int = 0
    states: dict[str, tuple[str, int]] = field(default_factory=dict)
    read: dict[Node, Node] = field(default_factory=dict)

    @property
    def array(self) -> Array:
        """The array that holds it."""
        return Array("tape", "", self.width)

    def backward(self, graph: Graph, node: Node, done: dict[Node, Node]) -> Node:
        """A node of the backward step, reading the tape in place of what was kept."""
        for part in ancestors([node]):
            if part not in done:
                done[part] = self.read.get(part) or rebuild(graph, part, done.__getitem__)
        return done[node]


def make_tape(lowered: Lowered, back: Adjoint) -> Tape:
    """Decide what to keep.

    The new states are kept: what a step began with is what the step before has left. Of the rest
    that the backward step reads, what is cheap to make from values at hand is made again, and so
    is one function of one such value: tanh of the memory. Everything else is kept.
    """
    program, graph = lowered.program, lowered.graph
    forward = set(ancestors(n for value in lowered.values for n in lowered.nodes(value)))
    tape = Tape()
    output = lowered.nodes(program.output)

    def keep(node: Node) -> None:
        tape.stores.append((node, tape.width))
        tape.columns.setdefault(node, tape.width)
        tape.width += node.length

    placed = {output: ("y", 0)}  # equal states are kept once
    for name, value in program.next_state.items():
        nodes = lowered.nodes(value)
        if nodes not in placed:
            placed[nodes] = ("tape", tape.width)
            for node in nodes:
                keep(node)
        tape.states[name] = placed[nodes]

    def at_hand(node: Node) -> bool:
        leaf = isinstance(node, (Load, Shared, Constant))
        return leaf or node in tape.columns or node in output

    again: set[Node] = set()
    todo = [node for node in ancestors(back.ends()) if node in forward]
    wanted = _read_directly(back, forward)
    for node in todo:
        if at_hand(node):
            continue
        moved = isinstance(node, (Slice, Gather))
        cheap = moved or (isinstance(node, Apply) and PRIMITIVES[node.function].cheap)
        ready = all(at_hand(arg) or arg in again for arg in node.inputs)
        if cheap and ready:
            again.add(node)
        elif node in wanted:
            single = isinstance(node, Apply) and len(node.args) == 1
            if not (single and at_hand(node.inputs[0])):
                keep(node)

    columns, array = 0, lowered.array("y", "", program.output)
    for node in output:
        tape.read[node] = graph.load(array, columns, node.length)
        columns += node.length
    array = tape.array
    tape.read.update(
        (node, graph.load(array, start, node.length)) for node, start in tape.columns.items()
    )
    return tape


def _read_directly(back: Adjoint, forward: set[Node]) -> set[Node]:
    """The nodes of the forward step that nodes of the backward step read."""
    found = {node for node in back.ends() if node in forward}
    for node in ancestors(back.ends()):
        if node not in forward:
            found.update(arg for arg in node.inputs if arg in forward)
    return found
