"""Forecasts that need no learning. Whatever is learnt must be better than these.

Source: R. J. Hyndman and G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition
(2021), sections 5.2 (the forecasts) and 5.5 (how wide their bands are).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BASELINES", "Baseline", "baseline", "filled", "found_season"]

#: Their names, in the order of reports.
BASELINES = ("naive", "seasonal_naive", "drift")

Numbers = NDArray[np.float64]


class Baseline(NamedTuple):
    """Points [H, D], and the standard deviations [H, D] of the errors to be expected."""

    points: Numbers
    spread: Numbers


def baseline(name: str, history: Numbers, horizon: int, season: int = 1) -> Baseline:
    """A forecast of the steps after `history`.

    - "naive": the last value again and again.
    - "seasonal_naive": the value one season before; "naive" where there is no whole season yet.
    - "drift": a line from the first value through the last one.

    Args:
        name: one of `BASELINES`.
        history: [T, D], at least one step; NaN where a value is missing.
        horizon: steps, H.
        season: steps of a season.

    >>> history = np.array([[1.0], [2.0], [4.0]])
    >>> [baseline(name, history, 2, 2).points.ravel().tolist() for name in BASELINES]
    [[4.0, 4.0], [2.0, 4.0], [5.5, 7.0]]
    """
    known = filled(history)
    count, ahead = len(known), np.arange(1, horizon + 1)[:, None]
    lag = season if name == "seasonal_naive" and season < count else 1
    errors = known[lag:] - known[:-lag]
    if name == "drift" and count > 1:
        slope = (known[-1] - known[0]) / (count - 1)
        points = known[-1] + ahead * slope
        grows = np.sqrt(ahead * (1 + ahead / (count - 1)))
        errors = errors - slope
    else:
        points = known[count - lag + (ahead[:, 0] - 1) % lag]
        grows = np.sqrt((ahead - 1) // lag + 1)
    size = np.sqrt((errors**2).mean(0)) if len(errors) else np.zeros(known.shape[1])
    return Baseline(points, size * grows)


def filled(values: Numbers) -> Numbers:
    """Each missing value replaced by the last one before it; by the first one at the beginning.

    >>> filled(np.array([[np.nan], [2.0], [np.nan]])).ravel().tolist()
    [2.0, 2.0, 2.0]
    """
    there = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(there, np.arange(len(values))[:, None], -1), 0)
    last = np.where(last < 0, there.argmax(0), last)
    return np.nan_to_num(np.take_along_axis(values, last, 0))


def found_season(values: Numbers) -> int:
    """The lag of the highest peak of the autocorrelation, at most a third of the length.

    Args:
        values: the training part of one series, [T].

    Returns:
        1 where there is no peak of 0.3 or more.

    >>> found_season(np.sin(np.arange(200) * 2 * np.pi / 12))
    12
    """
    known = filled(values[:, None])[:, 0]
    steps, size = np.arange(len(known)), float((known**2).sum())
    known = known - np.polyval(np.polyfit(steps, known, 1), steps) if len(known) > 2 else known * 0
    power = np.abs(np.fft.rfft(known, 2 * len(known))) ** 2
    ripple = np.fft.irfft(power)[: len(known) // 3 + 1]
    if len(ripple) < 4 or ripple[0] <= 1e-12 * size:  # a line, and nothing beside it
        return 1
    ripple /= ripple[0]
    inside = ripple[1:-1]
    peaks = np.flatnonzero((inside > ripple[:-2]) & (inside >= ripple[2:])) + 1
    peaks = peaks[peaks > 1]
    if not len(peaks) or ripple[peaks].max() < 0.3:
        return 1
    return int(peaks[ripple[peaks].argmax()])
