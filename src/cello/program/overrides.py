"""A program in which some values can be set: what they are set to comes in with the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from cello.program.checks import check
from cello.program.graph import BATCH, Op, Program, Value, map_leaves

__all__ = ["can_override", "with_overrides"]

aten: Any = torch.ops.aten


def can_override(program: Program, value: Value) -> bool:
    """Whether `with_overrides` can do it: a value with one row a sequence, of the input's dtype."""
    return value.batched and len(value.shape) == 2 and value.dtype == program.x.dtype


def with_overrides(program: Program, values: Sequence[Value]) -> Program:
    """The program with more columns in its input: for each of `values` a mask and new numbers.

    Where the mask, [B, size], is not 0, whatever reads the value gets the new number, [B, size].

    >>> import cello
    >>> program = cello.program.capture(cello.ElmanCell(3, 2, bias=False))
    >>> print(with_overrides(program, [program.names["h"]]))
    ElmanCell: x = wide[B, 7], state = [h_prev[B, 2]]
      x = aten.slice.Tensor(wide, 1, 0, 3)
      mask_0 = aten.slice.Tensor(wide, 1, 3, 5)
      new_0 = aten.slice.Tensor(wide, 1, 5, 7)
      set_0 = aten.ne.Scalar(mask_0, 0)
      t = aten.t.default(W)
      mm = aten.mm.default(x, t)
      t_1 = aten.t.default(R)
      mm_1 = aten.mm.default(h_prev, t_1)
      z = aten.add.Tensor(mm, mm_1)
      h = aten.tanh.default(z)
      h_0 = aten.where.self(set_0, new_0, h)
      return h_0, ['h_0']
    """
    return _Rewriter(program, values).program


class _Rewriter:
    def __init__(self, old: Program, values: Sequence[Value]) -> None:
        self.old = old
        self.ops: list[Op] = []
        self.instead: dict[Value, Value] = {}
        self.taken = {old.x.name, *(value.name for value in self._all())}
        sizes = [int(value.shape[1]) for value in values]
        width = int(old.x.shape[1]) + 2 * sum(sizes)
        self.wide = Value(self._name("wide"), (BATCH, width), old.x.dtype)
        self.column = 0
        self._cut(old.x)
        self.new: dict[Value, tuple[Value, Value, Value]] = {}
        for number, value in enumerate(values):
            mask, new = (self._like(value, f"{name}_{number}") for name in ("mask", "new"))
            self._cut(mask)
            self._cut(new)
            chosen = Value(self._name(f"set_{number}"), value.shape, torch.bool)
            self._op(aten.ne.Scalar, (mask, 0), chosen)
            self.new[value] = (chosen, new, self._like(value, f"{value.name}_{number}"))
        for value in (old.x, *old.state.values()):
            self._set(value)
        for op in old.ops:
            arguments, options = map_leaves(self._now, op.args), map_leaves(self._now, op.kwargs)
            self.ops.append(replace(op, args=arguments, kwargs=options))
            for value in op.outputs:
                self._set(value)
        self.program = check(
            replace(
                old,
                x=self.wide,
                ops=self.ops,
                output=self._now(old.output),
                next_state={name: self._now(value) for name, value in old.next_state.items()},
                names={name: self._now(value) for name, value in old.names.items()},
                derived={},
            )
        )

    def _all(self) -> list[Value]:
        old = self.old
        given = [*old.state.values(), *old.parameters.values(), *old.constants]
        return [*given, *(value for op in old.ops for value in op.outputs)]

    def _name(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _like(self, value: Value, name: str) -> Value:
        return Value(self._name(name), value.shape, value.dtype)

    def _op(self, target: Any, arguments: tuple[Any, ...], made: Value) -> None:
        self.ops.append(Op(target, arguments, {}, (made,), False, "cello.intervene"))

    def _cut(self, value: Value) -> None:
        """Take the next columns of the input for `value`."""
        end = self.column + int(value.shape[1])
        self._op(aten.slice.Tensor, (self.wide, 1, self.column, end), value)
        self.column = end

    def _set(self, value: Value) -> None:
        """From here on, its readers get what it is set to."""
        if value in self.new:
            chosen, new, made = self.new[value]
            self._op(aten.where.self, (chosen, new, value), made)
            self.instead[value] = made

    def _now(self, leaf: Any) -> Any:
        return self.instead.get(leaf, leaf) if isinstance(leaf, Value) else leaf
