"""When each node of a loop is computed, and together with which.

A step's nodes run in three phases: those that need no state run for many steps at once *before*,
those that feed no state *after*; only the rest runs step by step. Within a phase, nodes of the
same length that need nothing whole of each other form a `Region`: it goes once over the features
and keeps what it makes in registers. What is computed only to be recorded comes *after*, in regions
of its own: how many products share a register tile tells how each is summed, and what is recorded
must not change a bit of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from cello.program.kernel.kernel import Kernel, Store
from cello.program.kernel.nodes import (
    Apply,
    Array,
    Dot,
    Fold,
    Gather,
    Graph,
    Load,
    Node,
    Slice,
    TermSum,
    ancestors,
    whole_of,
)
from cello.program.kernel.sums import rebuild

__all__ = ["PHASES", "Region", "Schedule", "schedule"]

PHASES = ("before", "loop", "after")

_Place = tuple[str, int, int, bool]  # phase, level, length; whether it is only recorded


@dataclass(eq=False)
class Region:
    """One pass over features.

    Attributes:
        phase: one of `PHASES`.
        level: regions of a phase run level by level.
        length: how many features.
        nodes: what it computes, in order.
        stores: what it leaves in arrays.
    """

    phase: str
    level: int
    length: int
    nodes: list[Node] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    @property
    def folds(self) -> list[Fold]:
        """What it makes one number of all features."""
        return [node for node in self.nodes if isinstance(node, Fold)]

    @property
    def sums(self) -> list[TermSum]:
        """Its sums with products."""
        sums = [node for node in self.nodes if isinstance(node, TermSum)]
        return [node for node in sums if any(isinstance(term, Dot) for term in node.terms)]


@dataclass(eq=False)
class Schedule:
    """The regions of a loop, in the order in which they run.

    Attributes:
        kernel: what it is the schedule of.
        regions: in order.
        home: the region that computes each node.
        outside: nodes that another region reads than that which computes them.
        next_states: where the next step finds each state: array and column.
    """

    kernel: Kernel
    regions: list[Region]
    home: dict[Node, Region]
    outside: list[Node]
    next_states: dict[str, tuple[Array, int]]

    @property
    def by_unit(self) -> bool:
        """Whether each unit goes through time by itself.

        Then no feature needs more than what is given and the same feature of what else is
        computed, at this step and at the one before, and threads that share the units of a row
        wait for nobody.
        """
        sizes = {region.length for region in self.regions}.union(self.kernel.states.values())
        if len(sizes) != 1 or not self.kernel.states:
            return False
        for region in self.regions:
            stored = [store.node for store in region.stores]
            whole = {arg for node in region.nodes for arg in _read_from_memory(node)}
            whole.update(whole_of(node) for node in stored if isinstance(node, Slice))
            read = [arg for node in region.nodes for arg in node.inputs]
            chained = {arg for arg in (*read, *stored, *whole) if self._is_chained(arg)}
            if region.folds or any(arg.length not in sizes for arg in chained):
                return False
            if any(arg in chained or arg in self.home for arg in whole):
                return False
        return True

    def _is_chained(self, node: Node) -> bool:
        return isinstance(node, Load) and node.array.kind == self.kernel.chain

    def of(self, phase: str) -> list[Region]:
        """The regions of a phase."""
        return [region for region in self.regions if region.phase == phase]


def schedule(graph: Graph, kernel: Kernel) -> Schedule:
    """Put every node of `kernel` into a region."""
    _part_sums(graph, kernel)
    next_states = {name: _whole_state(kernel, name) for name in kernel.states}
    nodes = kernel.nodes
    extra = _only_recorded(kernel, nodes)
    phases = _phases(kernel, nodes, extra)
    places: dict[Node, _Place] = {}
    for node in nodes:
        if _is_computed(node):
            level = _level(node, places, phases[node])
            places[node] = (phases[node], level, _width(node), node in extra)
    regions: dict[_Place, Region] = {}

    def region(place: _Place) -> Region:
        return regions.setdefault(place, Region(*place[:3]))

    home: dict[Node, Region] = {}
    for node, place in places.items():
        region(place).nodes.append(node)
        home[node] = region(place)
    for store in kernel.stores:
        whole = whole_of(store.node)
        if store.node in home and not isinstance(store.node, Fold):
            home[store.node].stores.append(store)
        else:
            level = home[whole].level + 1 if whole in home else 0
            phase = phases[whole]
            region((phase, level, store.node.length, whole in extra)).stores.append(store)
    order = [regions[p] for p in sorted(regions, key=lambda p: (PHASES.index(p[0]), *p[1:]))]
    return Schedule(kernel, order, home, _read_outside(order, home), next_states)


def _is_computed(node: Node) -> bool:
    return bool(node.inputs) and not isinstance(node, (Dot, Slice))


def _read_from_memory(node: Node) -> list[Node]:
    """The vectors of which a node reads other features than the one that it computes."""
    found = list(node.inputs) if isinstance(node, Gather) else []
    for arg in node.inputs:
        if isinstance(arg, Dot):
            found.append(arg.arg)
        elif isinstance(arg, (Slice, Fold)):
            found.append(arg)
    return [whole_of(arg) for arg in found]


def _width(node: Node) -> int:
    """The features that a region goes over to compute the node."""
    return node.arg.length if isinstance(node, Fold) else node.length


def _from_chain(kernel: Kernel, nodes: Iterable[Node]) -> set[Node]:
    """Those that need what the step before has left."""
    found: set[Node] = set()
    for node in nodes:
        chained = isinstance(node, Load) and node.array.kind == kernel.chain
        if chained or found.intersection(node.inputs):
            found.add(node)
    return found


def _only_recorded(kernel: Kernel, nodes: list[Node]) -> set[Node]:
    """Those of a forward loop that neither the output nor the new states need."""
    if kernel.name != "forward":
        return set()
    carried = [node for nodes in kernel.carried.values() for node in nodes]
    outputs = [store.node for store in kernel.stores if store.array.kind == "y"]
    return set(nodes).difference(ancestors([*carried, *outputs]))


def _phases(kernel: Kernel, nodes: list[Node], extra: set[Node]) -> dict[Node, str]:
    chained = _from_chain(kernel, nodes)
    needed = {node for carried in kernel.carried.values() for node in carried}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.inputs)
    loop, late = needed & chained, chained | extra
    found = {
        node: "loop" if node in loop else "after" if node in late else "before" for node in nodes
    }
    _sink(nodes, found)
    return found


def _sink(nodes: list[Node], phases: dict[Node, str]) -> None:
    """Move nodes made of arrays alone to where they are read: memory costs more than computing."""
    light: set[Node] = set()
    for node in nodes:
        if isinstance(node, Apply) and all(a in light or not a.inputs for a in node.inputs):
            light.add(node)
    readers: dict[Node, set[str]] = {}
    for node in reversed(nodes):
        readers_of = readers.get(node, set())
        if phases[node] == "before" and node in light and readers_of:
            phases[node] = min(readers_of, key=PHASES.index)
        for arg in node.inputs:
            readers.setdefault(arg, set()).add(phases[node])


def _part_sums(graph: Graph, kernel: Kernel) -> None:
    """Take the products that need no state out of the sums of the loop: they run before it."""
    nodes = kernel.nodes
    chained = _from_chain(kernel, nodes)
    new: dict[Node, Node] = {}
    for node in nodes:
        if isinstance(node, TermSum) and node in chained:
            early = [term for term in node.terms if term not in chained]
            if any(isinstance(term, Dot) for term in early):
                late = [new[term] for term in node.terms if term in chained]
                first = graph.sum([new[term] for term in early])
                first.name = f"early_{node.name}" if node.name else ""
                new[node] = graph.sum([first, *late])
                new[node].name = node.name
                continue
        new[node] = rebuild(graph, node, new.__getitem__)
        new[node].name = new[node].name or node.name
    kernel.carried = {name: [new[n] for n in nodes] for name, nodes in kernel.carried.items()}
    kernel.stores = [Store(s.array, s.start, new[s.node], s.per_sequence) for s in kernel.stores]


def _level(node: Node, places: dict[Node, _Place], phase: str) -> int:
    """How many passes must end before that of a node: one more than for what it reads whole."""
    level, whole = 0, _read_from_memory(node)
    for arg in (*node.inputs, *whole):
        if arg not in places or places[arg][0] != phase:
            continue
        apart = arg in whole or _width(arg) != _width(node)
        level = max(level, places[arg][1] + apart)
    return level


def _whole_state(kernel: Kernel, name: str) -> tuple[Array, int]:
    """An array that holds all of a new state, in order; one is made unless there is one."""
    nodes = kernel.carried[name]
    stored = {(s.node, s.array, s.start) for s in kernel.stores if not s.per_sequence}
    for first in kernel.stores:
        if first.node is nodes[0] and not first.per_sequence:
            ends = accumulate((node.length for node in nodes), initial=first.start)
            if all((n, first.array, at) in stored for n, at in zip(nodes, ends, strict=False)):
                return first.array, first.start
    array, start = Array("next", name, kernel.states[name]), 0
    for node in nodes:
        kernel.stores.append(Store(array, start, node))
        start += node.length
    return array, 0


def _read_outside(regions: list[Region], home: dict[Node, Region]) -> list[Node]:
    """What must stand in memory: a fold, what is read whole, what another region reads."""
    found: dict[Node, None] = {}
    for region in regions:
        for node in region.nodes:
            found.update(dict.fromkeys(_read_from_memory(node)))
            found.update((arg, None) for arg in node.inputs if home.get(arg) is not region)
        for store in region.stores:
            if home.get(store.node) is not region:
                found[whole_of(store.node)] = None
    return [node for node in found if node in home]
