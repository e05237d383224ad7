"""Texts as dates: the forms that files have, and what each text of a column can mean."""

from __future__ import annotations

import calendar
import re
import warnings
from datetime import date
from typing import Any, NamedTuple

__all__ = ["MONTHS", "Readings", "readings", "without_zone"]

#: Numbers of the months by their English names.
MONTHS = {
    name.lower(): number
    for names in (calendar.month_abbr, calendar.month_name)
    for number, name in enumerate(names)
    if number
}

#: What other dates have: a year of four digits, or eight of all.
_YEAR = r"(?<!\d)\d{4}(?!\d)|\d{8}"
_ZONE = r"\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d)$"
_OF_DAY = r"(,?(?P<of_day>[T ].*))?"


def _order(first: str, second: str, third: str, signs: str = "./-") -> str:
    """Three numbers with a sign between them, such as 31.1.2024 9:30."""
    return rf"{first}(?P<sign>[{signs}]){second}(?P=sign){third}{_OF_DAY}"


_LONG, _SHORT, _QUARTER = r"(?P<year>\d{4})", r"(?P<year>\d\d)", r"(?P<quarter>\d)"
_MONTH, _NAME, _DAY = r"(?P<month>\d\d?)", r"(?P<name>[A-Z]{3,9})", r"(?P<day>\d\d?)"
#: A year of two digits at the beginning, where there is more than a month.
_YEAR_FIRST = _order(_SHORT, _MONTH, _DAY, "/-")

#: Forms that pandas does not know, or takes for another: patterns in one line are what the same
#: text can mean.
_FORMS = tuple(
    tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
    for patterns in (
        [_LONG + r"-?W(?P<week>\d\d?)(-?(?P<weekday>[1-7]))?"],
        [_LONG + "[- ]?Q" + _QUARTER],
        ["Q" + _QUARTER + "[-/ ]?" + _LONG],
        [_LONG + "-?M" + _MONTH],
        [_LONG + "年" + _MONTH + "月(" + _DAY + "日)?" + _OF_DAY],
        [_NAME + "[- ]" + _SHORT],
        [_DAY + "[- ]" + _NAME + "[- ]" + _SHORT + _OF_DAY],
        [_order(_MONTH, _DAY, _LONG), _order(_DAY, _MONTH, _LONG)],
        [_order(_MONTH, _DAY, _SHORT), _order(_DAY, _MONTH, _SHORT), _YEAR_FIRST],
    )
)
#: Years of two digits up to this one are of this century, as in C.
_LAST_SHORT_YEAR = 68


class Readings(NamedTuple):
    """What a column of texts can mean.

    `dates` has each meaning once, missing where a text is none; `short` tells whether years have
    two digits.
    """

    dates: list[Any]
    short: bool = False

    @property
    def possible(self) -> list[Any]:
        """Those in which each text is a date."""
        return [dates for dates in self.dates if not dates.isna().any()]


def readings(column: Any) -> Readings:
    """The dates that a column of texts may hold.

    >>> import pandas as pd
    >>> (weeks,) = readings(pd.Series(["2024-W05", "2024-W06"])).possible
    >>> [str(day.date()) for day in weeks]
    ['2024-01-29', '2024-02-05']
    >>> len(readings(pd.Series(["03/04/2024", "04/04/2024"])).possible)
    2
    """
    texts = column.astype(str).str.strip()
    for patterns in _FORMS:
        if not any(pattern.fullmatch(texts.iloc[0]) for pattern in patterns):
            continue
        found: list[Any] = []
        for pattern in patterns:
            dates = _parsed(texts.map(lambda text, form=pattern: _rewritten(form.fullmatch(text))))
            # Nearly all that ends with a year could begin with one, but jumps about then.
            jumps = pattern.pattern == _YEAR_FIRST and not dates.is_monotonic_increasing
            if not jumps and not any(dates.equals(other) for other in found):
                found.append(dates)
        return Readings(found, short=_SHORT in patterns[0].pattern)
    dated = texts.str.contains(_YEAR)  # 1-01 is no date
    return Readings([_parsed(texts.where(dated))] if dated.any() else [])


def without_zone(texts: Any) -> Any:
    """Dates as texts without what tells their zone at the end."""
    return texts.str.replace(_ZONE, "", regex=True)


def _rewritten(match: re.Match[str] | None) -> str | None:
    """What was matched as ISO 8601 has it; None where there is no such day."""
    if match is None:
        return None
    found = {name: text for name, text in match.groupdict().items() if text is not None}
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 2000 if year <= _LAST_SHORT_YEAR else 1900
    month = int(found.get("month", 3 * int(found.get("quarter", 1)) - 2))
    try:
        if "week" in found:
            day = date.fromisocalendar(year, int(found["week"]), int(found.get("weekday", 1)))
        else:
            month = MONTHS[found["name"].lower()] if "name" in found else month
            day = date(year, month, int(found.get("day", 1)))
    except (ValueError, KeyError):
        return None
    return day.isoformat() + found.get("of_day", "")


def _parsed(texts: Any) -> Any:
    """Texts as dates by pandas, missing where one is none; in UTC where they have a zone."""
    import pandas as pd

    none = pd.Series(pd.NaT, index=texts.index)
    known = texts.dropna()
    if known.empty:
        return none
    try:
        zone = pd.Timestamp(known.iloc[0]).tzinfo is not None
        if zone and not known.str.contains(_ZONE).all():
            return none  # 2024-01-01/2024-01-07 ends with no zone
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas, that each is looked at by itself
            dates = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=zone)
            if not dates.isna().any():
                return dates
            return pd.to_datetime(texts, errors="coerce", utc=zone)
    except (ValueError, TypeError, OverflowError):
        return none
