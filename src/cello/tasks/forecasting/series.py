"""A series at regular steps, and the numbers by which it is scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cello.errors import DataError, ShapeError
from cello.tasks.metrics.forecasts import seasonal_scale

__all__ = ["Scale", "Series", "scale_of"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """What was measured at regular steps.

    Args:
        values: [T, D], D targets; [T] for one; NaN where a value is missing.
        name: which of several series it is.
        known: covariates [T or more, K] that are known in advance: the rows after T are of the
            future.
        start: the time of the first step: a number, or a date as text.

    Raises:
        ShapeError: the shapes do not fit.
        DataError: there is nothing in it, or a value is infinite.

    >>> Series([1.0, 2.0, 4.0]).values.shape
    (3, 1)
    """

    values: Any
    name: str = ""
    known: Any = None
    start: Any = 0

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        known = np.zeros((len(values), 0)) if self.known is None else self.known
        known = np.asarray(known, dtype=np.float64)
        known = known[:, None] if known.ndim == 1 else known
        if values.ndim != 2 or known.ndim != 2 or (known.shape[1] and len(known) < len(values)):
            raise ShapeError(
                "a Series takes values [T, D] and known [T or more, K], got "
                f"{list(values.shape)} and {list(known.shape)}"
            )
        if not (~np.isnan(values)).any():
            raise DataError(f"{self}: holds no value")
        if np.isinf(values).any() or np.isinf(known).any():
            raise DataError(f"{self}: holds an infinite value")
        object.__setattr__(self, "values", values)  # frozen: this is how it is set
        object.__setattr__(self, "known", known)

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        return f"series {self.name!r}" if self.name else "the series"

    def until(self, steps: int) -> Series:
        """Its first steps; what is known in advance stays known."""
        return Series(self.values[:steps], self.name, self.known, self.start)


class Scale(NamedTuple):
    """Of each of D targets: mean, standard deviation, and the unit of MASE."""

    mean: Sequence[float]
    std: Sequence[float]
    unit: Sequence[float | None]

    def to_net(self, values: Numbers) -> Numbers:
        """Values [..., D] as the network reads them."""
        return (values - np.asarray(self.mean)) / np.asarray(self.std)

    def from_net(self, values: Numbers) -> Numbers:
        """The inverse of `to_net`, of [..., D, Q]."""
        return values * np.asarray(self.std)[:, None] + np.asarray(self.mean)[:, None]


def scale_of(values: Numbers, season: int) -> Scale:
    """The scale of a series, from its training part [T, D] alone.

    A target that never changes has the standard deviation 1 and no unit of MASE.

    >>> scale_of(np.array([[1.0], [3.0]]), 1)
    Scale(mean=[2.0], std=[1.0], unit=[2.0])
    """
    known = ~np.isnan(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    with np.errstate(over="ignore"):  # an error says it
        std = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)
    if not np.isfinite(std).all():
        raise DataError(
            f"values up to {np.nanmax(np.abs(values)):.3g} are too large: give them in larger units"
        )
    still = std <= 1e-12 * np.abs(mean)
    unit = seasonal_scale(values, season)
    return Scale(
        mean.tolist(),
        np.where(still, 1.0, std).tolist(),
        [None if np.isnan(u) else float(u) for u in unit],
    )
