"""Rolling origins: forecasts from one step after another, each judged by what came then.

Source: L. J. Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of
Forecasting 16 (2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cello.errors import DataError
from cello.tasks.forecasting.baselines import BASELINES, baseline
from cello.tasks.forecasting.plan import ForecastPlan
from cello.tasks.forecasting.series import Series
from cello.tasks.metrics.forecasts import coverage, mase, nrmse, quantile_loss, smape

__all__ = ["Backtest", "shifted"]

Numbers = NDArray[np.float64]

#: At most so many forecasts are judged, evenly spread; fewer where each is many paths.
_MOST, _MOST_PATHS = 500, 100


class Judged(NamedTuple):
    """The truth [N, H, D], the last values known [N, D], and of each row its scale [N, 1, D]."""

    truth: Numbers
    last: Numbers
    unit: Numbers
    spread: Numbers


class Backtest:
    """The forecasts of a part of each series.

    Args:
        plan: see there.
        series: all of them, with what comes before the part.
        parts: of each, the first step to be forecast, and the one after the last.

    Attributes:
        origins: of each forecast, the number of the series and the last step that is read.

    Raises:
        DataError: no part has as many steps as are forecast.
    """

    def __init__(
        self, plan: ForecastPlan, series: Sequence[Series], parts: Sequence[tuple[int, int]]
    ) -> None:
        self.plan, self.series = plan, series
        every = [
            (number, at)
            for number, (start, end) in enumerate(parts)
            for at in range(max(start, 1) - 1, end - plan.horizon)
        ]
        if not every:
            longest = max((end - start for start, end in parts), default=0)
            raise DataError(
                f"a forecast has {plan.horizon} steps (horizon), the part to be forecast at most "
                f"{longest}: take a shorter horizon or longer series"
            )
        most = _MOST_PATHS if plan.recursive else _MOST
        self.origins = every[:: -(-len(every) // most)]
        self._plain: dict[str, float] | None = None

    def judged(self) -> Judged:
        """What the forecasts are compared with."""
        H, rows = self.plan.horizon, []
        for number, at in self.origins:
            series = self.series[number]
            scale = self.plan.scale(series)
            unit = [np.nan if u is None else u for u in scale.unit]
            last = baseline("naive", series.values[: at + 1], 1).points[0]
            rows.append((series.values[at + 1 : at + 1 + H], last, [unit], [scale.std]))
        return Judged(*(np.array(part, dtype=np.float64) for part in zip(*rows, strict=True)))

    def metrics(self, quantiles: Numbers, loss: float) -> dict[str, float]:
        """How good forecasts [N, H, D, Q] are, and the baselines beside them."""
        if self._plain is None:
            self._plain = {}
            for name in BASELINES:
                found = self._measured(self._baseline(name))
                self._plain |= {f"{metric}/{name}": value for metric, value in found.items()}
        return {"loss": loss, **self._measured(quantiles), **self._plain}

    def _measured(self, quantiles: Numbers) -> dict[str, float]:
        plan, (truth, _, unit, spread) = self.plan, self.judged()
        point = quantiles[..., plan.middle]
        found = {
            "mase": mase(truth, point, unit),
            "smape": smape(truth, point),
            "quantile_loss": quantile_loss(truth, quantiles, plan.quantiles, unit),
            "nrmse": nrmse(truth, point, spread),
        }
        if len(plan.quantiles) > 1:
            found["coverage"] = coverage(truth, quantiles[..., 0], quantiles[..., -1])
        return found

    def _baseline(self, name: str) -> Numbers:
        """The quantiles of a baseline, whose errors are taken as normal."""
        plan, found = self.plan, []
        scores = torch.special.ndtri(torch.tensor(plan.quantiles, dtype=torch.float64)).numpy()
        for number, at in self.origins:
            history = self.series[number].values[: at + 1]
            plain = baseline(name, history, plan.horizon, plan.season)
            found.append(plain.points[..., None] + plain.spread[..., None] * scores)
        return np.array(found)


def shifted(judged: Judged, point: Numbers) -> tuple[float, float] | None:
    """Whether forecasts [N, H, D] are little more than the last value known.

    Returns:
        How far they are from the last value, and how far from the truth, in mean distances of the
        truth from the last value (the errors of the naive forecast); None if nothing changes.
        0 and 1 are those of the naive forecast itself.

    >>> truth, last = np.array([[[3.0]], [[1.0]]]), np.array([[2.0], [2.0]])
    >>> unit = np.ones((2, 1, 1))
    >>> shifted(Judged(truth, last, unit, unit), last[:, None])
    (0.0, 1.0)
    """
    truth, last, unit, _ = judged
    naive = float(np.nanmean(np.abs(truth - last[:, None]) / unit))
    if not naive > 0:
        return None
    from_last = float(np.nanmean(np.abs(point - last[:, None]) / unit)) / naive
    return from_last, float(np.nanmean(np.abs(point - truth) / unit)) / naive
