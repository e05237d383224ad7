"""Two traces of one step at two batch sizes → one program that holds for every batch size."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import Any, NoReturn

import torch
from torch import Tensor

from cello.errors import CaptureError
from cello.program.checks import check
from cello.program.graph import BATCH, Op, Program, Value, needed_ops
from cello.program.sizes import shown

__all__ = ["merge"]


def merge(first: Program, second: Program, sizes: tuple[int, int]) -> Program:
    """Make `first` a program for every batch size, by what differs in `second`.

    Raises:
        CaptureError: the traces differ in more than the batch size.
    """
    merger = _Merger(first, sizes)
    merger.pair(first.x, second.x)
    for name, value in first.state.items():
        merger.pair(value, second.state[name])
    for name, value in first.parameters.items():
        merger.pair(value, second.parameters.get(name, value))
    pairs = zip(first.constants.items(), second.constants.items(), strict=False)
    for (value, tensor), (other, likewise) in pairs:
        merger.constant(value, tensor, other, likewise)
    if len(first.ops) != len(second.ops):
        merger.fail("the number of its operations", "")
    for op, again in zip(first.ops, second.ops, strict=True):
        merger.op(op, again)
    _drop_unused(first)
    _name_values(first)
    return check(first)


class _Merger:
    def __init__(self, program: Program, sizes: tuple[int, int]) -> None:
        self.cell, self.sizes = program.cell, sizes
        self.same: dict[Value, Value] = {}

    def fail(self, what: str, where: str) -> NoReturn:
        self._raise(f"{what} depends on the batch size", where)

    def fail_number(self, what: str, where: str) -> NoReturn:
        self._raise(f"{what}, where of the batch size only B itself can stand", where)

    def _raise(self, what: str, where: str) -> NoReturn:
        raise CaptureError(
            f"{self.cell}.step cannot be captured: {what}" + (f" ({where})" if where else "")
        )

    def pair(self, value: Value, other: Value, op: Op | None = None) -> None:
        self.same[value] = other
        made = f"the result of {op.target}" if op is not None else value.name
        where = op.where if op is not None else ""
        if len(value.shape) != len(other.shape):
            self.fail(f"the number of axes of {made}", where)
        pairs = list(zip(value.shape, other.shape, strict=True))
        if any(a != b and (a, b) != self.sizes for a, b in pairs):
            axes = ", ".join(shown(a, b, self.sizes) or "…" for a, b in pairs)
            self.fail_number(f"{made} is [{axes}]", where)
        value.shape = tuple(BATCH if a != b else a for a, b in pairs)

    def constant(self, value: Value, tensor: Tensor, other: Value, again: Tensor) -> None:
        same = tensor is again
        if not same and (tensor.shape != again.shape or not torch.equal(tensor, again)):
            self.fail("a constant", "")
        self.pair(value, other)

    def op(self, op: Op, other: Op) -> None:
        if op.target is not other.target or len(op.outputs) != len(other.outputs):
            self.fail("which operations it runs", op.where)
        op.args = self.tree(op.args, other.args, op)
        op.kwargs = self.tree(op.kwargs, other.kwargs, op)
        for value, again in zip(op.outputs, other.outputs, strict=True):
            self.pair(value, again, op)

    def tree(self, a: Any, b: Any, op: Op) -> Any:
        if isinstance(a, (tuple, list)):
            if len(a) != len(b):
                self.fail(f"how many numbers {op.target} is given", op.where)
            return type(a)(self.tree(x, y, op) for x, y in zip(a, b, strict=True))
        if isinstance(a, dict):
            return {key: self.tree(a[key], b[key], op) for key in a}
        return self.leaf(a, b, op)

    def leaf(self, a: Any, b: Any, op: Op) -> Any:
        if isinstance(a, Value):
            if self.same.get(a) is not b:
                self.fail(f"what goes into {op.target}", op.where)
            return a
        if (a, b) == self.sizes and type(a) is int:
            return BATCH
        if a is not b and a != b and not (a != a and b != b):  # NaN is like itself
            whole = type(a) is type(b) is int
            if whole and (number := shown(a, b, self.sizes)):
                self.fail_number(f"{op.target} is given {number}", op.where)
            self.fail(f"what {op.target} is given", op.where)
        return a


def _drop_unused(program: Program) -> None:
    """Leave out what neither the results nor a name need."""
    program.names = {name: value for name, value in program.names.items() if value.batched}
    program.ops = needed_ops(program.ops, (*program.results, *program.names.values()))
    needed = {*program.results, *program.names.values()}
    needed.update(value for op in program.ops for value in op.inputs)
    program.parameters = {n: v for n, v in program.parameters.items() if v in needed}
    program.constants = {v: tensor for v, tensor in program.constants.items() if v in needed}


def _name_values(program: Program) -> None:
    """Give each value a name of its own: that of a variable where there is one."""
    taken: set[str] = set()

    def claim(value: Value, name: str) -> None:
        name = _variable(name)
        number, unique = 0, name
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        value.name = unique

    first_name: dict[Value, str] = {}
    for name in (*program.next_state, *program.names):
        value = program.next_state.get(name) or program.names[name]
        first_name.setdefault(value, name)
    for value in (program.x, *program.state.values()):
        first_name[value] = value.name
    for value, name in first_name.items():
        claim(value, name)
    rest = [*program.parameters.values(), *program.constants]
    rest += [value for op in program.ops for value in op.outputs]
    for value in rest:
        if value not in first_name:
            claim(value, value.name)


def _variable(name: str) -> str:
    """`name` as a variable of Python, without the underscore with which a renderer's own begin."""
    plain = name if name.isidentifier() else re.sub(r"\W", "_", name, flags=re.ASCII)
    plain = plain.lstrip("_")
    return plain if plain.isidentifier() and not iskeyword(plain) else f"v_{plain}"
