"""A plan made from series: scales and seasons, from the part to learn from alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cello.errors import ArgumentError, DataError, DtypeError, ShapeError
from cello.ranges import check_range, shown
from cello.tasks.forecasting.baselines import found_season
from cello.tasks.forecasting.clock import Clock, season_of
from cello.tasks.forecasting.columns import Columns
from cello.tasks.forecasting.plan import ForecastPlan
from cello.tasks.forecasting.series import Series, scale_of
from cello.tasks.forecasting.windows import Layout
from cello.tasks.readers.tables import in_words

__all__ = ["make_plan", "refuse_short"]


def make_plan(
    series: Sequence[Series],
    *,
    horizon: int,
    context: int,
    columns: Columns,
    clock: Clock,
    quantiles: Sequence[float],
    recursive: bool,
    relative: bool,
    calendar: bool,
    season: int | None,
    held_out: int | None,
) -> tuple[ForecastPlan, list[Series], int]:
    """The plan, the series that can be learnt from, and how many steps are held out twice.

    Args:
        series: all of them; the others are those of `Forecasting.from_series` and `ForecastPlan`.
        horizon: see there.
        context: see there.
        columns: see there.
        clock: see there.
        quantiles: see there.
        recursive: see there.
        relative: see there.
        calendar: whether the network is told what the calendar says.
        season: see there.
        held_out: see there.

    Raises:
        DataError: there is no series, none is long enough, or one begins at no time of the clock.
        ArgumentError: a number is out of range, or a name stands twice.
        DtypeError: an argument is of another type.
        ShapeError: a series has more or fewer columns than have names.
    """
    _check_given(series, columns, clock)
    check_range(quantiles=quantiles, recursive=recursive)
    check_range(horizon=horizon, context=context, **({} if season is None else {"season": season}))
    if not series:
        raise DataError("there is no series to learn from")
    if held_out is None:
        held_out = max(horizon, max(map(len, series)) // 10)
    check_range(held_out=held_out)
    if held_out < horizon:
        raise ArgumentError(
            f"must be at least the horizon, {horizon}, so that a whole forecast can be judged, "
            f"got {held_out}",
            argument="held_out",
        )
    names = [one.name for one in series]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise ArgumentError(f"each series needs a name of its own, got {twice!r} twice")
    learnt = {one.name: max(0, len(one) - 2 * held_out) for one in series}
    usable = [one for one in series if (~np.isnan(one.values[: learnt[one.name]])).any()]
    if not usable:
        refuse_short(series, horizon, context, held_out)
    if len(usable) < len(series):
        short = next(one for one in series if one not in usable)
        warnings.warn(
            f"left out: {len(series) - len(usable)} of {len(series)} series, such as {short}, have "
            f"nothing before the {2 * held_out} steps that are held out",
            stacklevel=4,
        )
    if season is None:
        longest = max(usable, key=len)
        season = season_of(clock) or found_season(longest.values[: learnt[longest.name], 0])
    known = np.concatenate([one.known[: learnt[one.name]] for one in usable])
    mean, std = _spread(known, columns)
    layout = Layout(
        targets=usable[0].values.shape[1],
        ahead=1 if recursive else horizon,
        calendar=clock.features(max(learnt.values())) if calendar else (),
        known_mean=mean,
        known_std=std,
    )
    scales = {one.name: scale_of(one.values[: learnt[one.name]], season) for one in usable}
    if without := [one for one in usable if None in scales[one.name].unit]:
        warnings.warn(
            f"{len(without)} of {len(usable)} series, such as {without[0]}, have no MASE: in the "
            f"part to learn from, values that are a season ({in_words(season, 'step', 'steps')}) "
            "apart never differ, or are not known",
            stacklevel=4,
        )
    plan = ForecastPlan(
        columns=columns,
        clock=clock,
        horizon=horizon,
        context=context,
        season=season,
        layout=layout,
        scales=scales,
        quantiles=tuple(quantiles),
        recursive=recursive,
        relative=relative,
    )
    return plan, usable, held_out


def _check_given(series: Sequence[Series], columns: Columns, clock: Clock) -> None:
    """Check that series, columns and clock are such, and fit each other."""
    for argument, given, kind in (("columns", columns, Columns), ("clock", clock, Clock)):
        if not isinstance(given, kind):
            raise DtypeError(f"must be {kind.__name__}(…), got {shown(given)}", argument=argument)
    names = {"target": columns.target, "known": columns.known}
    for name, value in names.items():
        if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
            raise DtypeError(f"must be a tuple of names, got {shown(value)}", argument=name)
    clock.check()
    for one in series:
        if not isinstance(one, Series):
            raise DtypeError(f"must be Series, got {shown(one)}", argument="series")
        has = {"target": one.values.shape[1], "known": one.known.shape[1]}
        for name, value in names.items():
            if has[name] != len(value):
                raise ShapeError(
                    f"columns.{name} must name as many columns as {one} has, {has[name]}, got "
                    f"{shown(value)}"
                )
        clock.check_start(one.start, str(one))


def refuse_short(series: Sequence[Series], horizon: int, context: int, held_out: int) -> None:
    """Say how long a series must be.

    Raises:
        DataError: always.
    """
    longest = max(series, key=len)
    raise DataError(
        f"{longest} has {len(longest):,} steps, which is too short: expected at least "
        f"{context + 1 + 2 * held_out:,}, that is {context} to read (context), 1 to learn and "
        f"twice {held_out} held out for validation and test, each of at least the {horizon} "
        "steps of a forecast (horizon)"
    )


def _spread(
    known: NDArray[np.float64], columns: Columns
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each covariate [T, K]; 1 where it never changes."""
    if not known.shape[1]:
        return (), ()
    empty = np.isnan(known).all(0)
    if empty.any():
        name = columns.known[int(empty.argmax())]
        raise DataError(f"column {name}: holds no value in the part to learn from")
    std = np.nanstd(known, 0)
    mean, std = np.nanmean(known, 0), np.where(std > 0, std, 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())
