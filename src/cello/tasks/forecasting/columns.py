"""Columns of a table, such as one of pandas, as series at regular steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cello.errors import DataError
from cello.ranges import shown
from cello.tasks.forecasting.clock import Clock
from cello.tasks.forecasting.dates import as_dates, beside, is_of_dates, read_times, with_joined
from cello.tasks.forecasting.series import Series
from cello.tasks.readers.tables import as_numbers, check_columns, in_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "read_series", "time_column", "with_times"]

#: Columns with such a name hold times, if they can.
_TIMES = ("time", "date", "datetime", "timestamp", "ds", "period", "month", "year")


class Columns(NamedTuple):
    """What each column is: names of the targets, of those known in advance, of times and series."""

    target: tuple[str, ...]
    known: tuple[str, ...] = ()
    time: str | None = None
    by: str | None = None

    @property
    def named(self) -> list[str]:
        """All of them."""
        more = [name for name in (self.time, self.by) if name is not None]
        return [*self.target, *self.known, *more]


def read_series(
    table: pd.DataFrame, columns: Columns, where: str, clock: Clock | None = None
) -> tuple[list[Series], Clock]:
    """The series of a table, and its steps.

    Rows are put in the order of their times; steps without a row are missing values. Rows at the
    end of a series whose targets are all empty are of the future: only what is known in advance
    is taken from them. Without times, rows stand at regular steps.

    Args:
        table: a row for each step, of each series.
        columns: what its columns are; several that tell a time together are one by `joined_name`.
        where: what errors call it.
        clock: the steps; found unless given.

    Raises:
        ArgumentError: a column is not there.
        DataError: a value is no number, times are no times, stand twice or at no regular steps.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"day": ["2024-01-01", "2024-01-02", "2024-01-03"], "y": [1, 2, 4]})
    >>> (one,), clock = read_series(table, Columns(("y",), time="day"), "table")
    >>> one.values.ravel().tolist(), str(clock)
    ([1.0, 2.0, 4.0], '1 day')
    """
    table = with_joined(table, columns.time, where)
    check_columns(table, columns.named, where)
    numbers = {
        name: _numbers(table[name], name, where) for name in (*columns.target, *columns.known)
    }
    times = None
    if columns.time is not None:
        counted = clock is not None and clock.kind == "number"
        times = read_times(table[columns.time], columns.time, where, counted=counted)
        if clock is not None and counted == hasattr(times, "tz"):
            kinds = ("dates", "numbers") if counted else ("numbers", "dates")
            raise DataError(
                f"{where}: column {columns.time} holds {kinds[0]}, that of the training data "
                f"{kinds[1]}, at steps of {clock}"
            )
    groups = list(_groups(table, columns.by, where))
    orders, sorted_times, moved = [], [], 0
    for name, rows in groups:
        if times is None:
            orders.append(rows)
            continue
        own = times[rows]
        order = np.argsort(own, kind="stable")
        moved += int((order != np.arange(len(order))).any())
        _check_once(own[order], rows[order], name, columns, table, where)
        orders.append(rows[order])
        sorted_times.append(own[order])
    if moved:
        what = "rows are" if columns.by is None else f"rows of {moved} series are"
        warnings.warn(
            f"{where}: {what} not in the order of {columns.time}: they have been sorted by it",
            stacklevel=3,
        )
    if times is not None:
        clock = clock or Clock.find(sorted_times, f"{where}: {columns.time}")
    found, gaps, empty = [], 0, 0
    for number, (name, _) in enumerate(groups):
        rows, places, start = orders[number], np.arange(len(orders[number])), 0
        if times is not None and clock is not None:
            own = sorted_times[number]
            places = clock.places(own, f"{where}: {columns.time}")
            start = own[0].item() if clock.kind == "number" else own[0].isoformat()
        parts = []
        for names in (columns.target, columns.known):
            grid = np.full((places[-1] + 1, len(names)), np.nan)
            grid[places] = np.stack([numbers[n][rows] for n in names], 1) if names else 0
            parts.append(grid)
        values, known = parts
        there = np.flatnonzero((~np.isnan(values)).any(1))
        if not len(there):
            raise DataError(f"{where}: {_of(name)}no value of {', '.join(columns.target)}")
        last = int(there[-1]) + 1
        gaps += int(places[-1]) + 1 - len(places)
        written = places[places < last]
        empty += int(np.isnan(values[written]).sum() + np.isnan(known[written]).sum())
        values = values[:last]
        found.append(Series(values, name, known if columns.known else None, start))
    if gaps or empty:
        said = [in_words(gaps, "step has no row", "steps have no row")] * bool(gaps)
        said += [in_words(empty, "value is empty", "values are empty")] * bool(empty)
        warnings.warn(f"{where}: {' and '.join(said)}: taken as missing", stacklevel=3)
    return found, clock or Clock("number", 1)


def with_times(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column of the times that its index holds, if it does."""
    import pandas as pd

    if not isinstance(table.index, (pd.DatetimeIndex, pd.PeriodIndex)):
        return table
    return table.rename_axis(index=table.index.name or "time").reset_index()


def time_column(table: pd.DataFrame, others: Sequence[str], where: str) -> str | None:
    """The column that holds times: dates, or one that is called so and whose numbers rise.

    Args:
        table: a table.
        others: columns that are something else.
        where: what errors call the table.

    Raises:
        DataError: a column is called so and holds no times: a row says why.
    """
    import pandas as pd

    left = [name for name in dict.fromkeys(table.columns) if name not in others]
    dates = [name for name in left if is_of_dates(table[name])]
    texts = [name for name in left if as_dates(table[name]) is not None]
    named = [name for name in left if str(name).lower() in _TIMES]
    # One that is called so is meant, though a cell of it be empty.
    dates = [n for n in named if as_dates(table[n].dropna()) is not None] + dates
    numbers = [name for name in named if pd.api.types.is_numeric_dtype(table[name])]
    found = next((str(name) for name in (*dates, *texts, *numbers)), None)
    wrong = named[0] if found is None and named else found
    if wrong in named and (found is None or table[found].isna().any()):
        read_times(table[wrong], str(wrong), where)  # says which row is none
    return found


def _numbers(column: Any, name: str, where: str) -> Any:
    found, wrong = as_numbers(column)
    wrong = wrong if len(wrong) else np.flatnonzero(np.isinf(found))
    if len(wrong):
        row = int(wrong[0])
        missing = "leave it empty where a value is missing" if 2 * len(wrong) < len(column) else ""
        cell = str(column.iloc[row])
        told = shown(cell if isinstance(column.iloc[row], str) else float(column.iloc[row]))
        comma = "numbers are written as 1234.5" if "," in cell and cell[-1].isdigit() else ""
        words = (
            len(wrong) == column.notna().sum() and "words become columns of 0 and 1, one for each"
        )
        hint = comma or words or missing
        raise DataError(
            f"{where}: column {name}, row {row + 1}: expected a number, found "
            f"{told} ({len(wrong):,} of {len(column):,} rows)" + (f"; {hint}" if hint else "")
        )
    return found


def _groups(table: pd.DataFrame, by: str | None, where: str) -> Iterator[tuple[str, Any]]:
    if by is None:
        yield "", np.arange(len(table))
        return
    if table[by].isna().any():
        row = int(np.flatnonzero(table[by].isna().to_numpy())[0]) + 1
        raise DataError(f"{where}: column {by}, row {row}: names no series")
    for name, rows in table.groupby(by, sort=False).indices.items():
        yield str(name), np.sort(rows)


def _check_once(
    times: Any, rows: Any, name: str, columns: Columns, table: pd.DataFrame, where: str
) -> None:
    twice = np.flatnonzero(times[1:] == times[:-1])
    if len(twice):
        at, others = int(twice[0]), [one for one in table.columns if one not in columns.named]
        if together := beside(table, str(columns.time), others):
            options = " ".join(f"--time {one}" for one in together)
            more = f"if columns {', '.join(together)} tell it together, name all ({options})"
        elif columns.by is None:
            more = "if the table holds several series, name the column that tells which: by (--by)"
            if hasattr(times, "hour") and times.hour[at]:
                more += "; if the clock was put back there, write times as 2024-10-27 02:00+02:00"
        else:
            more = "each series has one row a time"
        raise DataError(
            f"{where}: {_of(name)}{columns.time} {times[at]} stands twice, in rows "
            f"{rows[at] + 1} and {rows[at + 1] + 1}: {more}"
        )


def _of(name: str) -> str:
    return f"series {name!r}: " if name else ""
