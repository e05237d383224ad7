"""A lowered step, and what the rules build it with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, NoReturn

import torch

from cello.errors import CaptureError
from cello.program.graph import BATCH, Op, Program, Value, leaves_in
from cello.program.kernel.cuts import cuts_of
from cello.program.kernel.nodes import (
    Apply,
    Array,
    Constant,
    Feature,
    Graph,
    Load,
    Node,
    ancestors,
)
from cello.program.kernel.primitives import PRIMITIVES
from cello.program.kernel.shapes import closing, features, last, outer
from cello.program.operations import INSTEAD
from cello.program.sizes import said

__all__ = ["Lowered", "Lowering"]

_ROWS = "an operation on each row alone, as along its last axis, does"

Vectors = list[tuple[Node, ...]]  # of each vector of a row, its pieces


@dataclass(eq=False)
class Lowered:
    """A step as vectors.

    Attributes:
        program: what it was made of.
        graph: made the nodes.
        values: of each value with rows, its vectors.
        drawn: the operations that draw random numbers, which run for all steps before the loop.
        once: the operations that need parameters alone, which run once.
    """

    program: Program
    graph: Graph
    values: dict[Value, Vectors] = field(default_factory=dict)
    drawn: list[Op] = field(default_factory=list)
    once: list[Op] = field(default_factory=list)

    def nodes(self, value: Value) -> tuple[Node, ...]:
        """All pieces of a value, in the order of its features."""
        return tuple(node for vector in self.values[value] for node in vector)

    def array(self, kind: str, name: str, value: Value) -> Array:
        """An array that holds a value, all vectors of a row one after another."""
        return Array(kind, name, sum(node.length for node in self.nodes(value)))

    @cached_property
    def aliases(self) -> dict[Value, Value]:
        """For each named value the first that is the same: the input, the output, or another."""
        program = self.program
        named = [value for value in program.names.values() if value in self.values]
        first: dict[Any, Value] = {}
        return {
            value: first.setdefault((value.dtype, self.nodes(value)), value)
            for value in (program.x, program.output, *named)
        }

    @cached_property
    def fixed(self) -> set[Value]:
        """The values to which no gradient comes: they are drawn, or made without."""
        loose: set[Node] = set()
        for node in ancestors(node for value in self.values for node in self.nodes(value)):
            if isinstance(node, Apply) and PRIMITIVES[node.function].derivative is None:
                continue
            drawn = isinstance(node, Load) and node.array.kind == "drawn"
            leaf = not (node.inputs or drawn or isinstance(node, Constant))
            if leaf or loose.intersection(node.inputs):
                loose.add(node)
        return {value for value in self.values if not loose.intersection(self.nodes(value))}


class Lowering:
    """A step on its way to vectors: what the rule of an operation reads and makes.

    Args:
        program: the step, its operations taken apart.
        makers: what makes each of its values as the step was written.
    """

    def __init__(self, program: Program, makers: dict[Value, Op]) -> None:
        self.program, self.graph = program, Graph()
        self.result = Lowered(program, self.graph)
        self.values = self.result.values
        for op in program.ops:
            if any(BATCH in value.shape[1:] for value in op.outputs):
                self.refuse_mixing(op)
        self.makers = program.maker()
        for value in (value for op in program.ops for value in op.inputs):
            if value in makers and value not in self.makers:
                self.refuse_result(makers[value])
        self.cuts = cuts_of(program)
        self.closing = closing(program)

    def refuse(self, op: Op | None, reason: str, instead: str = "") -> NoReturn:
        """Raise the error: why the step cannot be fused, and what fuses instead."""
        where = f" {said(op.where)}" if op is not None else ""
        instead = instead or ("" if op is None else INSTEAD.get(op.target._opname, ""))
        rest = f"; {instead}" if instead else ""
        error = CaptureError(f"{self.program.step} cannot be fused: {reason}{where}{rest}")
        error.op = op
        raise error

    def refuse_mixing(self, op: Op) -> NoReturn:
        """Refuse an operation that does not keep to the rows."""
        if not op.inputs:
            self.refuse(op, f"{op.function} makes a tensor whose rows are not those of the batch")
        picks = op.target._opname == "index" and any(
            v.batched for v in leaves_in(op.args[:1], Value)
        )
        instead = "" if picks else INSTEAD.get(op.target._opname, "")
        self.refuse(op, f"{op.function} does not treat each row by itself", instead or _ROWS)

    def refuse_result(self, op: Op) -> NoReturn:
        """Refuse an operation one of whose results is read that a fused loop does not compute."""
        self.refuse(op, f"a fused loop has not all results of {op.function}")

    def arrive(self, value: Value, array: Array) -> None:
        """A value that is there before the step begins, in an array."""
        self._check(value)
        if len(value.shape) != 2:
            self.refuse(None, f"{value} is no tensor [B, size]")
        self.values[value] = [
            tuple(self.graph.load(array, start, length) for start, length in self.cuts[value])
        ]

    def pieces(self, value: Value) -> list[tuple[int, int]]:
        """(start, length) of the pieces of each vector."""
        return self.cuts[value]

    def put(self, value: Value, vectors: Vectors, grad: bool = True) -> None:
        """What an operation makes; without gradient where the step says so."""
        self._check(value)
        if value.dtype.is_floating_point and not self._computes_in(value.dtype):
            own = self.program.x.dtype
            self._refuse_type(value, f"where the step computes with {own}")
        if not grad:
            vectors = [tuple(self.graph.call("stop", node) for node in v) for v in vectors]
        self.values[value] = vectors

    def _check(self, value: Value) -> None:
        if not value.dtype.is_floating_point and value.dtype not in (torch.bool, torch.int64):
            self._refuse_type(value, "of which a fused loop has none")

    def _refuse_type(self, value: Value, reason: str) -> NoReturn:
        op = self.makers.get(value)
        who = value.name if op is None else op.function
        self.refuse(op, f"{who} makes numbers of {value.dtype}, {reason}")

    def _computes_in(self, dtype: torch.dtype) -> bool:
        """Whether the loop computes with numbers at least as wide, and not wider ones."""
        own = self.program.x.dtype
        few_bits = own in (torch.bfloat16, torch.float16)
        return dtype == own or (few_bits and dtype == torch.float32)

    def operand(self, leaf: Any, out: Value, vector: int, piece: int) -> Node:
        """What stands for an operand at a piece of a vector of a pointwise result."""
        if not isinstance(leaf, Value):
            return self.graph.constant(leaf)
        if not leaf.batched:
            return self._shared(leaf, out, vector, piece)
        if leaf not in self.values:
            self.refuse_result(self.makers[leaf])
        pieces = self.values[leaf][_vector_of(features(leaf)[:-1], out, vector)]
        return pieces[piece if len(pieces) > 1 or last(leaf) == last(out) else 0]

    def _shared(self, leaf: Value, out: Value, vector: int, piece: int) -> Node:
        self._check(leaf)
        own = (1,) * (len(out.shape) - len(leaf.shape)) + leaf.shape
        row = _vector_of(own[1:-1], out, vector)
        width = own[-1] if len(own) > 1 else 1
        if width == 1:
            return self.graph.shared(leaf, row, 1)
        start, length = self.pieces(out)[piece]
        return self.graph.shared(leaf, row * width + start, length)

    def pointwise(self, op: Op, make: Callable[..., Node], operands: Sequence[Any]) -> None:
        """`make(*nodes)` for every piece of every vector of the result."""
        out = op.outputs[0]
        vectors = []
        for vector in range(outer(out)):
            nodes = []
            for piece, (_, length) in enumerate(self.pieces(out)):
                given = [self.operand(leaf, out, vector, piece) for leaf in operands]
                made = make(*given)
                if made.length != length:
                    made = self.graph.call("copy", made, length=length)
                nodes.append(made)
            vectors.append(tuple(nodes))
        self.put(out, vectors, op.grad)

    def features(self, value: Value) -> list[Feature]:
        """Every feature of a row of a value, in order; of all elements if it has no rows."""
        if not value.batched:
            self._check(value)
            whole = self.graph.shared(value, 0, math.prod(value.shape))
            return [(whole, number) for number in range(whole.length)]
        return [(node, i) for node in self.result.nodes(value) for i in range(node.length)]

    def assemble(self, out: Value, features: Sequence[Feature]) -> Vectors:
        """The vectors of a value that has these features."""
        if not features:
            return [() for _ in range(outer(out))]
        return [
            tuple(
                self.graph.gather(features[vector * last(out) + start :][:length])
                for start, length in self.pieces(out)
            )
            for vector in range(outer(out))
        ]

    def matrix(self, value: Value) -> tuple[Value, bool]:
        """A factor without rows, and whether it is the transpose of what is returned."""
        if value.batched:
            self.refuse(self.makers.get(value), "it multiplies rows with rows")
        made = self.makers.get(value)
        if made is not None and made.target._opname == "t" and made.grad:
            return made.args[0], True
        return value, False


def _vector_of(sizes: tuple[int, ...], out: Value, vector: int) -> int:
    """Which vector of an operand belongs to a vector of the result.

    `sizes` are the operand's axes but for the rows and the last: it is broadcast where one is 1.
    """
    axes = features(out)[:-1]
    sizes = (1,) * (len(axes) - len(sizes)) + sizes
    number = 0
    for size, index in zip(sizes, list(product(*map(range, axes)))[vector], strict=True):
        number = number * size + (index if size > 1 else 0)
    return number
