"""A traced step as vectors of one row, and the numbers that it reads."""

from __future__ import annotations

import torch
from torch import Tensor

from cello.cells import Cell
from cello.engines.interpreter import tensors_of
from cello.errors import CaptureError, ConversionError
from cello.program import Value, evaluate, program_as_is
from cello.program.kernel.builder import Lowered
from cello.program.kernel.lower import lower
from cello.program.kernel.nodes import Apply, Dot, Load, Node, Shared, ancestors

__all__ = ["Step"]


class Step:
    """A traced step as vectors, and the tensors that it reads.

    Attributes:
        cell: whose step it is.
        dtype: of its numbers.
        lowered: the vectors.
        needed: all of them that the results need, in order.
        stateful: those that need the state before the step.
        with_rows: those that are not the same for every row.
        divides: whether something in it makes much of numbers that are almost 0.

    Raises:
        ConversionError: the step cannot be written as operations on each row; says why.
    """

    def __init__(self, cell: Cell, place: str) -> None:
        self.cell, self.place = cell, place
        try:
            program = program_as_is(cell)
            self.lowered: Lowered = lower(program)
        except CaptureError as error:
            raise ConversionError(
                f"{place} cannot be written as operations on each row: {error}"
            ) from error
        if self.lowered.drawn:
            raise ConversionError(f"{place} draws random numbers in eval mode too")
        self.tensors: dict[Value, Tensor] = tensors_of(program, cell)
        with torch.no_grad():
            evaluate(self.lowered.once, self.tensors, 0)
        self.dtype: torch.dtype = program.x.dtype
        self.output = self.lowered.nodes(program.output)
        self.next_state = {n: self.lowered.nodes(v) for n, v in program.next_state.items()}
        ends = [*self.output, *(node for nodes in self.next_state.values() for node in nodes)]
        self.needed = ancestors(ends)
        self.stateful: set[Node] = set()
        for node in self.needed:
            before = isinstance(node, Load) and node.array.kind == "prev"
            if before or self.stateful.intersection(node.inputs):
                self.stateful.add(node)
        self.divides = any(isinstance(n, Apply) and n.function in _STEEP for n in self.needed)
        self.with_rows: set[Node] = set()
        for node in self.needed:
            if isinstance(node, Load) or self.with_rows.intersection(node.inputs):
                self.with_rows.add(node)

    def ahead(self) -> list[Node]:
        """What the loop reads of all that needs no state: computed for all steps at once."""
        ends = {node for nodes in (self.output, *self.next_state.values()) for node in nodes}
        read = ends.union(*(node.inputs for node in self.stateful))
        return [n for n in self.needed if n in read & self.with_rows and n not in self.stateful]

    def shared(self, node: Shared) -> Tensor:
        """The numbers of a vector that has no rows."""
        flat = self.tensors[node.value].detach().cpu().reshape(-1)
        return flat[node.start : node.start + node.length].to(self.dtype)

    def matrix(self, dot: Dot) -> Tensor:
        """The factor [k, n] of a product."""
        whole = self.tensors[dot.matrix].detach().cpu()
        whole = whole.reshape(len(whole), -1)
        whole = whole.T if dot.transposed else whole
        return whole[dot.k0 : dot.k0 + dot.arg.length, dot.n0 : dot.n0 + dot.length]


_STEEP = ("div", "log", "pow", "reciprocal", "rsqrt", "sqrt")
