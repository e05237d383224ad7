"""Where everything stands that the Triton functions of a loop read and write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cello.engines.fused.slots import STATE_SLOTS, Slot
from cello.engines.gpu.expressions import identifier
from cello.program.graph import Value
from cello.program.kernel.kernel import Kernel
from cello.program.kernel.nodes import (
    Array,
    Constant,
    Gather,
    Load,
    Node,
    Shared,
    Slice,
    whole_of,
)
from cello.program.kernel.schedule import Region, Schedule

__all__ = ["Addresses", "padded", "pieces_of"]


def padded(length: int) -> int:
    """Features of a block: `tl.dot` takes none narrower than 16."""
    return 1 if length == 1 else max(16, 1 << (length - 1).bit_length())


def pieces_of(kernel: Kernel) -> dict[str, list[tuple[int, Node]]]:
    """What each state becomes: vectors, each with its first feature."""
    found: dict[str, list[tuple[int, Node]]] = {}
    for state, nodes in kernel.carried.items():
        start = 0
        for node in nodes:
            found.setdefault(state, []).append((start, node))
            start += node.length
    return found


@dataclass(eq=False)
class Addresses:
    """Where everything stands.

    A block that one function computes stays in registers. What another reads, and what is read
    otherwise than feature by feature, has a place in memory: in the array that it is stored in,
    or in a row of `own`.

    Attributes:
        plan: what is rendered.
        functions: the regions that each function computes, by its name.
        phase: the function that computes each node.
        pointers: what the functions take, in order, with its name.
        tables: whole numbers that they read: where features are gathered from.
        own: nodes with a place of their own, each with its first number.
        width: numbers in such a row.
    """

    plan: Schedule
    functions: dict[str, list[Region]]
    phase: dict[Node, str] = field(default_factory=dict)
    pointers: dict[Slot, str] = field(default_factory=dict)
    tables: list[int] = field(default_factory=list)
    own: dict[Node, int] = field(default_factory=dict)
    width: int = 0

    def __post_init__(self) -> None:
        kernel = self.plan.kernel
        regions = [(name, region) for name, part in self.functions.items() for region in part]
        self.phase = {node: name for name, region in regions for node in region.nodes}
        self.phase |= {node: self.first for node in kernel.nodes if self.is_chained(node)}
        self.arrays: dict[Node, tuple[Array, int]] = {}
        for name, region in regions:
            for store in region.stores:
                there = not store.per_sequence and store.array.kind != "next"
                if there and self.phase.get(store.node) == name:
                    self.arrays.setdefault(store.node, (store.array, store.start))
        self.lay_out()

    @property
    def first(self) -> str:
        """The function that has the states at hand."""
        return "loop"

    def lay_out(self) -> None:
        """Give what must stand in memory a place."""
        for node, _ in self.read_from_memory():
            if node not in self.arrays and node not in self.own:
                self.own[node] = self.width
                self.width += node.length

    def is_chained(self, node: Node) -> bool:
        """Whether it is what the step before has left."""
        return isinstance(node, Load) and node.array.kind == self.plan.kernel.chain

    def is_given(self, node: Node) -> bool:
        """Whether it stands in memory before anything is computed."""
        if isinstance(node, Load):
            return node.array.kind not in ("prev", "carry")
        return isinstance(node, (Shared, Constant))

    def read_from_memory(self) -> Iterable[tuple[Node, str]]:
        """What must stand in memory, each with a function that reads it there."""
        for name, regions in self.functions.items():
            for region in regions:
                for node in region.nodes:
                    gathers = isinstance(node, Gather)
                    for arg in node.inputs:
                        for part in (arg, *arg.inputs):
                            yield from self.needed(part, name, by_feature=not gathers)
                for store in region.stores:
                    yield from self.needed(store.node, "sums" if store.per_sequence else name)
        for nodes in self.plan.kernel.carried.values():
            for node in nodes:
                yield from self.needed(node, self.last_of(node))

    def last_of(self, node: Node) -> str:
        """The function that makes a new state of the node."""
        del node
        return "loop"

    def needed(
        self, node: Node, phase: str, *, by_feature: bool = True
    ) -> Iterable[tuple[Node, str]]:
        """What must stand in memory for a function to read the node."""
        whole = whole_of(node)
        if self.is_given(whole) or (whole not in self.phase and not isinstance(whole, Load)):
            return
        computed = self.phase.get(whole)
        if whole is not node or not by_feature or computed not in (None, phase):
            yield whole, phase

    @property
    def has_rows(self) -> bool:
        """Whether anything stands in memory of the loop's own."""
        return self.width > 0

    # ------------------------------------------------------------ names and addresses

    def pointer(self, kind: str, of: Array | Value | str) -> str:
        """The name of something that the functions take."""
        slot = Slot(kind, of)
        if slot not in self.pointers:
            plain = of.name if isinstance(of, Value) else str(of)
            word = plain if kind == "array" else f"{kind}_{plain}" if plain else kind
            taken = {name[2:] for name in self.pointers.values()}
            self.pointers[slot] = f"p_{identifier(word, taken)}"
        return self.pointers[slot]

    def take_states(self) -> None:
        """Let the functions take what a loop is given and leaves of states and known outputs."""
        kernel = self.plan.kernel
        for kind in STATE_SLOTS[kernel.name]:
            for state in kernel.states:
                self.pointer(kind, state)
        self.pointer("forced", "")
        if kernel.name == "backward":
            self.pointer("grad_forced", "")

    def address(self, node: Node) -> tuple[str, int]:
        """Where a row of a node stands, and its first feature."""
        if isinstance(node, Slice):
            base, start = self.address(node.arg)
            return base, start + node.start
        if isinstance(node, Shared):
            return f"{self.pointer('vector', node.value)} + seq * 0", node.start
        if isinstance(node, Load) and self.is_given(node):
            return f"{self.pointer('array', node.array)} + row * {node.array.width}", node.start
        if node in self.arrays:
            array, start = self.arrays[node]
            return f"{self.pointer('array', array)} + row * {array.width}", start
        return "p_own + row * OWN", self.own[node]
