"""The numbers of one step, by the names of a recording."""

from __future__ import annotations

from torch import Tensor

from cello.errors import ArgumentError
from cello.see.draw.step.values import shown_number
from cello.see.numbers import whole
from cello.see.recording.recorded import Recorded, output_by_step

__all__ = ["FEW", "StepValues"]

FEW = 4  # units that are shown one by one


class StepValues:
    """The units of each value at one step; of nothing without a recording.

    Of more than a few units it is the chosen `unit`, or the first ones, and "…" for the others.
    The recording's output is shown if it `is_whole` nets that are drawn, not a part of one.

    Raises:
        ArgumentError: the recording has no such step, sequence or unit.
    """

    def __init__(
        self,
        recording: Recorded | None,
        t: int = 0,
        batch: int = 0,
        digits: int = 5,
        unit: int | None = None,
        *,
        is_whole: bool = True,
    ) -> None:
        self.recording, self.t, self.batch, self.digits = recording, t, batch, digits
        self.unit, self.is_whole = unit, is_whole
        if recording is None:
            return
        layers = list(recording.by_layer.values())
        for rows in layers:
            rows.row_of(t, batch)  # which checks that there is such a step
        largest = max(values.shape[1:].numel() for rows in layers for values in rows.rows.values())
        if unit is not None and whole("unit", unit) not in range(largest):
            raise ArgumentError(f"unit={unit} is no unit of any layer; the largest has {largest}")

    def first(self, name: str) -> tuple[str, ...] | None:
        """The numbers of a value's units, or of the first ones; None if it was not recorded."""
        units = self._recorded(name)
        return None if units is None else self._shown(units, None)

    def of(self, name: str) -> tuple[str, ...] | None:
        """The numbers of a value's units, or of the chosen one; None if it was not recorded."""
        units = self._recorded(name)
        return None if units is None else self._shown(units, self.unit)

    def output(self, size: int | None) -> tuple[str, ...] | None:
        """The numbers that the net put out; None if that was no row of this size for each step."""
        if self.recording is None or not self.is_whole:
            return None
        _, made = output_by_step(self.recording) or (None, None)
        if made is None or made.shape[2] != size:
            return None
        return self._shown(made[self.t, self.batch], self.unit)

    def _recorded(self, name: str) -> Tensor | None:
        if self.recording is None or name not in self.recording.names:
            return None
        return self.recording[name][self.t, self.batch]

    def _shown(self, units: Tensor, unit: int | None) -> tuple[str, ...]:
        numbers = [shown_number(n, self.digits) for n in units.detach().cpu().flatten().tolist()]
        if len(numbers) <= FEW:
            return tuple(numbers)
        if unit is None or unit >= len(numbers):
            return *numbers[: FEW - 1], "…"
        before = ("…",) if unit else ()
        after = ("…",) if unit < len(numbers) - 1 else ()
        return *before, numbers[unit], *after
