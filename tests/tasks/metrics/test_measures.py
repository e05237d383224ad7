"""Measures of forecasts, beside numbers that were worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cello.tasks.forecasting.baselines import baseline, filled, found_season
from cello.tasks.metrics.forecasts import (
    coverage,
    mase,
    nrmse,
    quantile_loss,
    seasonal_scale,
    smape,
)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_mase_is_the_error_in_mean_seasonal_steps():
    # Steps of one season (2): |6 - 2| and |9 - 4|; their mean is 4.5.
    scale = seasonal_scale(column(2, 4, 6, 9), season=2)
    assert scale.tolist() == [4.5]
    # Errors 3 and 6, mean 4.5.
    assert mase(column(10, 10)[None], column(7, 16)[None], scale[None, None]) == 1.0


def test_mase_of_a_series_that_never_changes_does_not_exist():
    scale = seasonal_scale(column(3, 3, 3))
    assert math.isnan(scale[0])
    assert math.isnan(mase(column(3, 4)[None], column(3, 3)[None], scale[None, None]))


def test_smape_is_symmetric_and_knows_zero():
    # 200·|100 - 110| / 210, and 0 of two zeros.
    found = smape(column(100, 0)[None], column(110, 0)[None])
    assert found == pytest.approx(200 * 10 / 210 / 2)
    assert found == smape(column(110, 0)[None], column(100, 0)[None])


def test_the_pinball_loss_weighs_what_is_above_and_below():
    quantiles = np.array([[[[1.0, 4.0, 8.0]]]])
    levels, unit = (0.1, 0.5, 0.9), np.full((1, 1, 1), 2.0)
    # y = 5: 0.1·4, 0.5·1 and (1 - 0.9)·3, over a unit of 2, averaged.
    found = quantile_loss(np.full((1, 1, 1), 5.0), quantiles, levels, unit)
    assert found == pytest.approx((0.4 + 0.5 + 0.3) / 2 / 3)


def test_what_is_missing_counts_nowhere():
    truth = column(1, math.nan, 3)[None]
    ones = np.ones((1, 1, 1))
    assert mase(truth, column(2, 99, 3)[None], ones) == 0.5
    assert coverage(truth, column(0, 0, 4)[None], column(2, 2, 5)[None]) == 0.5
    assert math.isnan(nrmse(truth[:, :2], column(2, 99)[None], ones))
    assert nrmse(truth, column(2, 99, 5)[None], ones) == 2.0


@pytest.mark.parametrize(
    ("name", "points", "spread"),
    [
        # Steps 1, -2, 3: their root mean square, growing with the root of the steps ahead.
        ("naive", [5, 5, 5], [math.sqrt(14 / 3 * h) for h in (1, 2, 3)]),
        # The same place two steps before: differences -1 and 1, one season further at the third.
        ("seasonal_naive", [2, 5, 2], [1, 1, math.sqrt(2)]),
        # A third of 5 - 3 a step.
        (
            "drift",
            [5 + 2 / 3, 5 + 4 / 3, 7],
            [math.sqrt((14 / 3 - 4 / 9) * h * (1 + h / 3)) for h in (1, 2, 3)],
        ),
    ],
)
def test_baselines(name, points, spread):
    found = baseline(name, column(3, 4, 2, 5), 3, season=2)
    assert found.points[:, 0] == pytest.approx(points)
    assert found.spread[:, 0] == pytest.approx(spread)


def test_a_baseline_takes_the_last_value_that_is_known():
    assert baseline("naive", column(1, 7, math.nan), 1).points.tolist() == [[7.0]]
    assert filled(column(math.nan, 7, math.nan, 2)).ravel().tolist() == [7, 7, 7, 2]
    assert baseline("seasonal_naive", column(1.0), 2, season=9).points.ravel().tolist() == [1, 1]


def test_seasons_are_found_and_not_invented():
    t = np.arange(120)
    assert found_season(np.sin(2 * np.pi * t / 7) + 0.1 * t) == 7
    assert found_season(np.random.default_rng(0).normal(size=300)) == 1
    assert found_season(np.ones(50)) == 1
    assert found_season(np.arange(28.0)) == 1
