"""A captured step → vectors along the features of a row."""

from __future__ import annotations

from dataclasses import replace

import torch

from cello.program.expand import expanded
from cello.program.graph import Op, Program, Value, needed_ops
from cello.program.kernel.builder import Lowered, Lowering
from cello.program.kernel.nodes import Array
from cello.program.kernel.rules import Rule, rule_of
from cello.program.kernel.shapes import last, outer
from cello.program.movement import MOVES
from cello.program.operations import INSTEAD, facts, is_random
from cello.program.own_functions import is_own_function
from cello.program.rows import is_row_wise

__all__ = ["lower"]

_SURROGATE = (
    "s + (z - s).detach() has the value of z and the gradient of s, and fuses: for a spike "
    "z = (v > 0).to(v.dtype) and a slope such as s = torch.sigmoid(4 * v)"
)

LARGEST = 64  # vectors in a row: a bound on the length of the code
MOVED = 16 * LARGEST  # the same of what only moves them, such as the windows of a convolution


def lower(program: Program) -> Lowered:
    """Take a step apart into vectors.

    Raises:
        CaptureError: it has an operation that a fused loop has not; names it and its line.

    >>> import cello
    >>> lowered = lower(cello.program.capture(cello.LSTMCell(3, 2)))
    >>> [node.length for node in lowered.nodes(lowered.program.names["z"])]
    [2]
    """
    ops = [part for op in program.ops for part in expanded(op, program.x.dtype)]
    return _Walk(replace(program, ops=ops), program.maker()).result


class _Walk(Lowering):
    """Walks over a program; `kernel.rules` says what becomes of each operation."""

    def __init__(self, program: Program, makers: dict[Value, Op]) -> None:
        super().__init__(program, makers)
        self.arrive(program.x, Array("x", "", last(program.x)))
        for name, value in program.state.items():
            self.arrive(value, Array("prev", name, last(value)))
        self.result.drawn = self._drawn()
        for op in program.ops:
            if op in self.result.drawn:
                continue
            if not any(value.batched for value in (*op.inputs, *op.outputs)):
                self.result.once.append(op)
                continue
            self._rule(op)(self, op)
        for name, value in [*program.names.items(), *program.next_state.items()]:
            for node in self.result.nodes(value) if value in self.values else ():
                node.name = node.name or name
        for value in program.results:
            if value.dtype == torch.int64:
                self.refuse(None, "a result of its step is of whole numbers")
            if value not in self.values:
                self.refuse(None, "a result of its step is a tensor without rows")

    def _rule(self, op: Op) -> Rule:
        """What becomes of an operation of the loop.

        Raises:
            CaptureError: a loop cannot have it.
        """
        if is_own_function(op):
            why = "has a gradient of its own, which its operations do not tell"
            self.refuse(op, f"{op.function}, an autograd.Function, {why}", _SURROGATE)
        if any(value.dtype.is_complex for value in op.outputs):
            instead = "their real and imaginary parts do, as real tensors"
            self.refuse(op, f"complex numbers do not fuse; {instead}")
        rule = rule_of(op)
        if rule is None:
            self.refuse(op, f"a fused loop has no {op.function}", self._ahead(op))
        if not facts(op).whole and any(value.dtype == torch.int64 for value in op.inputs):
            instead = f"after .to({self.program.x.dtype}) it fuses"
            self.refuse(op, f"{op.function} computes with whole numbers", instead)
        if not is_row_wise(op):
            self.refuse_mixing(op)
        count, largest = outer(op.outputs[0]), MOVED if op.target._opname in MOVES else LARGEST
        if op not in self.closing and count > largest:
            most = f"where a fused loop has at most {largest}"
            self.refuse(op, f"{op.function} makes {count} vectors a row, {most}")
        return rule

    def _ahead(self, op: Op) -> str:
        """The hint for an operation without a rule: what fuses instead, or where it would run."""
        known = INSTEAD.get(op.target._opname, "")
        alone = "of what needs no state it would run for all steps ahead of the loop"
        return known or (alone if is_row_wise(op) else "")

    def _drawn(self) -> list[Op]:
        """What runs before the loop: random draws, what they need, what is made of them alone."""
        program = self.program
        given = {program.x, *program.state.values(), *program.parameters.values()}
        drawn: set[Op] = set()
        made: set[Value] = set()
        for op in program.ops:
            needed = needed_ops(program.ops, op.outputs) if is_random(op) else [op]
            row_wise = all(is_row_wise(o) and len(v.shape) == 2 for o in needed for v in o.outputs)
            if is_random(op):
                if given.intersection(v for o in needed for v in o.inputs):
                    self.refuse(op, f"{op.function} draws by what the step has computed")
                if not row_wise:
                    self.refuse(op, f"{op.function} draws other than [B, size] by itself")
            elif not (row_wise and op.inputs and made.issuperset(op.inputs)):
                continue
            drawn.update(needed)
            made.update(value for o in needed for value in o.outputs)
        read = {value for op in program.ops if op not in drawn for value in op.inputs}
        read.update(program.results, program.names.values())
        ops = [op for op in program.ops if op in drawn]
        for value in (value for op in ops for value in op.outputs):
            if value in read:
                self.arrive(value, Array("drawn", value.name, last(value)))
        return ops
