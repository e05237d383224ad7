"""Times at regular steps: found in a column, continued into the future, and read as a calendar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cello.errors import ArgumentError, DataError
from cello.ranges import real, shown, word

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CALENDAR", "KINDS", "Clock", "season_of"]

#: What a step can be: of a number, of seconds, of months, from one end of a month to another, of
#: days from Monday to Friday.
KINDS = ("number", "seconds", "months", "month ends", "business")

#: How many features each part of a calendar has.
CALENDAR = {"day": 4, "week": 7, "year": 4}

#: How many days each takes.
_DAYS = {"day": 1.0, "week": 7.0, "year": 365.0}

_OF_MONTHS = ("months", "month ends")
_DAY = 86_400.0
_UNITS = (("day", _DAY), ("hour", 3_600.0), ("minute", 60.0), ("second", 1.0))
#: Of months: how many days they have at least.
_MONTH = 28
#: More of the regular steps than this must hold a value.
_MOST_MISSING = 0.5


class Clock(NamedTuple):
    """Steps of one length.

    `kind` is one of `KINDS`, `step` the number of these in a step.

    >>> clock = Clock("month ends", 1)
    >>> [str(time.date()) for time in clock.times("2024-01-31", 3)]
    ['2024-01-31', '2024-02-29', '2024-03-31']
    >>> Clock("number", 0.5).times(1.0, 3).tolist()
    [1.0, 1.5, 2.0]
    """

    kind: str
    step: float

    @classmethod
    def find(cls, times: Sequence[Any], where: str) -> Clock:
        """The steps at which the times of each series stand.

        Args:
            times: of each series, sorted, each once: numbers [T] or a `pandas.DatetimeIndex`.
            where: what errors call them.

        Raises:
            DataError: there are no two times, or they stand at no regular steps.
        """
        numeric = not hasattr(times[0], "tz")
        if not numeric and (found := _calendar_steps(times)) is not None:
            return found
        gaps = [np.diff(np.asarray(t, float) if numeric else _seconds(t)) for t in times]
        every = np.concatenate(gaps)
        if not len(every):
            raise DataError(f"{where}: expected at least 2 times, so that a step is known, found 1")
        step = float(np.sort(every)[(len(every) - 1) // 2])  # the lower median
        step = step if numeric else round(step, 9)
        clock = cls("number" if numeric else "seconds", int(step) if step == int(step) else step)
        for series in times:
            clock.places(series, where)
        return clock

    def check(self) -> None:
        """Check that there are such steps.

        Raises:
            ArgumentError: the kind is unknown, or the step no number above 0; of months and
                business days, a whole one.
            DtypeError: one is of another type.
        """
        word(*KINDS).check("kind", self.kind)
        real(0, above=True).check("step", self.step)
        if self.kind not in ("number", "seconds") and self.step != int(self.step):
            raise ArgumentError(f"must be whole {self.kind}, got {self.step}", argument="step")

    def check_start(self, start: Any, where: str) -> None:
        """Check that a series can begin there: at a number, or at a date.

        Raises:
            DataError: it is none.
        """
        wanted = "a number" if self.kind == "number" else "a date such as '2024-01-31'"
        right = isinstance(start, Real) == (self.kind == "number") and start is not None
        if right and self.kind != "number":
            try:
                self.times(start, 1)
            except (ValueError, TypeError):
                right = False
        if not right:
            raise DataError(
                f"{where}: start must be {wanted}, at steps of {self}, got {shown(start)}"
            )

    def places(self, times: Any, where: str) -> NDArray[np.int64]:
        """At which step after the first each time stands.

        Raises:
            DataError: one stands between two steps, or most steps hold nothing.
        """
        if self.kind in _OF_MONTHS:
            exact = (_months(times) - _months(times)[0]) / self.step
        elif self.kind == "business":
            exact = _business(times) / self.step
        else:
            at = np.asarray(times, float) if self.kind == "number" else _seconds(times)
            exact = (at - at[0]) / self.step
        found = np.rint(exact).astype(np.int64)
        wrong = np.flatnonzero((np.abs(exact - found) > 1e-3) | (np.diff(found, prepend=-1) < 1))
        if len(wrong):
            at_ = int(wrong[0])
            raise DataError(
                f"{where}: most steps are of {self}, but {times[at_]} comes {exact[at_]:g} steps "
                f"after {times[0]}: expected one frequency; resample the series, or train on one "
                "part of them"
            )
        if found[-1] + 1 > len(found) / (1 - _MOST_MISSING):
            raise DataError(
                f"{where}: with steps of {self}, {found[-1] + 1 - len(found):,} of "
                f"{found[-1] + 1:,} are missing from {times[0]} to {times[-1]}: expected one "
                "frequency; resample the series, or train on one part of them"
            )
        return found

    def times(self, start: Any, count: int) -> Any:
        """So many times from `start` on: numbers, or a `pandas.DatetimeIndex`."""
        if self.kind == "number":
            return start + np.arange(count) * self.step
        import pandas as pd

        first = pd.Timestamp(start)
        if self.kind in _OF_MONTHS:
            ends = self.kind == "month ends"
            steps = [first + pd.DateOffset(months=int(self.step) * k) for k in range(count)]
            return pd.DatetimeIndex([s + pd.offsets.MonthEnd(0) if ends else s for s in steps])
        freq: Any = f"{int(self.step)}B" if self.kind == "business" else _delta(self.step)
        return pd.date_range(first, periods=count, freq=freq)

    def written(self, times: Any) -> list[Any]:
        """Times as numbers, or as texts: of days alone where all of them are, and have no zone.

        >>> Clock("seconds", 43_200).written(Clock("seconds", 43_200).times("2024-01-01", 2))
        ['2024-01-01 00:00:00', '2024-01-01 12:00:00']
        """
        if self.kind == "number":
            return [time.item() for time in times]
        days = times.tz is None and bool((times == times.normalize()).all())
        return [str(time.date() if days else time) for time in times]

    def features(self, steps: int) -> tuple[str, ...]:
        """The parts of the calendar that change from step to step, and come twice in so many."""
        days = {
            "number": 0.0,
            "seconds": self.step / _DAY,
            **dict.fromkeys(_OF_MONTHS, 30.4 * self.step),
        }
        each = days.get(self.kind, 7 / 5 * self.step)
        return tuple(n for n, all_ in _DAYS.items() if 0 < each < all_ and steps * each > 2 * all_)

    def calendar(self, parts: Sequence[str], start: Any, count: int) -> NDArray[np.float64]:
        """The features [count, F] of so many steps from `start` on.

        "day" and "year" are two sines and cosines each of the time of day and of year, "week" is
        1 for the day of the week.
        """
        if not parts or not count:
            return np.zeros((count, sum(CALENDAR[part] for part in parts)))
        times = self.times(start, count)
        of_day = (times.hour * 3600 + times.minute * 60 + times.second) / _DAY
        columns = {
            "day": lambda: _waves(of_day.to_numpy()),
            "week": lambda: np.eye(7)[times.day_of_week.to_numpy()],
            "year": lambda: _waves(
                (times.day_of_year.to_numpy() - 1 + of_day.to_numpy()) / 365.2425
            ),
        }
        return np.concatenate([columns[part]() for part in parts], 1)

    def __str__(self) -> str:
        if self.kind == "number":
            return f"{self.step:g}"
        whole = dict.fromkeys(_OF_MONTHS, "month") | {"business": "business day"}
        unit, size = whole.get(self.kind, ""), 1.0
        if not unit:
            unit, size = next((one for one in _UNITS if self.step % one[1] == 0), _UNITS[-1])
        count = self.step / size
        return f"{count:g} {unit}{'' if count == 1 else 's'}"


def season_of(clock: Clock) -> int | None:
    """Steps of the season that a calendar makes likely; None where it says nothing.

    >>> season_of(Clock("months", 1)), season_of(Clock("seconds", 3600))
    (12, 24)
    """
    whole: Mapping[str, Sequence[float]] = {
        **dict.fromkeys(_OF_MONTHS, (12,)),
        "business": (5,), "seconds": (_DAY, 7 * _DAY, 364 * _DAY),
    }  # fmt: skip
    for long in whole.get(clock.kind, ()):
        if long > clock.step and abs(long / clock.step - round(long / clock.step)) < 1e-6:
            return round(long / clock.step)
    return None


def _calendar_steps(times: Sequence[Any]) -> Clock | None:
    """Steps of months or business days, if the times stand at such."""
    clock = {(t.hour[k], t.minute[k], t.second[k]) for t in times for k in (0, len(t) // 2, -1)}
    days = np.concatenate([np.diff(_seconds(t)) for t in times]) / _DAY
    if not len(days) or len(clock) > 1:
        return None
    if days.min() >= _MONTH:
        same = len({day for t in times for day in t.day}) == 1
        if same or all(t.is_month_end.all() for t in times):
            months = np.concatenate([np.diff(_months(t)) for t in times])
            return Clock("months" if same else "month ends", int(np.gcd.reduce(months)))
    if all((t.day_of_week < 5).all() for t in times):
        business = np.concatenate([np.diff(_business(t)) for t in times])
        step, day = (int(np.sort(one)[(len(one) - 1) // 2]) for one in (business, days))
        # As many steps of so many days alike would be a week, or no week has ended yet.
        if step and not (business % step).any() and business.sum() / step < days.sum() / day:
            return Clock("business", step)
    return None


def _seconds(times: pd.DatetimeIndex) -> NDArray[np.float64]:
    """Since the first of them: in nanoseconds since 1970 a float64 would not be exact."""
    nanoseconds = times.tz_localize(None).values.astype("datetime64[ns]").astype(np.int64)
    return (nanoseconds - nanoseconds[:1]) / 1e9


def _business(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Days from Monday to Friday since the first of them."""
    days = times.tz_localize(None).values.astype("datetime64[D]")
    return np.busday_count(days[:1], days)


def _months(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    months: NDArray[np.int64] = (times.year * 12 + times.month).to_numpy().astype(np.int64)
    return months


def _delta(seconds: float) -> Any:
    import pandas as pd

    return pd.Timedelta(seconds=seconds)


def _waves(share: NDArray[np.float64]) -> NDArray[np.float64]:
    turns = 2 * np.pi * share[:, None] * np.array([1.0, 2.0])
    return np.concatenate([np.sin(turns), np.cos(turns)], 1)
