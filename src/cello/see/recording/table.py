"""A recording as a table: one row a step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from cello.errors import ArgumentError
from cello.layers.paths import joined
from cello.see.numbers import short, whole
from cello.see.recording.recorded import Recorded
from cello.see.recording.rows import LayerRows
from cello.tables import text_table

__all__ = ["table"]

# What fits a page, where nobody has said what to show.
COLUMNS = 16
STEPS = 40


@dataclass(eq=False)
class _Value:
    """One sequence of one recorded value: [steps, units]."""

    layer: LayerRows
    own_name: str
    columns: Tensor

    @property
    def size(self) -> int:
        return self.columns.shape[1]

    @property
    def is_state(self) -> bool:
        return f"{self.own_name}_prev" in self.layer.rows

    @property
    def name(self) -> str:
        return joined(self.layer.layer, self.own_name)

    def heading(self, unit: int) -> str:
        own = self.own_name if self.size == 1 else f"{self.own_name}[{unit}]"
        return f"{self.layer.layer}\n{own}" if self.layer.layer else own


def table(
    recording: Recorded,
    batch: int = 0,
    units: Iterable[int] | None = None,
    names: str | Iterable[str] | None = None,
    steps: Iterable[int] | None = None,
    digits: int = 5,
) -> str:
    """One sequence as a table: a row for each step, a column for each unit of each value.

    Args:
        recording: what was recorded.
        batch: which sequence.
        units: which units of each value; unless given all, or the first few if they are many.
        names: which values; unless given all but the old states, or the first few.
        steps: which steps; unless given all, or the first and the last if they are many.
        digits: significant digits.

    What is left out for the sake of width or height is said below the table.

    Raises:
        UnknownNameError: no value has one of these names.
        ArgumentError: there is no such sequence, unit or step.

    >>> import cello
    >>> layer = cello.Recurrent(cello.ElmanCell(1, 1, activation="identity", bias=False))
    >>> for weight in layer.parameters(): _ = nn.init.ones_(weight)
    >>> print(cello.record(layer, torch.tensor([[1.0], [2.0], [3.0]])).table(names=["x", "h"]))
      t    x    h
    ---  ---  ---
      0    1    1
      1    2    3
      2    3    6
    """
    left_out: list[str] = []
    values = [_value(name, *found, batch) for name, found in recording.select(names).items()]
    units = None if units is None else _whole_numbers("units", units)
    if names is None:
        values = _telling([v for v in values if not v.own_name.endswith("_prev")], units, left_out)
    columns = _columns(values, units, left_out)
    longest = max((len(value.columns) for value in values), default=0)
    shown = _steps(longest, steps, left_out)

    lines: list[list[str]] = []
    for place, t in enumerate(shown):
        if place and steps is None and t != shown[place - 1] + 1:
            lines.append(["…"] * (1 + len(columns)))
        cells = [
            short(value.columns[t, unit].item(), digits) if t < len(value.columns) else ""
            for value, unit in columns
        ]
        lines.append([str(t), *cells])
    headings = ["t", *(value.heading(unit) for value, unit in columns)]
    text = text_table(headings, lines)
    return "\n".join([text, *(f"left out: {what}" for what in left_out)])


def _value(name: str, layer: LayerRows, rows: Tensor, batch: int) -> _Value:
    own_name = name.removeprefix(layer.layer).removeprefix(".")
    return _Value(layer, own_name, layer.sequence(rows, batch))


def _telling(values: list[_Value], units: list[int] | None, left_out: list[str]) -> list[_Value]:
    """All values if they fit; else what the layers remember, as far as it fits."""

    def width(some: list[_Value]) -> int:
        return sum(value.size if units is None else len(units) for value in some)

    kept = values
    if width(values) > COLUMNS:
        kept = [value for value in values if value.is_state] or values
        kept = kept[:COLUMNS]
    if len(kept) < len(values):
        dropped = [value.name for value in values if value not in kept]
        more = f" and {len(dropped) - 6} more values" if len(dropped) > 6 else ""
        left_out.append(f"{', '.join(dropped[:6])}{more}; choose with names=")
    return kept


def _columns(
    values: list[_Value], units: list[int] | None, left_out: list[str]
) -> list[tuple[_Value, int]]:
    """Which unit of which value stands in each column."""
    widest = max((value.size for value in values), default=0)
    if units is not None:
        for unit in units:
            if unit >= widest:
                raise ArgumentError(
                    f"units holds {unit}, but no value has more than {widest} units"
                )
        return [(value, unit) for value in values for unit in units if unit < value.size]
    limit = widest
    if sum(value.size for value in values) > COLUMNS:
        limit = max(1, COLUMNS // len(values))
        if limit < widest:
            left_out.append(f"units from {limit} on, of up to {widest}; choose with units=")
    return [(value, unit) for value in values for unit in range(min(value.size, limit))]


def _steps(longest: int, steps: Iterable[int] | None, left_out: list[str]) -> list[int]:
    if steps is None:
        if longest <= STEPS:
            return list(range(longest))
        half = STEPS // 2
        left_out.append(f"{longest - STEPS} of {longest} steps; choose with steps=")
        return [*range(half), *range(longest - half, longest)]
    shown = _whole_numbers("steps", steps)
    for t in shown:
        if t >= longest:
            raise ArgumentError(f"steps holds {t}, but the sequence has {longest}, from 0 on")
    return shown


def _whole_numbers(argument: str, numbers: Iterable[int]) -> list[int]:
    given = numbers if isinstance(numbers, Iterable) else [numbers]
    found = [whole(argument, number) for number in given]
    for number in found:
        if number < 0:
            raise ArgumentError(f"{argument} must not be negative, got {number}")
    return found
