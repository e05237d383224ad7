"""Two series that come along: one that is computed, and one that was counted."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cello.errors import ArgumentError
from cello.tasks.forecasting.columns import Columns
from cello.tasks.forecasting.forecasting import Forecasting
from cello.tasks.forecasting.series import Series

__all__ = ["EMBEDDED", "embedded", "mackey_glass", "sunspots", "usual"]

#: Steps of a time unit in the integration of Mackey and Glass.
_SUBSTEPS = 10


def mackey_glass(
    steps: int = 4000, *, tau: int = 17, start: float = 1.2, transient: int = 1000
) -> NDArray[np.float64]:
    """The series of Mackey and Glass, a standard of chaotic time series: x(t) at t = 0, 1, 2 …::

        dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)**10) - 0.1 x(t)

    Integrated by Euler's method with steps of 0.1, as in H. Jaeger and H. Haas, "Harnessing
    nonlinearity", Science 304 (2004), from the constant history `start`.

    Source: M. C. Mackey and L. Glass, "Oscillation and chaos in physiological control systems",
    Science 197 (1977).

    Args:
        steps: so many values.
        tau: the delay; from about 16.8 on the series is chaotic, and 17 is the usual one.
        start: x(t) for all t <= 0.
        transient: so many values are computed before, and left out.

    Returns:
        [steps].

    >>> mackey_glass(3, transient=0).round(4).tolist()
    [1.1172, 1.0423, 0.9745]
    """
    delay = tau * _SUBSTEPS
    count = (steps + transient) * _SUBSTEPS
    x = [start] * (delay + 1)
    for n in range(count):
        late = x[n]
        x.append(x[-1] + (0.2 * late / (1 + late**10) - 0.1 * x[-1]) / _SUBSTEPS)
    return np.array(x[delay + 1 :])[_SUBSTEPS - 1 :: _SUBSTEPS][transient:]


def sunspots() -> NDArray[np.float64]:
    """The yearly mean sunspot numbers from 1700 to 2008, [309].

    The classical (Zürich, international version 1) numbers, as the US National Geophysical Data
    Center published them; in the public domain, taken from statsmodels 0.15.

    >>> sunspots()[:3].tolist()
    [5.0, 11.0, 16.0]
    """
    text = files("cello.tasks.forecasting").joinpath("sunspots.csv").read_text(encoding="utf-8")
    return np.array([float(line.split(",")[1]) for line in text.split()[1:]])


#: Their names.
EMBEDDED = ("mackey-glass", "sunspots")

_USUAL = {
    "mackey-glass": {"horizon": 84, "context": 100, "held_out": 500},
    "sunspots": {"horizon": 11, "context": 44, "held_out": 44, "season": 11},
}
_COLUMNS = {
    "mackey-glass": Columns(("x",), time="t"),
    "sunspots": Columns(("sunspots",), time="year"),
}


def usual(name: str) -> dict[str, int]:
    """The options of `Forecasting.from_series` that are usual for an embedded series.

    Raises:
        ArgumentError: there is no such series.

    >>> usual("sunspots")["horizon"]
    11
    """
    if name not in EMBEDDED:
        raise ArgumentError(f"must be one of {', '.join(EMBEDDED)}, got {name!r}", argument="name")
    return _USUAL[name]


def embedded(name: str = "mackey-glass", **options: Any) -> Forecasting:
    """The task on a series that comes along: "mackey-glass" or "sunspots".

    Args:
        name: which.
        **options: those of `Forecasting.from_series`, in place of what is usual for the series.

    Raises:
        ArgumentError: there is no such series.

    >>> task = embedded("sunspots", horizon=5)
    >>> task.plan.horizon, task.plan.context, len(task.series[0])
    (5, 44, 309)
    """
    options = {"columns": _COLUMNS.get(name), **usual(name), **options}
    if name == "sunspots":
        series = Series(sunspots(), start=1700)
    else:
        series = Series(mackey_glass())
    return Forecasting.from_series([series], **options)
