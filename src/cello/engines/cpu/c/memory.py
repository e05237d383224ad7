"""Where everything stands that a kernel's C code reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from cello.engines.cpu.c.expressions import identifier
from cello.program.graph import Value
from cello.program.kernel.nodes import Array, Fold, Load, Node, Shared, Slice
from cello.program.kernel.schedule import Schedule

__all__ = ["Memory", "Packed", "address"]


@dataclass(frozen=True)
class Packed:
    """A part of a matrix, packed for the products of a group.

    Attributes:
        name: of the packed copy.
        parts: for each sum: (matrix, transposed, first input, first output).
        inputs, outputs: how many.
        width: vectors of one sum in a tile.
    """

    name: str
    parts: tuple[tuple[Value, bool, int, int], ...]
    inputs: int
    outputs: int
    width: int


@dataclass(eq=False)
class Memory:
    """Where everything stands.

    Attributes:
        schedule: what is rendered.
        stored: the array and column of nodes that some array holds.
        scratch: nodes that have a place of their own, for the rows of a few steps.
        arrays: arrays outside, in the order in which they are first used.
        vectors: tensors without rows that are read element by element.
        matrices: tensors without rows that products multiply with.
        packed: parts of matrices in packed form.
        names: of all these in C, no two alike.
        together: vectors of units that threads share out at a time, the same ones in all regions,
            if each unit goes through time by itself; else 0.
    """

    schedule: Schedule
    stored: dict[Node, tuple[Array, int]] = field(default_factory=dict)
    scratch: dict[Node, str] = field(default_factory=dict)
    arrays: dict[Array, None] = field(default_factory=dict)
    vectors: dict[Value, None] = field(default_factory=dict)
    matrices: dict[Value, None] = field(default_factory=dict)
    packed: list[Packed] = field(default_factory=list)
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    together: int = 0

    def __post_init__(self) -> None:
        for region in self.schedule.regions:
            for store in region.stores:
                if not store.per_sequence:
                    self.stored.setdefault(store.node, (store.array, store.start))
        for node in self.schedule.outside:
            if isinstance(node, Fold) or node not in self.stored:
                taken = set(self.scratch.values())
                self.scratch[node] = identifier(node.name or f"t{len(taken)}", taken)

    def name(self, kind: str, of: str = "") -> str:
        """The name in C of what belongs to an array, a state, a vector or a matrix."""
        if (kind, of) not in self.names:
            plain = f"{kind}_{of}" if of else kind
            self.names[kind, of] = identifier(plain, self.names.values())
        return self.names[kind, of]

    def array_name(self, array: Array) -> str:
        """The name in C of an array."""
        return self.name(array.kind, array.name)

    @property
    def next_arrays(self) -> list[Array]:
        """The new states that no array outside holds."""
        arrays = (array for array, _ in self.schedule.next_states.values())
        return list(dict.fromkeys(array for array in arrays if array.kind == "next"))

    def width_of(self, node: Node) -> int:
        """Numbers that a row of a node has in its place; see FOLDED in prelude_vectors.c."""
        folded = 64 // self.schedule.kernel.item_size
        return folded if isinstance(node, Fold) else node.length

    def place(self, node: Node) -> tuple[str, int]:
        """The address of a node's features for row number `at`, without its offset."""
        if node in self.scratch:
            return f"team->s_{self.scratch[node]} + at * PADDED({self.width_of(node)})", 0
        if isinstance(node, Slice):
            base, start = self.place(node.arg)
            return base, start + node.start
        if isinstance(node, Load):
            return self.array(node.array), node.start
        if isinstance(node, Shared):
            self.vectors[node.value] = None
            return f"kernel->{self.name('vector', node.value.name)}", node.start
        array, start = self.stored[node]
        return self.array(array), start

    def array(self, array: Array) -> str:
        """The address of a row of an array."""
        if array.kind in ("prev", "carry"):
            return f"team->{array.kind}[{list(self.schedule.kernel.states).index(array.name)}][at]"
        if array.kind == "next":
            return f"team->new_{self.array_name(array)} + at * PADDED({array.width})"
        self.arrays[array] = None
        return f"kernel->{self.array_name(array)} + row * {array.width}"


def address(place: tuple[str, int], unit: str = "") -> str:
    """What C adds up to reach a place, and there the feature `unit`."""
    parts = [place[0], *([str(place[1])] if place[1] else []), *([unit] if unit else [])]
    return " + ".join(parts)
