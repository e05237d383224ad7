"""The fused form of a step: vectors along the features of one row, and what makes them.

A value of a program, [B, n], is here one or more `Node`s: vectors of the features of a row. What
has no row, a parameter, is `Shared`. Nodes are made by a `Graph`, which makes none twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar, cast

from cello.program.graph import Value

__all__ = [
    "Apply",
    "Array",
    "Constant",
    "Dot",
    "Feature",
    "Fold",
    "Gather",
    "Graph",
    "Load",
    "Node",
    "Shared",
    "Slice",
    "TermSum",
    "ancestors",
    "whole_of",
    "within_whole",
]

_serial = count()


@dataclass(frozen=True)
class Array:
    """Rows outside of the loop.

    Attributes:
        kind: what it is, such as "x", "prev" (a state before the step) or "grad".
        name: which one of its kind.
        width: features of a row.
    """

    kind: str
    name: str
    width: int

    def __str__(self) -> str:
        return f"{self.kind}_{self.name}" if self.name else self.kind


@dataclass(eq=False)
class Node:
    """A vector of `length` features of a row; one of length 1 counts for every feature."""

    length: int
    serial: int = field(default_factory=lambda: next(_serial), init=False, repr=False)
    name: str = field(default="", init=False)  # a word for readers, not unique

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that it reads."""
        return ()


@dataclass(eq=False)
class Load(Node):
    """Features `start` to `start + length` of a row of an array."""

    array: Array
    start: int


@dataclass(eq=False)
class Shared(Node):
    """Elements of a tensor without rows, from `start` on, as it lies when contiguous."""

    value: Value
    start: int


@dataclass(eq=False)
class Constant(Node):
    """A number."""

    value: float


@dataclass(eq=False)
class Apply(Node):
    """A pointwise function of `primitives.PRIMITIVES`."""

    function: str
    args: tuple[Node, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The arguments."""
        return self.args


@dataclass(eq=False)
class Dot(Node):
    """A product with a matrix: element i is Σ_k arg[k] · m[k0 + k, n0 + i].

    m is `matrix`, or its transpose. `use` tells apart the operations that multiply with it.
    """

    arg: Node
    matrix: Value
    transposed: bool
    k0: int
    n0: int
    use: Any = None

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The vector."""
        return (self.arg,)


@dataclass(eq=False)
class TermSum(Node):
    """A sum of several nodes, products among them."""

    terms: tuple[Node, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The terms."""
        return self.terms


@dataclass(eq=False)
class Fold(Node):
    """The features of a vector made one number: their "sum", "max" or "min"."""

    kind: str
    arg: Node

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The vector."""
        return (self.arg,)


@dataclass(eq=False)
class Slice(Node):
    """Features of a vector from `start` on, where it stands: nothing is computed."""

    arg: Node
    start: int

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The vector."""
        return (self.arg,)


@dataclass(eq=False)
class Gather(Node):
    """Features of several vectors: element i is args[a][j], for (a, j) = places[i]."""

    args: tuple[Node, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The vectors."""
        return self.args


#: A feature of a vector.
Feature = tuple[Node, int]

_N = TypeVar("_N", bound="Node")


class Graph:
    """Makes nodes, none twice."""

    def __init__(self) -> None:
        self._made: dict[Any, Node] = {}

    def _once(self, kind: type[_N], length: int, *rest: Any) -> _N:
        # Nodes, values and operations are told apart by identity, everything else by value.
        key = (kind, length, *rest)
        if key not in self._made:
            self._made[key] = kind(length, *rest)
        return cast(_N, self._made[key])

    def load(self, array: Array, start: int = 0, length: int | None = None) -> Load:
        """Features of an array; all of them by default."""
        return self._once(Load, array.width if length is None else length, array, start)

    def shared(self, value: Value, start: int, length: int) -> Shared:
        """Elements of a tensor without rows."""
        return self._once(Shared, length, value, start)

    def constant(self, value: float) -> Constant:
        """A number; 0 and -0 are two."""
        made = self._made.setdefault(("constant", repr(float(value))), Constant(1, float(value)))
        assert isinstance(made, Constant)
        return made

    def call(self, function: str, *args: Node | float, length: int | None = None) -> Node:
        """A pointwise function; what is known to have no effect is left out."""
        nodes = tuple(a if isinstance(a, Node) else self.constant(a) for a in args)
        length = length or max(node.length for node in nodes)
        simpler = self._simpler(function, nodes, length)
        return simpler or self._once(Apply, length, function, nodes)

    def _simpler(self, function: str, nodes: tuple[Node, ...], length: int) -> Node | None:
        if function not in ("add", "mul") or len(nodes) != 2:
            return None
        neutral = 0.0 if function == "add" else 1.0
        for one, other in (nodes, nodes[::-1]):
            if isinstance(one, Constant) and one.value == neutral and other.length == length:
                negative_zero = function == "add" and math.copysign(1.0, one.value) < 0
                return other if function == "mul" or not negative_zero else None
        return None

    def dot(
        self,
        arg: Node,
        matrix: Value,
        transposed: bool,
        k0: int,
        n0: int,
        length: int,
        use: Any = None,
    ) -> Dot:
        """A product with a part of a matrix."""
        if isinstance(arg, Constant):  # a factor stands in memory
            arg = self.call("copy", arg, length=arg.length)
        return self._once(Dot, length, arg, matrix, transposed, k0, n0, use)

    def sum(self, terms: Sequence[Node]) -> Node:
        """The sum of all terms."""
        if len(terms) == 1 and not isinstance(terms[0], Dot):
            return terms[0]
        return self._once(TermSum, max(term.length for term in terms), tuple(terms))

    def fold(self, kind: str, arg: Node, length: int | None = None) -> Node:
        """The features made one number; those of `length` features that a narrower `arg` means."""
        if arg.length == 1:
            times = length or 1
            return self.call("mul", arg, float(times)) if kind == "sum" and times > 1 else arg
        return self._once(Fold, 1, kind, arg)

    def gather(self, features: Sequence[Feature]) -> Node:
        """A vector of these features: one that there is, a part of one, or a new one.

        Of a node that counts for every feature, any feature is meant.
        """
        features = [(node, i if node.length > 1 else 0) for node, i in features]
        (first, start), length = features[0], len(features)
        if len(set(features)) == 1:
            one = first if first.length == 1 else self._once(Slice, 1, first, start)
            return one if length == 1 else self.call("copy", one, length=length)
        if features == [(first, start + i) for i in range(length)]:
            return first if first.length == length else self._once(Slice, length, first, start)
        args = {node: number for number, node in enumerate(dict.fromkeys(n for n, _ in features))}
        places = tuple((args[node], i) for node, i in features)
        return self._once(Gather, length, tuple(args), places)


def ancestors(ends: Iterable[Node]) -> list[Node]:
    """All nodes that `ends` need, themselves included, each after those that it reads."""
    seen: dict[int, Node] = {}
    todo = list(ends)
    while todo:
        node = todo.pop()
        if node.serial not in seen:
            seen[node.serial] = node
            todo.extend(node.inputs)
    return [seen[serial] for serial in sorted(seen)]


def within_whole(node: Node) -> tuple[Node, int]:
    """The vector of which a node is a part, and the first feature of the part in it."""
    start = 0
    while isinstance(node, Slice):
        start += node.start
        node = node.arg
    return node, start


def whole_of(node: Node) -> Node:
    """The vector of which a node is a part: itself, if it is no `Slice`."""
    return within_whole(node)[0]
