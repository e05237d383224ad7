"""How good forecasts are: errors beside those of the naive forecast, and how honest the bands are.

Each function takes the truth [N, H, D] (forecasts, steps ahead, targets), NaN where it is not
known, which counts nowhere; what cannot be computed is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["coverage", "mase", "nrmse", "quantile_loss", "seasonal_scale", "smape"]

Numbers = NDArray[np.float64]


def seasonal_scale(values: Numbers, season: int = 1) -> Numbers:
    """The mean absolute difference from one season to the next, of each column: the unit of MASE.

    Args:
        values: the training part of a series [T, D], NaN where a value is missing.
        season: steps of a season, m; 1 is that of the naive forecast.

    Returns:
        [D]; NaN for a column that never changes, since nothing can be measured by it.

    >>> seasonal_scale(np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])).tolist()
    [1.5, nan]
    """
    steps = np.abs(values[season:] - values[:-season])
    scale = _mean(steps, 0)
    return np.where(scale > 0, scale, np.nan)


def mase(truth: Numbers, forecast: Numbers, scale: Numbers) -> float:
    """Mean absolute scaled error: below 1 is better than the naive forecast was in training.

    Source: R. J. Hyndman and A. B. Koehler, "Another look at measures of forecast accuracy",
    International Journal of Forecasting 22 (2006), section 3.

    Args:
        truth: [N, H, D].
        forecast: [N, H, D].
        scale: `seasonal_scale` of each series, [N, 1, D].

    >>> mase(np.array([[[4.0], [6.0]]]), np.array([[[3.0], [8.0]]]), np.array([[[1.5]]]))
    1.0
    """
    return float(_mean(np.abs(truth - forecast) / scale))


def smape(truth: Numbers, forecast: Numbers) -> float:
    """Symmetric mean absolute percentage error, from 0 to 200; 0 where both are 0.

    Source: S. Makridakis and M. Hibon, "The M3-Competition", International Journal of Forecasting
    16 (2000), appendix A.

    >>> smape(np.array([[[4.0], [0.0]]]), np.array([[[12.0], [0.0]]]))
    50.0
    """
    size = np.abs(truth) + np.abs(forecast)
    return float(_mean(200 * np.abs(truth - forecast) / np.where(size > 0, size, 1.0)))


def quantile_loss(
    truth: Numbers, quantiles: Numbers, levels: Sequence[float], scale: Numbers
) -> float:
    """Pinball loss, averaged over the levels, in the unit of MASE (the "scaled pinball loss").

    Source: R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978); scaled as in
    S. Makridakis et al., "The M5 uncertainty competition", International Journal of Forecasting 38
    (2022), section 3.

    Args:
        truth: [N, H, D].
        quantiles: [N, H, D, Q].
        levels: Q numbers between 0 and 1.
        scale: as `mase`.

    >>> truth, scale = np.array([[[4.0]]]), np.array([[[1.0]]])
    >>> round(quantile_loss(truth, np.array([[[[2.0, 4.0, 5.0]]]]), (0.1, 0.5, 0.9), scale), 6)
    0.1
    """
    error = (truth / scale)[..., None] - quantiles / scale[..., None]
    level = np.asarray(levels)
    return float(_mean(np.maximum(level * error, (level - 1) * error)))


def coverage(truth: Numbers, low: Numbers, high: Numbers) -> float:
    """The share of the truth that lies within the band, its ends included.

    >>> one = np.array([[[1.0], [2.0], [np.nan]]])
    >>> coverage(one, one - 0.5, np.array([[[1.0], [1.9], [9.0]]]))
    0.5
    """
    inside = ((truth >= low) & (truth <= high)).astype(np.float64)
    return float(_mean(np.where(np.isnan(truth), np.nan, inside)))


def nrmse(truth: Numbers, forecast: Numbers, spread: Numbers) -> float:
    """Root mean squared error of the last step ahead, in standard deviations of the series.

    Args:
        truth: [N, H, D].
        forecast: [N, H, D].
        spread: of each series, [N, 1, D].

    >>> y = np.array([[[9.0], [4.0]], [[9.0], [1.0]]])
    >>> nrmse(y, np.array([[[0.0], [2.0]], [[0.0], [3.0]]]), np.array([[[2.0]], [[2.0]]]))
    1.0
    """
    return float(_mean(((truth - forecast)[:, -1:] / spread) ** 2) ** 0.5)


def _mean(values: Any, axis: int | None = None) -> Any:
    """The mean of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
