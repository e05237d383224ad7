"""The arithmetic of one step for one unit, with its numbers filled in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from cello.errors import ArgumentError, ModelError
from cello.program import Program
from cello.program.order import incoming_names
from cello.see.arithmetic.one_step import evaluate, program_behind
from cello.see.arithmetic.scalars import ScalarFormulas
from cello.see.arithmetic.terms import Term
from cello.see.formulas.notation import Expression, Number, Part, Symbol
from cello.see.formulas.styles import Latex, Style
from cello.see.names import find
from cello.see.numbers import short, whole
from cello.see.recording.recorded import Recorded
from cello.see.recording.rows import LayerRows

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
    left: Expression
    formula: Expression

    def write(self, style: Style) -> tuple[str, str]:
        """Both sides of the first sign of equality."""
        right = f"{self.formula.side(style)} = {Number(self.value).write(style)}"
        return self.left.write(style), right


@dataclass(frozen=True)
class Explanation:
    """The arithmetic of one step: a line for each value, in the order in which they are made.

    Print it, or take its `latex()`; a notebook shows it as formulas.
    """

    lines: tuple[Line, ...]
    digits: int = 5

    def __repr__(self) -> str:
        return self._written(Style(self.digits, numbers=True))

    def latex(self) -> str:
        """As LaTeX for math mode: an `aligned` block."""
        return self._written(Latex(self.digits, numbers=True))

    def _written(self, style: Style) -> str:
        return style.equations(line.write(style) for line in self.lines)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def explain(
    recording: Recorded,
    t: int,
    unit: int = 0,
    layer: str | None = None,
    batch: int = 0,
    names: str | Iterable[str] | None = None,
    *,
    terms: int = 6,
    digits: int = 5,
) -> Explanation:
    """The arithmetic of one step for one unit, with its numbers filled in.

    It is derived from the traced step, so it holds for a cell of your own as for ours: each
    value is shown as computed from the nearest values that have a name. In products the
    weight stands first, then what it weighs. The arithmetic is carried out again before it
    is shown, and must give what was recorded.

    Args:
        recording: what was recorded.
        t: which step, from 0.
        unit: which unit of each value; a value with fewer units is left out.
        layer: which layer and direction; not needed if there is only one.
        batch: which sequence.
        names: which values; all that the step computes unless given.
        terms: of a sum of more products than these, the largest ones are shown, and how many there
            are besides ("… + 2 more terms"); `terms=1000` shows them all.
        digits: significant digits.

    Returns:
        An explanation: print it, or take its `.latex()`.

    Raises:
        ArgumentError: there is no such step, unit or sequence, or the layer is not given.
        UnknownNameError: no value has one of these names, or no layer this name.
        CaptureError: the cell's step cannot be traced, says why.
        ModelError: the parameters changed since the recording, or there are none: a recording
            that comes from a file needs `cello.load_recording(path, net)`.

    >>> import cello
    >>> layer = cello.Recurrent(cello.ElmanCell(2, 1, activation="relu", bias=False))
    >>> _ = nn.init.constant_(layer.cell.W, 2.0), nn.init.constant_(layer.cell.R, 0.5)
    >>> rec = cello.record(layer, torch.tensor([[1.0, 2.0], [3.0, -5.0]]))
    >>> print(rec.explain(t=1))
    z = 2·3 + 2·(−5) + 0.5·6 = −1
    h = relu(−1) = 0
    """
    rows = recording.layer(layer)
    t, unit, terms = whole("t", t), whole("unit", unit), whole("terms", terms)
    program = program_behind(rows)
    row = rows.row_of(t, batch)
    evaluation, place = evaluate(rows, program, row)  # of all rows of this step
    elements = ScalarFormulas(evaluation, rows.rows, terms)
    lines = []
    for name in _names(rows, program, names):
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


def _names(rows: LayerRows, program: Program, names: str | Iterable[str] | None) -> list[str]:
    """The names of the lines, in the order of the step."""
    made = [name for name in rows.rows if name not in incoming_names(program)]
    if names is None:
        return made
    asked = [names] if isinstance(names, str) else list(names)
    prefix = f"{rows.layer}." if rows.layer else ""
    found = {find(name.removeprefix(prefix), made) for name in asked}
    return [name for name in made if name in found]


def _check(elements: ScalarFormulas, term: Term, recorded: Tensor, what: str) -> None:
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
    limit = 32 * elements.rounding * size + torch.finfo(recorded.dtype).tiny
    if abs(computed.item() - recorded.item()) > limit:
        raise ModelError(
            f"{what} was recorded as {short(recorded.item(), 9)}, but the net as it is now gives "
            f"{short(computed.item(), 9)}: record again, with the net that is to be explained "
            "(what cello.intervene has set has no arithmetic; choose others with names=)"
        )
