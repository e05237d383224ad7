"""Columns of a table as times: numbers, or dates as they are written in files."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from datetime import UTC, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from cello.errors import ArgumentError, DataError
from cello.ranges import shown
from cello.tasks.forecasting.date_texts import MONTHS, readings, without_zone
from cello.tasks.readers.tables import check_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_dates", "beside", "is_of_dates", "joined_name", "read_times", "with_joined"]

#: A time of day, such as 9:30 or 18.00.00.
_OF_DAY = r"([01]?\d|2[0-4])([:.])[0-5]\d(\2[0-5]\d(\.\d+)?)?"

#: The longest month is so many times as long as the shortest, and a bit.
_MONTHS_DIFFER = 31 / 28 + 0.01

#: What stands between the names of columns that tell a time together.
_AND = " + "
_PARTS = ("year", "month", "day", "hour", "minute", "second")
#: What columns of hours are called beside one of days.
_HOURS = ("hour", "hours", "hr", "h")


def is_of_dates(column: Any) -> bool:
    """Whether it holds dates, and no texts."""
    import pandas as pd

    return pd.api.types.is_datetime64_any_dtype(column) or isinstance(column.dtype, pd.PeriodDtype)


def _is_of_day(column: Any) -> bool:
    """Whether all that it holds are times of day."""
    known = column.dropna().astype(str)
    return len(known) > 0 and bool(known.str.fullmatch(_OF_DAY).all())


def _is_of_hours(column: Any) -> bool:
    """Whether all that it holds are whole hours, from 0 to 23."""
    import pandas as pd

    known = column.dropna()
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return numeric and bool((known.between(0, 23) & (known % 1 == 0)).all())


def as_dates(column: Any) -> Any:
    """A column of texts as dates; None if it is none, or not all are."""
    import pandas as pd

    if isinstance(column.dtype, pd.PeriodDtype):
        return pd.DatetimeIndex(column.dt.to_timestamp())
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.DatetimeIndex(column)
    if pd.api.types.is_numeric_dtype(column) or not len(column) or column.isna().any():
        return None
    if _is_of_day(column):
        return None  # 10.01.00 may be one minute after ten
    possible = readings(column).possible
    if len(possible) > 1:
        possible = [dates for dates in possible if _are_regular(dates)]
    return pd.DatetimeIndex(possible[0]) if len(possible) == 1 else None


def _are_regular(dates: Any) -> bool:
    """Whether steps between dates, in order and each once, are about as long as each other."""
    steps = np.diff(np.unique(dates.to_numpy())).astype(float)
    return len(steps) > 0 and bool(steps.max() <= _MONTHS_DIFFER * steps.min())


def read_times(column: Any, name: str, where: str, *, counted: bool = False) -> Any:
    """Times as numbers [T], or as dates without a zone or with that of their clock.

    Args:
        column: of a table.
        name: what it is called.
        where: what errors call the table.
        counted: whether whole numbers such as 20240131 are numbers, and not dates.

    Raises:
        DataError: a row holds no time, or it is not known which.
    """
    import pandas as pd

    if column.isna().any():
        row = int(np.flatnonzero(column.isna().to_numpy())[0]) + 1
        raise DataError(f"{where}: column {name}, row {row}: expected a time, found nothing")
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy() if counted else _numbers_or_dates(column, name, where)
    dates = as_dates(column)
    if dates is None:
        raise _no_dates(column, name, where)
    if not is_of_dates(column) and ((meant := readings(column)).short or len(meant.possible) > 1):
        why = "years have two digits" if meant.short else "only so the steps are regular"
        warnings.warn(
            f"{where}: column {name}: {column.iloc[-1]} is read as {dates[-1].date()} ({why})",
            stacklevel=3,
        )
    return dates if dates.tz is None else _in_one_zone(dates, column, name, where)


def _no_dates(column: Any, name: str, where: str) -> DataError:
    """Says which row of a column is no date."""
    meant = readings(column)
    row, hint = 0, ""
    if len(meant.possible) > 1:
        hint = "; it does not tell whether the day comes first: write 2024-01-31"
    elif meant.dates:
        bad = min((dates.isna().to_numpy() for dates in meant.dates), key=np.count_nonzero)
        row = int(bad.argmax())
    else:
        hint = "; name the column of the times (--time): where none is called so, rows are steps"
    return DataError(
        f"{where}: column {name}, row {row + 1}: expected a date such as 2024-01-31 or a "
        f"number, found {shown(column.iloc[row])}{hint}"
    )


def joined_name(names: Sequence[str]) -> str | None:
    """What the column is called that several together make; None if there are none.

    >>> joined_name(["Date", "Time"])
    'Date + Time'
    """
    return _AND.join(names) or None


def beside(table: pd.DataFrame, name: str, others: Sequence[str]) -> list[str]:
    """The columns that seem to tell a time together with one whose times stand twice.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"Year": [2024, 2024], "Month": [1, 2], "y": [3, 4]})
    >>> beside(table, "Year", ["Month"])
    ['Year', 'Month']
    """
    lower = {str(one).lower(): str(one) for one in (name, *others)}
    parts = list(itertools.takewhile(lambda part: part in lower, _PARTS))
    if len(parts) > 1 and lower[parts[0]] == name:
        return [lower[part] for part in parts]
    of_day = [
        one
        for one in others
        if _is_of_day(table[one]) or (one.lower() in _HOURS and _is_of_hours(table[one]))
    ]
    return [name, *of_day[:1]] if of_day else []


def with_joined(table: pd.DataFrame, name: str | None, where: str) -> pd.DataFrame:
    """The table with a column of that name, made of those that tell a time together.

    They are a date and a time of day or an hour, or year, month and so on, each a number.

    Args:
        table: a table.
        name: as `joined_name` gives it; a column that is there leaves the table as it is.
        where: what errors call it.

    Raises:
        ArgumentError: there is no such column, or they are something else.
        DataError: a row of them is no time.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"day": ["31/01/2024"], "at": ["13.30"]})
    >>> with_joined(table, "day + at", "table")["day + at"].tolist()
    ['31/01/2024 13:30']
    """
    import pandas as pd

    if name is None or name in table.columns or _AND not in name:
        return table
    names = name.split(_AND)
    check_columns(table, names, where)
    parts = [part.lower() for part in names]
    if parts == list(_PARTS[: len(parts)]):
        units = table[names].set_axis(parts, axis=1)
        units = units if "day" in parts else units.assign(day=1)
        units["month"] = _months_as_numbers(units["month"])
        joined: Any = pd.to_datetime(units, errors="coerce")
    elif len(names) == 2 and _is_of_hours(table[names[1]]):
        hours = table[names[1]].astype("Int64").astype(str)
        joined = table[names[0]].astype(str) + " " + hours + ":00"
    elif len(names) == 2 and _is_of_day(table[names[1]]):
        texts = table[names[1]].astype(str)
        of_day = texts.where(texts.str.contains(":"), texts.str.replace(".", ":", n=2))
        joined = table[names[0]].astype(str) + " " + of_day
    else:
        raise ArgumentError(
            f"must be a column of dates and one of times of day such as 13:30 or of hours from 0 "
            f"to 23, or numbers in columns called {', '.join(_PARTS)}, in this order, got "
            f"{shown(', '.join(names))}",
            argument="time",
        )
    given = table[names].notna().all(axis=1)
    if len(wrong := np.flatnonzero((joined.isna() & given).to_numpy())):
        found = ", ".join(map(str, table[names].iloc[wrong[0]]))
        raise DataError(
            f"{where}: columns {', '.join(names)}, row {wrong[0] + 1}: expected a time such as "
            f"2024, 1, found {shown(found)}"
        )
    return table.assign(**{name: joined.where(given)})


def _months_as_numbers(column: Any) -> Any:
    """Months that are numbers or English names, such as Jan or January."""
    found = column.astype(str).str.strip().str.lower().map(MONTHS)
    return found.where(found.notna(), column)


#: Dates that are written as whole numbers: their form, and between which numbers they are.
_WRITTEN = (("%Y%m%d", 19_000_101, 21_001_231), ("%Y%m", 190_001, 210_012))


#: What columns of dates are called, and up to where their numbers are years.
_OF_DATES, _LAST_YEAR = ("date", "datetime", "timestamp"), 9999


def _numbers_or_dates(column: Any, name: str, where: str) -> Any:
    """Numbers as they are; as dates where each is one, written as 20240131 or 202401."""
    import pandas as pd

    numbers = column.to_numpy()
    for form, first, last in _WRITTEN:
        if numbers.dtype.kind not in "iu" or numbers.min() < first or numbers.max() > last:
            continue
        dates = pd.to_datetime(column.astype(str), format=form, errors="coerce")
        if not dates.isna().any():
            warnings.warn(
                f"{where}: the numbers of {name}, such as {numbers[0]}, are read as "
                f"{'dates' if '%d' in form else 'months'}",
                stacklevel=4,
            )
            return pd.DatetimeIndex(dates)
    if name.lower() in _OF_DATES and numbers.min() > _LAST_YEAR:
        warnings.warn(
            f"{where}: the numbers of {name}, such as {numbers[0]}, are read as such, and tell of "
            "no calendar: if they count days or seconds, write dates such as 2024-01-31",
            stacklevel=4,
        )
    return numbers


def _in_one_zone(dates: Any, column: Any, name: str, where: str) -> Any:
    """Times as a clock there shows them, with its distance from UTC.

    Where the clock was changed between them, dates alone have no zone, and others are in UTC.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        local = dates.tz_localize(None)
    else:
        local = as_dates(without_zone(column.astype(str)))
    universal = dates.tz_convert(None)
    distances = set((local - universal).tolist())
    if len(distances) == 1:
        return local.tz_localize(timezone(distances.pop().to_pytimedelta()))
    of_day = local - local.normalize()
    if len(set(of_day.tolist())) == 1 and local.is_unique == universal.is_unique:
        return local
    warnings.warn(
        f"{where}: the clock of {name} was changed between its times: they are taken in UTC",
        stacklevel=4,
    )
    return universal.tz_localize(UTC)
