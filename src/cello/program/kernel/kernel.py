"""The two loops of a step: what each reads, carries from step to step, and leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from cello.program.graph import Program, Value
from cello.program.kernel.adjoint import Adjoint, adjoint
from cello.program.kernel.builder import Lowered
from cello.program.kernel.nodes import Array, Graph, Load, Node, Shared, ancestors
from cello.program.kernel.shapes import last
from cello.program.kernel.sums import gather_sums
from cello.program.kernel.tape import Tape, make_tape

__all__ = [
    "Kernel",
    "MatrixGradient",
    "Operand",
    "Store",
    "backward_kernel",
    "forward_kernel",
    "tape_of",
]


@dataclass(frozen=True)
class Store:
    """`node` goes to a row of `array`, from feature `start` on.

    The row is that of the step, or, if `per_sequence`, that of the sequence, to which all its
    steps are added.
    """

    array: Array
    start: int
    node: Node
    per_sequence: bool = False


@dataclass(frozen=True)
class Operand:
    """Columns `start` to `start + length` of an array, which belong at `place` of a product."""

    array: Array
    start: int
    length: int
    place: int


@dataclass(frozen=True)
class MatrixGradient:
    """The gradient of a matrix: inputs, each [N, length], with cotangents, [N, columns]."""

    matrix: Value
    transposed: bool
    inputs: tuple[Operand, ...]
    cotangents: tuple[Operand, ...]


@dataclass(eq=False)
class Kernel:
    """One loop.

    Attributes:
        name: "forward" or "backward".
        cell: name of the cell.
        chain: kind of the arrays that a step gets from the one before, "prev" or "carry".
        states: the size of each state.
        carried: what each state becomes.
        stores: what each step leaves.
        products: the gradients of matrices, for after the loop.
        shared: what the gradients of other tensors without rows are summed from: each with the
            array that holds the sums of each sequence, and the element it begins with.
        item_size: bytes of a number.
        kept: where the new value of each state stands after the forward loop, for one that is
            followed by a backward loop: array and column.
    """

    name: str
    cell: str
    chain: str
    states: dict[str, int]
    carried: dict[str, list[Node]]
    stores: list[Store]
    item_size: int
    products: list[MatrixGradient] = field(default_factory=list)
    shared: list[tuple[Value, int, Array]] = field(default_factory=list)
    kept: dict[str, tuple[Array, int]] = field(default_factory=dict)

    @property
    def ends(self) -> list[Node]:
        """All nodes that it must compute."""
        carried = [node for nodes in self.carried.values() for node in nodes]
        return [*carried, *(store.node for store in self.stores)]

    @property
    def nodes(self) -> list[Node]:
        """All nodes, each after those that it reads."""
        return ancestors(self.ends)


def forward_kernel(
    lowered: Lowered, tape: Tape | None = None, names: Collection[str] = ()
) -> Kernel:
    """The loop that runs the step.

    Args:
        lowered: the step.
        tape: what it is to leave for the backward loop.
        names: what it is to record.
    """
    program = lowered.program
    stores = _stores("y", "", lowered, program.output)
    if tape is not None:
        stores += [Store(tape.array, start, node) for node, start in tape.stores]
    for name in names:
        stores += _stores("seen", name, lowered, program.names[name])
    carried = {name: list(lowered.nodes(value)) for name, value in program.next_state.items()}
    states = {name: last(value) for name, value in program.state.items()}
    kernel = Kernel("forward", program.cell, "prev", states, carried, stores, _item_size(program))
    if tape is not None:
        arrays = {"y": stores[0].array, "tape": tape.array}
        kernel.kept = {n: (arrays[kind], start) for n, (kind, start) in tape.states.items()}
    named = [node for value in program.names.values() for node in lowered.nodes(value)]
    return _fused(lowered.graph, kernel, named)


def _item_size(program: Program) -> int:
    """Bytes of a number that the loop computes with: float32 for bfloat16 and float16."""
    return max(4, program.x.dtype.itemsize)


def _stores(kind: str, name: str, lowered: Lowered, value: Value) -> list[Store]:
    array = lowered.array(kind, name, value)
    stores, start = [], 0
    for node in lowered.nodes(value):
        stores.append(Store(array, start, node))
        start += node.length
    return stores


def _fused(graph: Graph, kernel: Kernel, keep: list[Node]) -> Kernel:
    """Turn chains of additions into sums; those in `keep` stay sums of their own."""
    new = gather_sums(graph, kernel.ends, keep)
    kernel.carried = {name: [new[node] for node in nodes] for name, nodes in kernel.carried.items()}
    kernel.stores = [Store(s.array, s.start, new[s.node], s.per_sequence) for s in kernel.stores]
    return kernel


def tape_of(lowered: Lowered, names: Collection[str] = ()) -> Tape:
    """What a forward loop that records `names` leaves for whatever backward loop may follow."""
    return make_tape(lowered, adjoint(lowered, names))


def backward_kernel(
    lowered: Lowered,
    tape: Tape,
    *,
    seen: Collection[str] = (),
    needs_x: bool = True,
    needed: Collection[Value] | None = None,
) -> Kernel:
    """The loop that computes gradients.

    Args:
        lowered: the step.
        tape: what the forward loop has left.
        seen: recorded names to which gradients come.
        needs_x: whether the gradient of the input is wanted.
        needed: the tensors without rows whose gradients are wanted; all by default.
    """
    graph, program = lowered.graph, lowered.program
    back = adjoint(lowered, seen)
    if not needs_x:
        back.x = {}
    if needed is not None:
        back.shared = [(leaf, node) for leaf, node in back.shared if leaf.value in needed]
    done: dict[Node, Node] = {}

    def read(node: Node) -> Node:
        return tape.backward(graph, node, done)

    stores = [Store(Array("dx", "", last(program.x)), k, read(n)) for k, n in back.x.items()]
    states = {name: last(value) for name, value in program.state.items()}
    carried = {
        name: [read(node) for _, node in sorted(pieces.items())]
        for name, pieces in back.states.items()
    }
    kernel = Kernel("backward", program.cell, "carry", states, carried, stores, _item_size(program))
    arrays = {"y": lowered.array("y", "", program.output), "tape": tape.array}
    kernel.kept = {n: (arrays[kind], start) for n, (kind, start) in tape.states.items()}
    _leave_products(kernel, back, needed, read)
    _leave_sums(kernel, back, read)
    return _fused(graph, kernel, [])


def _leave_sums(kernel: Kernel, back: Adjoint, read: Callable[[Node], Node]) -> None:
    """Store the cotangents of tensors without rows, neighbours in one array."""
    leaves = sorted(back.shared, key=lambda pair: (pair[0].value.name, pair[0].start))
    groups: list[list[tuple[Shared, Node]]] = []
    for leaf, node in leaves:
        if groups:
            before, _ = groups[-1][-1]
            if before.value is leaf.value and before.start + before.length == leaf.start:
                groups[-1].append((leaf, node))
                continue
        groups.append([(leaf, node)])
    for number, group in enumerate(groups):
        first = group[0][0]
        width = sum(leaf.length for leaf, _ in group)
        array = Array("sum", f"{number}_{first.value.name}", width)
        for leaf, node in group:
            kernel.stores.append(Store(array, leaf.start - first.start, read(node), True))
        kernel.shared.append((first.value, first.start, array))


def _leave_products(
    kernel: Kernel,
    back: Adjoint,
    needed: Collection[Value] | None,
    read: Callable[[Node], Node],
) -> None:
    """Store the cotangents of products, and the factors that no array holds yet."""
    left: dict[tuple[Node, ...], Array] = {}
    factors: dict[Node, Operand] = {}
    for number, use in enumerate(back.uses):
        columns = sorted(use.cotangents.items())
        nodes = tuple(read(node) for _, node in columns)
        if nodes not in left:
            width = sum(node.length for node in nodes)
            left[nodes] = array = Array("cot", str(number), width)
            start = 0
            for node in nodes:
                kernel.stores.append(Store(array, start, node))
                start += node.length
        if needed is not None and use.matrix not in needed:
            continue
        operands, start = [], 0
        for (place, _), node in zip(columns, nodes, strict=True):
            operands.append(Operand(left[nodes], start, node.length, place))
            start += node.length
        inputs = tuple(
            _factor(kernel, factors, read(node), place)
            for place, node in sorted(use.inputs.items())
        )
        product = MatrixGradient(
            use.matrix, use.transposed, _joined(inputs), _joined(tuple(operands))
        )
        kernel.products.append(product)


def _factor(kernel: Kernel, factors: dict[Node, Operand], node: Node, place: int) -> Operand:
    """The array that holds a factor after the loop; a new one if there is none."""
    if isinstance(node, Load) and node.array.kind in ("x", "y", "tape", "drawn"):
        return Operand(node.array, node.start, node.length, place)
    if node not in factors:
        array = Array("factor", str(len(factors)), node.length)
        kernel.stores.append(Store(array, 0, node))
        factors[node] = Operand(array, 0, node.length, 0)
    found = factors[node]
    return Operand(found.array, found.start, found.length, place)


def _joined(operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """Neighbours in the same array become one."""
    joined: list[Operand] = []
    for operand in operands:
        if joined:
            a = joined[-1]
            next_to = a.array == operand.array and a.start + a.length == operand.start
            if next_to and a.place + a.length == operand.place:
                joined[-1] = Operand(a.array, a.start, a.length + operand.length, a.place)
                continue
        joined.append(operand)
    return tuple(joined)
