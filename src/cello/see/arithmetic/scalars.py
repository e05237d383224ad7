"""One element of one value, written as arithmetic on the nearest numbers that have a name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from cello.errors import UnknownNameError
from cello.program import Op, Value, is_random
from cello.program.expand import expanded
from cello.program.movement import MOVES, sources
from cello.see.arithmetic.evaluation import Evaluation
from cello.see.arithmetic.reductions import products, rule_of
from cello.see.arithmetic.terms import Pairs, Term, Written
from cello.see.formulas.notation import Expression, FunctionCall, Number, Part, Symbol
from cello.see.formulas.writing import (
    PARTS,
    by_numbers,
    called,
    cut_off,
    fixed_values,
    is_pointwise,
    write,
)

__all__ = ["ScalarFormulas"]

BUDGET = 100  # operations written out in a line; what lies deeper is only a number


class ScalarFormulas:
    """Writes elements of the values of one step.

    Attributes:
        values: the numbers of every value of the step.
        named: what is shown as a number, by name.
        limit: how many terms of a longer sum are written.
        used: every number that came up in a line, and its size or that of what was added up to it.
        is_exact: False once a number came up that is not known.
        rounding: the coarsest of the types that came up, relative: one unit in its last place.
    """

    def __init__(self, evaluation: Evaluation, names: Iterable[str], limit: int) -> None:
        program = evaluation.program
        self.evaluation, self.limit = evaluation, limit
        self.named: dict[Value, str] = {}
        for name in names:
            self.named.setdefault(program.names[name], name)
        self.values, self.flat = evaluation.values, evaluation.flat
        self.maker = program.maker()
        self.fixed_names = {value: name for name, value in program.parameters.items()}
        self.fixed_names |= dict.fromkeys(program.constants, "constant")
        self.fixed = fixed_values(program)
        self.cut_off = cut_off(program)
        self.incoming = {program.x: "x"} | {v: f"{n}_prev" for n, v in program.state.items()}
        self._sources: dict[Op, list[tuple[list[Value], Tensor]]] = {}
        self._indices: dict[tuple[torch.Size, torch.Size], Tensor] = {}

    def line(self, name: str, element: int) -> Term:
        """How this element of a named value was made; for a second name of a value, its number."""
        self.whole = value = self.evaluation.program.names[name]
        self.used: list[tuple[Tensor, Tensor]] = []
        self.is_exact, self.rounding = True, _eps_of(value)
        self.budget = BUDGET
        self.inside = False
        is_second = self.named[value] != name
        return self.number(value, element) if is_second else self._made(value, element)

    def of(self, value: Value, element: int) -> Term:
        """The element as a number if it has a name, else how it was made."""
        if value in self.named or value in self.fixed_names:
            return self.number(value, element)
        return self._made(value, element)

    def number(self, value: Value, element: int) -> Term:
        """Nothing but the number."""
        if value in self.evaluation.missing:
            self._refuse()
        number = self.flat(value)[element]
        fixed = value in self.fixed
        name = self.named.get(value) or self.fixed_names.get(value)
        whole = self.values[value].numel() // (self.evaluation.rows if value.batched else 1)
        shown: Expression | None = None if name is None else Symbol(name, fixed)
        if shown is not None and whole > 1:
            shown = Part(shown, element % whole)
        if value in self.evaluation.unknown:
            self.is_exact = False
            return Term(Symbol("random"), number, shown)
        return Term(Number(number.item(), fixed), self.use(number), shown)

    def use(self, number: Tensor, size: float | None = None) -> Tensor:
        """Note a number that came up; its rounding error is proportional to `size`, else to it."""
        if number.is_complex():
            self.is_exact = False  # how its rounding counts is not known
        if not number.is_floating_point():
            return number
        if not number.requires_grad:
            number = number.double().clone().requires_grad_()
        self.used.append((number, number.detach().abs() if size is None else torch.tensor(size)))
        return number

    def products(self, pairs: Pairs) -> Written:
        """A sum of products."""
        return products(self, pairs)

    def written(self, value: Value, element: int) -> Term:
        """Inside of a sum of products: a number, if it would itself be such a sum."""
        before, self.inside = self.inside, True
        term = self.of(value, element)
        self.inside = before
        return term

    def _made(self, value: Value, element: int) -> Term:
        if value in self.evaluation.missing and value not in self.maker:
            self._refuse()
        self.rounding = max(self.rounding, _eps_of(value))
        op = self.maker.get(value)
        if op is None:
            return self.number(value, element)
        name = op.target._opname
        if value in self.cut_off:
            term = self.of(op.args[0], element)
            return Term(FunctionCall(name, (term.expression,)), term.value)
        if name in MOVES and isinstance(op.args[0], (Value, list, tuple)):
            return self._moved(op, value, element)
        if is_random(op):
            self.is_exact = False
            return Term(by_numbers(op), torch.tensor(torch.nan))
        self.budget -= 1
        if self.budget < 0 or not op.inputs:
            return self.number(value, element)
        if name == "view_as_real":
            return self._part(op, element)
        if rule_of(op) is not None:
            return self._reduced(op, value, element)
        if is_pointwise(op):
            return self._pointwise(op, value, element)
        if self._taken_apart(op):
            return self._made(value, element)
        return self._called(op, value, element)

    def _taken_apart(self, op: Op) -> bool:
        """Put those that an operation is made of in its place, if there are any."""
        parts = expanded(op, self.evaluation.program.x.dtype)
        if parts == [op]:
            return False
        self.evaluation.take(parts)
        for part in parts:
            self.maker.update(dict.fromkeys(part.outputs, part))
            if self.fixed.issuperset(part.inputs):
                self.fixed.update(part.outputs)
        return True

    def _origins(self, op: Op, value: Value) -> tuple[list[Value], Tensor]:
        """Where the elements of one of the operation's results come from; see `sources`."""
        if op not in self._sources:
            self._sources[op] = sources(op, self.values, self.evaluation.run)
        return self._sources[op][op.outputs.index(value)]

    def _moved(self, op: Op, value: Value, element: int) -> Term:
        self._check_known(op)
        inputs, origin = self._origins(op, value)
        number = int(origin[element]) - 1
        if number < 0:  # not moved here, but filled in
            return self.number(value, element)
        for source in inputs:
            if number < self.values[source].numel():
                return self.of(source, number)
            number -= self.values[source].numel()
        raise AssertionError(op)

    def _part(self, op: Op, element: int) -> Term:
        """The real or the imaginary part of a complex number: they lie side by side."""
        self._check_known(op)
        number, is_imaginary = divmod(element, 2)
        term = self.of(op.args[0], number)
        value = torch.view_as_real(term.value)[is_imaginary]
        return Term(FunctionCall(PARTS[is_imaginary], (term.expression,)), value)

    def _reduced(self, op: Op, value: Value, element: int) -> Term:
        self._check_known(op)
        if self.evaluation.unknown.intersection(op.inputs):  # of random numbers without a name
            self.is_exact = False
            return Term(Symbol("random"), torch.tensor(torch.nan))
        if self.inside:
            return self.number(value, element)
        rule = rule_of(op) if op.kwargs.get("dtype") is None else None
        found = rule and rule(self, op, value, element)
        if found is None:
            return self._called(op, value, element)
        expression, result, size = found
        return Term(expression, self.use(result, size))

    def _pointwise(self, op: Op, value: Value, element: int) -> Term:
        self._check_known(op)
        shape = self.values[value].shape
        terms: dict[Value, Term] = {}
        for source in op.inputs:
            if source not in terms:
                place = self.broadcast(self.values[source].shape, shape)[element]
                terms[source] = self.of(source, int(place))

        expression = write(op, lambda source: terms[source].expression)
        try:
            known = {source: term.value for source, term in terms.items()}
            results = self.evaluation.run(op, known=known)
        except (RuntimeError, TypeError):  # an operation that wants more axes than none
            return self._called(op, value, element)
        result = results[op.outputs.index(value)]
        if result.grad_fn is not None and "NotImplemented" in result.grad_fn.name():
            result = result.detach()  # such as heaviside, which has no slope
        return Term(expression, self.use(result))

    def broadcast(self, small: torch.Size, large: torch.Size) -> Tensor:
        """For each element of `large`, which of `small` goes with it."""
        if (small, large) not in self._indices:
            numbers = torch.arange(small.numel()).reshape(small)
            self._indices[small, large] = numbers.broadcast_to(large).flatten()
        return self._indices[small, large]

    def _called(self, op: Op, value: Value, element: int) -> Term:
        """An operation that cannot be taken apart: a function of what has a name."""
        self._check_known(op)
        names = [
            Symbol(self.named.get(source) or self.fixed_names[source])
            for source in self._behind(op.inputs)
            if source in self.named or source in self.fixed_names
        ]
        known = self.number(value, element)
        return Term(called(op, value, names), known.value)

    def _behind(self, values: Iterable[Value]) -> list[Value]:
        """All that these were made from, back to what has a name, nearest first."""
        found: dict[Value, None] = dict.fromkeys(values)
        ahead = list(found)
        for source in ahead:
            if source not in self.named and source in self.maker:
                new = [v for v in self.maker[source].inputs if v not in found]
                found.update(dict.fromkeys(new))
                ahead += new
        return ahead

    def _check_known(self, op: Op) -> None:
        for source in op.inputs:
            if source in self.evaluation.missing:
                self._refuse()

    def _refuse(self) -> None:
        """Name what would have to be recorded to show the arithmetic of this line."""
        behind = self._behind(self.maker[self.whole].inputs)
        needed = {self.incoming[v] for v in behind if v in self.incoming and v not in self.named}
        raise UnknownNameError(
            f"the arithmetic needs {' and '.join(sorted(needed))}, which this recording does "
            "not hold: record with a wider only=, or without it"
        )


def _eps_of(value: Value) -> float:
    """One unit in the last place of 1 in a value's type; 0 for whole numbers."""
    real = value.dtype.is_floating_point or value.dtype.is_complex
    return torch.finfo(value.dtype).eps if real else 0.0
