"""The arithmetic of a unit at any step: what changes from step to step is left open.

A line is written once for a unit, as `Recording.explain` writes it, but with the name and place of
a recorded number instead of the number. Whoever has the numbers can fill in the line at every step,
without the net.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cello.errors import CaptureError, ModelError, UnknownNameError
from cello.program import Op, Value
from cello.program.movement import MOVES
from cello.program.operations import facts
from cello.program.order import incoming_names
from cello.see.arithmetic.consistency import disagreeing
from cello.see.arithmetic.evaluation import Evaluation
from cello.see.arithmetic.one_step import evaluate_rows, program_behind
from cello.see.arithmetic.reductions import is_shown_whole, length
from cello.see.arithmetic.scalars import ScalarFormulas
from cello.see.arithmetic.terms import Pairs, Term, Written
from cello.see.formulas.notation import Expression, Part, Symbol
from cello.see.formulas.styles import ATOM, SUM, Style
from cello.see.recording.rows import LayerRows

__all__ = ["LineTemplate", "LineTemplates", "line_templates"]

#: Text, and in turn with it what is open: [name, place] for a number of a value, or, for the sum of
#: a number of products, [how many, factor, ...], where the factor [name, place, step] is a number
#: of the value further on by `step` in each product. Where a whole number stands instead of a name,
#: it is that of one of `LineTemplates.fixed`.
LineTemplate = list[str | list[object]]


@dataclass
class LineTemplates:
    """The lines of one layer.

    Attributes:
        units: for each unit its lines, by the name of the value.
        fixed: numbers that are the same at every step, each flat.
        parameters: by their numbers in `fixed`, the names of those that are parameters of the cell.
        terms: how many terms of a sum that is left open are to be written: the largest ones.
    """

    terms: int
    units: list[dict[str, LineTemplate]] = field(default_factory=list)
    fixed: list[Tensor] = field(default_factory=list)
    parameters: dict[int, str] = field(default_factory=dict)


def line_templates(
    runs: Sequence[LayerRows],
    names: Iterable[str] | None = None,
    terms: int = 6,
    *,
    is_open: bool = False,
) -> LineTemplates:
    """The lines of every unit of a layer, as far as they can be written without a step's numbers.

    Left out are lines that need numbers that were not recorded, or whose form depends on numbers,
    and values that were recorded otherwise than the step makes them.

    Args:
        runs: of the same layer; the lines hold for all steps of all of them.
        names: the values whose numbers the reader of the lines will have; all recorded ones unless
            given.
        terms: see `LineTemplates`.
        is_open: whether the numbers of parameters are left open too, so that the lines hold for
            other ones.

    >>> import cello
    >>> net = cello.Recurrent(cello.ElmanCell(1, 1, bias=False))
    >>> _ = torch.nn.init.constant_(net.cell.W, 2.0), torch.nn.init.constant_(net.cell.R, 0.5)
    >>> rec = cello.record(net, torch.ones(2, 1, 1))
    >>> line_templates([rec.layer(None)]).units[0]["h"]
    ['h = tanh(', ['z', 0], ') = ', ['h', 0], '']
    """
    found = LineTemplates(terms)
    runs = [rows for rows in runs if len(next(iter(rows.rows.values()), ()))]
    try:
        programs = [program_behind(rows) for rows in runs]
    except (CaptureError, ModelError):
        return found
    if not runs:
        return found
    unwritten = set(incoming_names(programs[0]))
    for rows, program in zip(runs, programs, strict=True):
        unwritten |= disagreeing(rows, program)
    known = {
        name: math.prod(tensor.shape[1:])
        for name, tensor in runs[0].rows.items()
        if names is None or name in names
    }
    writer = _Writer(evaluate_rows(runs[0], programs[0], 0, 1), known, terms)
    paths = {value: name for name, value in programs[0].parameters.items()}
    writer.parameters = paths if is_open else {}
    sizes = {name: size for name, size in known.items() if name not in unwritten}
    for unit in range(max(sizes.values(), default=0)):
        lines = {name: writer.open(name, unit, size) for name, size in sizes.items() if unit < size}
        found.units.append({name: line for name, line in lines.items() if line is not None})
    found.fixed = [writer.flat(value) for value in writer.referred]
    found.parameters = {n: paths[v] for v, n in writer.referred.items() if v in paths}
    return found


class _Unwritable(Exception):
    """A line that needs more than recorded numbers."""


@dataclass(frozen=True)
class _Hole(Expression):
    """The place of a number that is left open."""

    what: list[object]
    mark = "\0"

    def binds(self, style: Style) -> int:
        return ATOM if isinstance(self.what[0], str) else SUM

    def write(self, style: Style) -> str:
        return f"{self.mark}{json.dumps(self.what)}{self.mark}"


class _Parameter(Symbol):
    """The place of a parameter's number that is left open: `name` says which."""

    def write(self, style: Style) -> str:
        return f"{_Hole.mark}{self.name}{_Hole.mark}"


class _Writer(ScalarFormulas):
    """Writes elements of a single row, with holes where they have recorded numbers."""

    style = Style(numbers=True)

    def __init__(self, evaluation: Evaluation, names: Iterable[str], limit: int) -> None:
        super().__init__(evaluation, names, limit)
        self.referred: dict[Value, int] = {}  # fixed values that are left open, and their numbers
        self.parameters: dict[Value, str] = {}  # those that are left open

    def open(self, name: str, unit: int, size: int) -> LineTemplate | None:
        """The line of a unit, if it can be written."""
        try:
            term = self.line(name, unit)
        except (_Unwritable, UnknownNameError):
            return None
        left = Symbol(name) if size == 1 else Part(Symbol(name), unit)
        sides: tuple[Expression, ...] = left, term.shown, _Hole([name, unit])
        texts = " = ".join(side.side(self.style) for side in sides).split(_Hole.mark)
        return [json.loads(text) if number % 2 else text for number, text in enumerate(texts)]

    def number(self, value: Value, element: int) -> Term:
        term = super().number(value, element)
        if value in self.parameters:
            place = json.dumps([self._refer(value), element])
            return Term(_Parameter(place, fixed=True), term.value, term.name)
        if value in self.fixed or value in self.evaluation.unknown:
            self._check_closed(value)
            return term
        if value not in self.named:
            raise _Unwritable
        return Term(_Hole([self.named[value], element]), term.value, term.name)

    def products(self, pairs: Pairs) -> Written:
        left, left_at, right, right_at = pairs
        if len(left_at) <= self.limit + 1:
            return super().products(pairs)
        factors = [*self._factors(left, left_at), *self._factors(right, right_at)]
        known = self.flat(left)[left_at] @ self.flat(right)[right_at]
        return [_Hole([len(left_at), *factors])], known.double(), 0.0

    def _factors(self, value: Value, at: Tensor) -> list[object]:
        """The factors of the products at these places of a value."""
        op = self.maker.get(value)
        if self.parameters and value in self.fixed and op is not None:
            return self._moved_factors(op, value, at)
        if value in self.fixed or value in self.named:
            first, step = int(at[0]), int(at[1] - at[0])
            if not torch.equal(at, first + step * torch.arange(len(at))):
                raise _Unwritable
            if value in self.named:
                return [[self.named[value], first, step]]
            return [[self._refer(value), first, step]]
        if op is None or not self._is_product(op):
            raise _Unwritable
        shape = self.values[value].shape
        places = {a: self.broadcast(self.values[a].shape, shape)[at] for a in op.inputs}
        return [factor for a in op.args for factor in self._factors(a, places[a])]

    def _moved_factors(self, op: Op, value: Value, at: Tensor) -> list[object]:
        """Of a parameter's numbers in other places, the parameter itself."""
        if op.target._opname not in MOVES or not isinstance(op.args[0], Value):
            raise _Unwritable
        (first, *others), origin = self._origins(op, value)
        places = origin[at] - 1
        if others or bool((places < 0).any()):
            raise _Unwritable
        return self._factors(first, places)

    def _refer(self, value: Value) -> int:
        return self.referred.setdefault(value, len(self.referred))

    def _check_closed(self, value: Value) -> None:
        """That a number which is written does not depend on parameters that are left open."""
        is_made = value in self.fixed and value not in self.evaluation.program.constants
        if self.parameters and is_made:
            raise _Unwritable

    @staticmethod
    def _is_product(op: Op) -> bool:
        return op.target._opname == "mul" and all(isinstance(a, Value) for a in op.args)

    def _moved(self, op: Op, value: Value, element: int) -> Term:
        first = op.args[0]
        moved = {first} if isinstance(first, Value) else set(first)
        if not self.fixed.issuperset(set(op.inputs) - moved):  # such as an index
            raise _Unwritable
        return super()._moved(op, value, element)

    def _reduced(self, op: Op, value: Value, element: int) -> Term:
        can_be_open = facts(op).kind == "product"
        if can_be_open or (is_shown_whole(op) and length(self, op) <= self.limit + 1):
            return super()._reduced(op, value, element)
        raise _Unwritable
