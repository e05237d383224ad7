"""What a network that forecasts reads of files and of texts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cello.tasks.base import Given
from cello.tasks.forecasting.columns import read_series, with_times
from cello.tasks.forecasting.dates import with_joined
from cello.tasks.forecasting.plan import ForecastPlan
from cello.tasks.forecasting.series import Series
from cello.tasks.forecasting.windows import SeriesTensors, lay_out, width_of
from cello.tasks.readers.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SeriesFiles"]

#: A page shows so many rows of a table: text that one can change.
_ROWS = 200


class SeriesFiles:
    """How series are read; see `FileTask`.

    Attributes:
        plan: all that a trained network needs.
    """

    plan: ForecastPlan
    separator = " "

    def encoder(self) -> int:
        """How many numbers a network reads at each step; see `Layout`."""
        return width_of(self.plan.layout)

    def read(self, table: pd.DataFrame | str | Path) -> list[Series]:
        """The series of a table with the columns that this task was made for.

        Raises:
            DataError: see `read_series`; or the steps are not those of the training data.
        """
        texts = () if self.plan.columns.by is None else (self.plan.columns.by,)
        where = str(table) if isinstance(table, (str, Path)) else "the table"
        columns, clock = self.plan.columns, self.plan.clock
        frame = with_times(read_table(table, as_texts=texts))
        found, _ = read_series(frame, columns, where, clock if columns.time else None)
        return found

    def given(self, path: str | Path, *, token: int | str | None = None) -> list[Given]:
        """The series of a table, whose tokens are the times; see `FileTask.given`."""
        return self._given(self.read(path))

    def given_text(self, text: str) -> list[Given]:
        """The series of a table as CSV; see `FileTask.given_text`."""
        return self._given(self.read(read_table(io.StringIO(text))))

    def text_of(self, path: Path | None) -> str:
        """The last rows of a table as CSV; without one, of a series that goes up and down."""
        import pandas as pd

        columns, plan = self.plan.columns, self.plan
        if path is not None:
            frame = with_joined(read_table(path), columns.time, str(path))
            read = [name for name in frame.columns if name in columns.named]
            return frame[read].tail(_ROWS).to_csv(index=False)
        name, scale = next(iter(plan.scales.items()))
        count = min(2 * plan.context, _ROWS)
        wave = np.sin(np.arange(count) * 2 * np.pi / max(plan.season, 8))[:, None]
        table: dict[str, Any] = {columns.by: name} if columns.by else {}
        if columns.time:
            start = 0 if plan.clock.kind == "number" else "2024-01-01"
            table[columns.time] = plan.clock.times(start, count)
        values = (np.array(scale.mean) + np.array(scale.std) * wave).round(3)
        table |= dict(zip(columns.target, values.T, strict=True))
        table |= dict(zip(columns.known, plan.layout.known_mean, strict=True))
        return pd.DataFrame(table).to_csv(index=False)

    def _given(self, series: list[Series]) -> list[Given]:
        clock = self.plan.clock
        return [
            Given(
                [str(time) for time in clock.written(clock.times(one.start, len(one)))],
                self._lay_out(one).x,
                series=one,
            )
            for one in series
        ]

    def _lay_out(self, one: Series) -> SeriesTensors:
        plan = self.plan
        return lay_out(one, plan.scale(one), plan.layout, plan.clock, plan.horizon)
