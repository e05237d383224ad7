"""Where everything stands that a kernel's C code reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from cello.engines.cpu.expressions import identifier
from cello.program.graph import Value
from cello.program.kernel.kernel import Kernel
from cello.program.kernel.nodes import Array, Fold, Load, Node
from cello.program.kernel.schedule import Schedule

__all__ = ["Memory", "Packed", "address", "c_name", "vector_name"]


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
    """

    schedule: Schedule
    stored: dict[Node, tuple[Array, int]] = field(default_factory=dict)
    scratch: dict[Node, str] = field(default_factory=dict)
    arrays: dict[Array, None] = field(default_factory=dict)
    vectors: dict[Value, None] = field(default_factory=dict)
    matrices: dict[Value, None] = field(default_factory=dict)
    packed: list[Packed] = field(default_factory=list)

    def __post_init__(self) -> None:
        for region in self.schedule.regions:
            for store in region.stores:
                if not store.per_sequence:
                    self.stored.setdefault(store.node, (store.array, store.start))
        for node in self.schedule.outside:
            if isinstance(node, Fold) or node not in self.stored:
                taken = set(self.scratch.values())
                self.scratch[node] = identifier(node.name or f"t{len(taken)}", taken)

    @property
    def next_arrays(self) -> list[Array]:
        """The new states that no array outside holds."""
        arrays = (array for array, _ in self.schedule.next_states.values())
        return list(dict.fromkeys(array for array in arrays if array.kind == "next"))

    def place(self, node: Node) -> tuple[str, int]:
        """The address of a node's features for row number `at`, without its offset."""
        if node in self.scratch:
            return f"team->s_{self.scratch[node]} + at * PADDED({node.length})", 0
        if isinstance(node, Load):
            return self.array(node.array), node.start
        array, start = self.stored[node]
        return self.array(array), start

    def array(self, array: Array) -> str:
        """The address of a row of an array."""
        if array.kind in ("prev", "carry"):
            return f"team->{c_name(array)}[at]"
        if array.kind == "next":
            return f"team->s_{c_name(array)} + at * PADDED({array.width})"
        self.arrays[array] = None
        return f"kernel->{c_name(array)} + row * {array.width}"


def chained(kernel: Kernel) -> list[str]:
    """The names in C of the arrays that a step gets from the one before."""
    return [c_name(Array(kernel.chain, name, 0)) for name in kernel.states]


def c_name(array: Array) -> str:
    """The name of an array in C."""
    return identifier(str(array))


def vector_name(value: Value) -> str:
    """The name in C of a tensor without rows that is read element by element."""
    return identifier(f"vector_{value.name}")


def address(place: tuple[str, int], unit: str = "") -> str:
    """What C adds up to reach a place, and there the feature `unit`."""
    parts = [place[0], *([str(place[1])] if place[1] else []), *([unit] if unit else [])]
    return " + ".join(parts)
