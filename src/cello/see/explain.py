"""The arithmetic of one step for one unit, with its numbers filled in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cello.errors import ArgumentError, ModelError
from cello.program import Program
from cello.see.elements import Elements, Term
from cello.see.names import find
from cello.see.notation import Node, Number, Part, Symbol
from cello.see.numbers import short, whole
from cello.see.one_step import evaluate, program_behind, row_of
from cello.see.rows import LayerRows
from cello.see.source import incoming_names
from cello.see.styles import Latex, Style

if TYPE_CHECKING:
    from cello.see.recording import Recording

__all__ = ["Explanation", "Line", "explain"]


@dataclass(frozen=True)
class Line:
    """What one value is computed from.

    Attributes:
        name: of the value.
        unit: which of its units.
        value: what was recorded.
        left: its name as it is written.
        formula: the arithmetic.
    """

    name: str
    unit: int
    value: float | complex
    left: Node
    formula: Node

    def write(self, style: Style) -> tuple[str, str]:
        """Both sides of the first sign of equality."""
        right = f"{self.formula.write(style)} = {Number(self.value).write(style)}"
        return self.left.write(style), right


@dataclass(frozen=True)
class Explanation:
    """The arithmetic of one step: a line for each value, in the order in which they are made.

    Print it, or take its `latex()`; a notebook shows it as formulas.
    """

    lines: tuple[Line, ...]
    digits: int = 5

    def __repr__(self) -> str:
        style = Style(self.digits, numbers=True)
        return "\n".join(" = ".join(line.write(style)) for line in self.lines)

    def latex(self) -> str:
        """As LaTeX for math mode: an `aligned` block."""
        style = Latex(self.digits, numbers=True)
        lines = [" &= ".join(line.write(style)) for line in self.lines]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def explain(
    recording: Recording,
    t: int,
    unit: int,
    layer: str | None,
    batch: int,
    names: str | Iterable[str] | None,
    *,
    terms: int,
    digits: int,
) -> Explanation:
    """See `Recording.explain`."""
    rows = recording.layer(layer)
    t, unit, terms = whole("t", t), whole("unit", unit), whole("terms", terms)
    program = program_behind(rows)
    row = row_of(rows, t, batch)
    elements, place = _elements(rows, program, row, terms)
    chosen = _names(rows, program, names)
    lines = []
    for name in chosen:
        size = rows.rows[name][0].numel()
        if unit not in range(size):
            if names is not None:
                raise ArgumentError(f"unit={unit} is no unit of {name}, which has {size}")
            continue
        recorded = rows.rows[name][row].flatten()[unit].detach().cpu()
        term = elements.line(name, place * size + unit)
        _check(elements, term, recorded, f"{name}[{unit}] at t={t}")
        left = Symbol(name) if size == 1 else Part(Symbol(name), unit)
        lines.append(Line(name, unit, recorded.item(), left, term.shown))
    if not lines:
        largest = max((tensor[0].numel() for tensor in rows.rows.values()), default=0)
        raise ArgumentError(f"unit={unit} is no unit of any value; the largest has {largest}")
    return Explanation(tuple(lines), digits)


def _elements(rows: LayerRows, program: Program, row: int, terms: int) -> tuple[Elements, int]:
    """The elements of the step that `row` belongs to, and its place among the rows of the step."""
    evaluation, place = evaluate(rows, program, row)
    return Elements(evaluation, rows.rows, terms), place


def _names(rows: LayerRows, program: Program, names: str | Iterable[str] | None) -> list[str]:
    """The names of the lines, in the order of the step."""
    made = [name for name in rows.rows if name not in incoming_names(program)]
    if names is None:
        return made
    asked = [names] if isinstance(names, str) else list(names)
    prefix = f"{rows.layer}." if rows.layer else ""
    found = {find(name.removeprefix(prefix), made) for name in asked}
    return [name for name in made if name in found]


def _check(elements: Elements, term: Term, recorded: Tensor, what: str) -> None:
    """Check that the arithmetic gives what was recorded, but for the rounding of its numbers.

    Raises:
        ModelError: it does not.
    """
    if not elements.is_exact or not recorded.is_floating_point():
        return
    computed = term.value.detach().double()
    if not (computed.isfinite() and recorded.isfinite()):
        return
    numbers = [(n, size) for n, size in elements.used if n.requires_grad]
    slopes: list[Tensor | None] = [None] * len(numbers)
    if term.value.requires_grad:
        slopes = list(torch.autograd.grad(term.value, [n for n, _ in numbers], allow_unused=True))
    size = abs(recorded.item()) + sum(
        float((slope.abs() * size).sum())
        for slope, (_, size) in zip(slopes, numbers, strict=True)
        if slope is not None
    )
    limit = 32 * torch.finfo(recorded.dtype).eps * size + torch.finfo(recorded.dtype).tiny
    if abs(computed.item() - recorded.item()) > limit:
        raise ModelError(
            f"{what} was recorded as {short(recorded.item(), 9)}, but the net as it is now gives "
            f"{short(computed.item(), 9)}: record again, with the net that is to be explained "
            "(what cello.intervene has set has no arithmetic; choose others with names=)"
        )
