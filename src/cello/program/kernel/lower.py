"""A captured step → vectors along the features of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NoReturn

import torch

from cello.errors import CaptureError
from cello.program.graph import BATCH, Op, Program, Value, needed_ops
from cello.program.kernel.cuts import cuts_of
from cello.program.kernel.nodes import Array, Graph, Node
from cello.program.kernel.operations import RULES
from cello.program.kernel.shapes import axis, features, last, outer
from cello.program.rows import is_random, is_row_wise

__all__ = ["Lowered", "Lowering", "lower"]

Vectors = list[tuple[Node, ...]]  # of each vector of a row, its pieces
LARGEST = 64  # vectors in a row: a bound on the length of the code


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


def lower(program: Program) -> Lowered:
    """Take a step apart into vectors.

    Raises:
        CaptureError: it has an operation that a fused loop has not; names it and its line.

    >>> import cello
    >>> lowered = lower(cello.program.capture(cello.LSTMCell(3, 2)))
    >>> [node.length for node in lowered.nodes(lowered.program.names["z"])]
    [2]
    """
    return Lowering(program).result


class Lowering:
    """Walks over a program; `operations.RULES` says what becomes of each operation."""

    def __init__(self, program: Program) -> None:
        self.program, self.graph = program, Graph()
        self.result = Lowered(program, self.graph)
        self.values = self.result.values
        for op in program.ops:
            if any(BATCH in value.shape[1:] for value in op.outputs):
                self.refuse(op, f"{op.target} does not treat each row by itself")
        self.cuts = cuts_of(program)
        self.makers = program.maker()
        self._input(program.x, Array("x", "", last(program.x)))
        for name, value in program.state.items():
            self._input(value, Array("prev", name, last(value)))
        outside = self._outside()
        for op in program.ops:
            if op in outside:
                continue
            if not any(value.batched for value in (*op.inputs, *op.outputs)):
                self.result.once.append(op)
                continue
            rule = RULES.get(op.target._opname)
            if rule is None:
                self.refuse(op, f"a fused loop has no {op.target}")
            if not is_row_wise(op):
                self.refuse(op, f"{op.target} does not treat each row by itself")
            if outer(op.outputs[0]) > LARGEST:
                self.refuse(op, f"{op.target} makes {outer(op.outputs[0])} vectors a row")
            rule(self, op)
        for name, value in [*program.names.items(), *program.next_state.items()]:
            for node in self.result.nodes(value) if value in self.values else ():
                node.name = node.name or name
        for value in program.results:
            if value not in self.values:
                self.refuse(None, "a result of its step is a tensor without rows")

    def refuse(self, op: Op | None, reason: str) -> NoReturn:
        """Raise the error that says why not."""
        where = f" ({op.where})" if op is not None else ""
        raise CaptureError(f"{self.program.cell}.step cannot be fused: {reason}{where}")

    def _input(self, value: Value, array: Array) -> None:
        if not value.dtype.is_floating_point or len(value.shape) != 2:
            self.refuse(None, f"{value} is no tensor of real numbers [B, size]")
        self.values[value] = [
            tuple(self.graph.load(array, start, length) for start, length in self.cuts[value])
        ]

    def _outside(self) -> set[Op]:
        """Random draws, and what they need: they run before the loop, if nothing is in the way."""
        given = {self.program.x, *self.program.state.values(), *self.program.parameters.values()}
        drawn: set[Op] = set()
        for op in self.program.ops:
            if not is_random(op):
                continue
            needed = needed_ops(self.program.ops, op.outputs)
            if given.intersection(v for o in needed for v in o.inputs):
                self.refuse(op, f"{op.target} draws by what it is given")
            if not all(is_row_wise(o) and len(v.shape) == 2 for o in needed for v in o.outputs):
                self.refuse(op, f"{op.target} does not draw [B, size]")
            drawn.update(needed)
            for value in op.outputs:
                self._input(value, Array("drawn", value.name, last(value)))
        self.result.drawn = [op for op in self.program.ops if op in drawn]
        return drawn

    # ------------------------------------------------------------ what rules use

    def pieces(self, value: Value) -> list[tuple[int, int]]:
        """(start, length) of the pieces of each vector."""
        return self.cuts[value]

    def put(self, value: Value, vectors: Vectors, grad: bool = True) -> None:
        """What an operation makes; without gradient where the step says so."""
        if not value.dtype.is_floating_point and value.dtype != torch.bool:
            self.refuse(self.makers.get(value), f"{value} is neither real nor bool")
        if value.dtype.is_floating_point and not self._reckons(value.dtype):
            self.refuse(self.makers.get(value), f"{value.name} has another dtype, {value.dtype}")
        if not grad:
            vectors = [tuple(self.graph.call("stop", node) for node in v) for v in vectors]
        self.values[value] = vectors

    def _reckons(self, dtype: torch.dtype) -> bool:
        """Whether the loop reckons with numbers at least as wide, and not wider ones."""
        own = self.program.x.dtype
        return dtype == own or (own == torch.bfloat16 and dtype == torch.float32)

    def operand(self, leaf: Any, out: Value, vector: int, piece: int) -> Node:
        """What stands for an operand at a piece of a vector of a pointwise result."""
        if not isinstance(leaf, Value):
            return self.graph.constant(leaf)
        shape = features(out)
        if not leaf.batched:
            return self._shared(leaf, out, vector, piece)
        if leaf not in self.values:
            self.refuse(self.makers.get(leaf), f"it reads {leaf}")
        own = features(leaf)
        own = (1,) * (len(shape) - len(own)) + own
        indices = list(product(*map(range, shape[:-1])))[vector] if shape else ()
        number = 0
        for size, index in zip(own[:-1], indices, strict=True):
            number = number * size + (index if size > 1 else 0)
        pieces = self.values[leaf][number]
        return pieces[piece if len(pieces) > 1 or last(leaf) == last(out) else 0]

    def _shared(self, leaf: Value, out: Value, vector: int, piece: int) -> Node:
        if not leaf.dtype.is_floating_point and leaf.dtype != torch.bool:
            self.refuse(self.makers.get(leaf), f"{leaf} is neither real nor bool")
        rank = len(out.shape)
        own = (1,) * (rank - len(leaf.shape)) + leaf.shape
        shape = features(out)
        indices = list(product(*map(range, shape[:-1])))[vector] if shape else ()
        row = 0
        for size, index in zip(own[1:-1], indices, strict=True):
            row = row * size + (index if size > 1 else 0)
        width = own[-1] if rank > 1 else 1
        start, length = self.pieces(out)[piece]
        if width == 1:
            return self.graph.shared(leaf, row, 1)
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

    def gather(self, value: Value, along: int) -> list[list[tuple[Node, ...]]]:
        """The vectors in groups along an axis that is not the last: group → vectors to combine."""
        shape = features(value)
        along = axis(along, value) - 1
        inner = 1
        for size in shape[along + 1 : -1]:
            inner *= size
        vectors, size = self.values[value], shape[along]
        groups = []
        for first in range(0, len(vectors), inner * size):
            for offset in range(inner):
                groups.append([vectors[first + i * inner + offset] for i in range(size)])
        return groups

    def matrix(self, value: Value) -> tuple[Value, bool]:
        """A factor without rows, and whether it is the transpose of what is returned."""
        if value.batched:
            self.refuse(self.makers.get(value), "it multiplies rows with rows")
        made = self.makers.get(value)
        if made is not None and made.target._opname == "t" and made.grad:
            return made.args[0], True
        return value, False
