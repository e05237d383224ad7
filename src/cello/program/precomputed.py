"""Operations that run ahead of the loop: their results are further columns of its input.

An operation that needs no state and treats each row by itself need not be in the loop: it runs for
all steps at once, and what it makes becomes further columns of the input.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import torch

from cello.program.checks import check
from cello.program.graph import BATCH, Op, Program, Value, needed_ops
from cello.program.split import split

__all__ = ["Ahead", "ahead_of"]

aten: Any = torch.ops.aten


@dataclass(eq=False)
class Ahead:
    """What runs ahead of a loop, and what is left for the loop.

    Attributes:
        x: the input of the whole program.
        program: the rest; its input is that of the whole program, then the columns.
        ops: what runs ahead, in order.
        given: what `ops` read besides the input: parameters and constants.
        columns: the values that `ops` make for the rest; each flat, side by side.
        names: named values that only `ops` make.
    """

    x: Value
    program: Program
    ops: list[Op]
    given: list[Value]
    columns: list[Value]
    names: dict[str, Value]


def ahead_of(program: Program, wanted: Collection[Op]) -> Ahead | None:
    """Let the operations `wanted` run ahead of the loop; None if they need a state.

    >>> import cello
    >>> program = cello.program.capture(cello.ElmanCell(3, 2, bias=False))
    >>> ahead = ahead_of(program, [op for op in program.ops if op.name == "aten.mm.default"][:1])
    >>> print(ahead.program)
    ElmanCell: x = wide[B, 5], state = [h_prev[B, 2]]
      x, mm = aten.split_with_sizes.default(wide, [3, 2], 1)
      t_1 = aten.t.default(R)
      mm_1 = aten.mm.default(h_prev, t_1)
      z = aten.add.Tensor(mm, mm_1)
      h = aten.tanh.default(z)
      return h, ['h']
    """
    parts = split(program)
    early = {*parts.once, *parts.before}
    chosen = set(wanted)
    while True:
        if not early.issuperset(chosen):
            return None
        made = {value for op in chosen for value in op.outputs}
        ops = needed_ops(program.ops, made)
        rest = [op for op in program.ops if op not in ops or op in parts.once]
        rest = needed_ops(rest, {*program.results, *program.names.values()} - made)
        made = {value for op in ops if op not in parts.once for value in op.outputs}
        read = {value for op in rest for value in op.inputs}.union(program.results)
        columns = [v for op in ops for v in op.outputs if v in made and v in read]
        odd = {v for v in columns if v.dtype != program.x.dtype}
        readers = {op for op in rest if odd.intersection(op.inputs)}
        if not readers:
            break
        chosen.update(readers)
    if odd:  # a result
        return None
    inside = {value for op in ops for value in op.outputs} | {program.x}
    given = list(dict.fromkeys(v for op in ops for v in op.inputs if v not in inside))
    there = {value for op in rest for value in op.outputs}.union(
        columns, program.state.values(), [program.x]
    )
    names = {name: value for name, value in program.names.items() if value not in there}
    return Ahead(program.x, _rest(program, rest, columns, names), ops, given, columns, names)


def _rest(
    program: Program, ops: list[Op], columns: list[Value], names: dict[str, Value]
) -> Program:
    """The program without what runs ahead."""
    taken = {value.name for op in program.ops for value in op.outputs}
    taken.update(v.name for v in (program.x, *program.state.values(), *program.parameters.values()))
    taken.update(v.name for v in program.constants)

    def new(name: str, shape: tuple[Any, ...]) -> Value:
        while name in taken:
            name += "_"
        taken.add(name)
        return Value(name, shape, program.x.dtype)

    widths = [int(program.x.shape[1]), *(math.prod(value.shape[1:]) for value in columns)]
    wide = new("wide", (BATCH, sum(widths)))
    flat = [
        value if len(value.shape) == 2 else new(f"{value.name}_row", (BATCH, width))
        for value, width in zip((program.x, *columns), widths, strict=True)
    ]
    where = ops[0].where if ops else ""
    cut = Op(aten.split_with_sizes.default, (wide, widths, 1), {}, tuple(flat), True, where)
    shaped = [
        Op(aten.view.default, (row, list(value.shape)), {}, (value,), False, where)
        for value, row in zip((program.x, *columns), flat, strict=True)
        if value is not row
    ]
    kept = {name: value for name, value in program.names.items() if name not in names}
    return check(replace(program, x=wide, ops=[cut, *shaped, *ops], names=kept, derived={}))
