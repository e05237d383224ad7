"""Traces of one step at several batch sizes → one program that holds for every batch size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from keyword import iskeyword
from typing import Any, NoReturn

import torch
from torch import Tensor

from cello.errors import CaptureError
from cello.program.checks import check
from cello.program.graph import BATCH, Op, Program, Value, map_leaves, needed_ops
from cello.program.movement import SAME
from cello.program.sizes import said, shown
from cello.program.trace.fills import fill_anew

__all__ = ["merge"]

aten: Any = torch.ops.aten

_VIEWS = {aten.view.default, aten._unsafe_view.default}


def merge(
    programs: Sequence[Program], sizes: Sequence[int], varies: str, instead: str = ""
) -> Program:
    """Turn the first trace into a program for every batch size, by comparison with the others.

    Args:
        programs: the traces.
        sizes: the batch size of each.
        varies: what is said of what must not differ between them but does.
        instead: what fuses in its place.

    Raises:
        CaptureError: the traces differ in more than the batch size.
    """
    for program in programs:  # PyTorch looks again at views, where gradients go through them
        program.ops = needed_ops(program.ops, (*program.results, *program.names.values()))
    first, *others = programs
    merger = _Merger(first, tuple(sizes), varies, instead)
    merger.pair(first.x, [other.x for other in others])
    for name, value in first.state.items():
        merger.pair(value, [other.state[name] for other in others])
    for name, value in first.parameters.items():
        merger.pair(value, [other.parameters.get(name, value) for other in others])
    for constants in zip(*(program.constants for program in programs), strict=False):
        tensors = [p.constants[value] for p, value in zip(programs, constants, strict=True)]
        merger.constant(constants, tensors)
    copies: set[Op] = set()
    if any(len(other.ops) != len(first.ops) for other in others):
        copies.update(_copies(first))
        for other in others:
            _drop(other, _copies(other))
    if any(len(other.ops) != len(first.ops) - len(copies) for other in others):
        merger.fail("how many operations it runs", _where_other(programs))
    rest = iter(zip(*(other.ops for other in others), strict=True))
    for op in first.ops:
        if op in copies:
            merger.copy(op)
        else:
            merger.op(op, list(next(rest)))
    fill_anew(first.ops)
    _drop_unused(first)
    _name_values(first)
    return check(first)


class _Merger:
    def __init__(self, program: Program, sizes: tuple[int, ...], varies: str, instead: str) -> None:
        self.step, self.sizes = program.step, sizes
        self.varies, self.instead = varies, f"; {instead}" if instead else ""
        self.same: dict[Value, list[Value]] = {}

    def fail(self, what: str, where: str) -> NoReturn:
        self._raise(f"{what} {self.varies}", where)

    def fail_number(self, what: str, where: str) -> NoReturn:
        self._raise(f"{what}, where of the batch size only B itself can stand", where)

    def _raise(self, what: str, where: str) -> NoReturn:
        line = f" {said(where)}" if where else ""
        raise CaptureError(f"{self.step} cannot be captured: {what}{line}{self.instead}")

    def shown(self, numbers: Sequence[int]) -> str | None:
        """What the numbers of all traces are, if it is the same between the first and each."""
        (a, *others), (size, *sizes) = numbers, self.sizes
        said = {shown(a, b, (size, other)) for b, other in zip(others, sizes, strict=True)}
        return said.pop() if len(said) == 1 else None

    def pair(self, value: Value, others: list[Value], op: Op | None = None) -> None:
        self.same[value] = others
        made = f"the result of {op.function}" if op is not None else value.name
        where = op.where if op is not None else ""
        if any(len(other.shape) != len(value.shape) for other in others):
            self.fail(f"the number of axes of {made}", where)
        axes = list(zip(value.shape, *(other.shape for other in others), strict=True))
        if any(len(set(axis)) > 1 and axis != self.sizes for axis in axes):
            each = ", ".join(self.shown(axis) or "…" for axis in axes)
            self.fail_number(f"{made} is [{each}]", where)
        value.shape = tuple(BATCH if axis == self.sizes else axis[0] for axis in axes)

    def constant(self, values: tuple[Value, ...], tensors: list[Tensor]) -> None:
        first, *others = tensors
        made_anew = all(other is not first for other in others)
        if made_anew and first.dtype == torch.int64:
            values[0].numbers = first.tolist()
        for other in others:
            same = other is first
            if not same and (first.shape != other.shape or not torch.equal(first, other)):
                self.fail("a constant", "")
        self.pair(values[0], list(values[1:]))

    def copy(self, op: Op) -> None:
        """A copy that only the first trace makes."""
        self.pair(op.outputs[0], self.same[op.args[0]], op)

    def op(self, op: Op, others: list[Op]) -> None:
        for other in others:
            alike = {op.target, other.target} <= _VIEWS
            if (op.target is not other.target and not alike) or len(op.outputs) != len(
                other.outputs
            ):
                self.fail("which operations it runs", op.where)
        self.body(op, others)
        op.args = self.tree(op.args, [other.args for other in others], op)
        op.kwargs = self.tree(op.kwargs, [other.kwargs for other in others], op)
        for value, *again in zip(op.outputs, *(other.outputs for other in others), strict=True):
            if value not in self.same:  # the body makes it
                self.pair(value, again, op)
        if op.target._opname in SAME and isinstance(op.args[0], Value):
            op.outputs[0].numbers = op.args[0].numbers

    def body(self, op: Op, others: list[Op]) -> None:
        """The operations of a function of the step's own, where they are alike."""
        bodies = [one.body for one in (op, *others) if one.body is not None]
        if len({len(body) for body in bodies}) != 1 or len(bodies) != len(self.sizes):
            op.body = None
        try:
            for part, *again in zip(*bodies, strict=True) if op.body is not None else ():
                self.op(part, again)
        except CaptureError:  # it does something else for other batch sizes
            op.body = None

    def tree(self, a: Any, others: list[Any], op: Op) -> Any:
        if isinstance(a, (tuple, list)):
            if any(len(b) != len(a) for b in others):
                self.fail(f"how many numbers {op.function} is given", op.where)
            return type(a)(self.tree(x, list(y), op) for x, *y in zip(a, *others, strict=True))
        if isinstance(a, dict):
            return {key: self.tree(a[key], [b[key] for b in others], op) for key in a}
        return self.leaf(a, others, op)

    def leaf(self, a: Any, others: list[Any], op: Op) -> Any:
        if isinstance(a, Value):
            if self.same.get(a) != others:
                self.fail(f"what goes into {op.function}", op.where)
            return a
        numbers = (a, *others)
        if numbers == self.sizes and type(a) is int:
            return BATCH
        for b in others:
            if a is not b and a != b and not (a != a and b != b):  # NaN is like itself
                whole = {type(number) for number in numbers} == {int}
                if whole and (number := self.shown(numbers)):
                    self.fail_number(f"{op.function} is given {number}", op.where)
                self.fail(f"what {op.function} is given", op.where)
        return a


def _where_other(programs: Sequence[Program]) -> str:
    """The first line that runs more operations in one program than in another."""
    counts = [Counter(op.where for op in program.ops) for program in programs]
    lines = (op.where for program in programs for op in program.ops)
    return next((line for line in lines if len({count[line] for count in counts}) > 1), "")


def _copies(program: Program) -> list[Op]:
    """The copies that `reshape` and `contiguous` make of tensors that are not contiguous.

    A tensor of a single row is contiguous more often, so that traces differ in them.
    """
    cuts = any(op.grad for op in program.ops)  # without, where others have them: by the step
    made = [op for op in program.ops if op.target is aten.clone.default and (op.grad or not cuts)]
    return [op for op in made if "memory_format" in op.kwargs]


def _drop(program: Program, copies: list[Op]) -> None:
    """Let the operations of a trace read the originals in place of the copies."""
    same: dict[Value, Value] = {}

    def original(leaf: Any) -> Any:
        return same.get(leaf, leaf) if isinstance(leaf, Value) else leaf

    for op in program.ops:
        op.args = map_leaves(original, op.args)
        if op in copies:
            same[op.outputs[0]] = op.args[0]
    program.ops = [op for op in program.ops if op not in copies]
    program.output = original(program.output)
    program.next_state = map_leaves(original, program.next_state)
    program.names = map_leaves(original, program.names)


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
    rest += [value for op in program.ops for value in (*op.inner, *op.outputs)]
    for value in rest:
        if value not in first_name:
            claim(value, value.name)


def _variable(name: str) -> str:
    """`name` as a variable of Python, without the underscore with which a renderer's own begin."""
    plain = name if name.isidentifier() else re.sub(r"\W", "_", name, flags=re.ASCII)
    plain = plain.lstrip("_")
    return plain if plain.isidentifier() and not iskeyword(plain) else f"v_{plain}"
