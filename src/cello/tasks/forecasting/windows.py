"""What a network reads of a series at each step, and what it is to say there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cello.errors import DataError
from cello.tasks.forecasting.baselines import filled
from cello.tasks.forecasting.clock import CALENDAR, Clock
from cello.tasks.forecasting.series import Scale, Series

__all__ = ["Layout", "SeriesTensors", "lay_out", "targets_ahead", "width_of"]


class Layout(NamedTuple):
    """How series are laid out as inputs.

    A step's input holds, in this order, the scaled targets (0 where missing), a mask (1 where a
    target is there, 0 where it is missing), the calendar of the next step, and the covariates
    known in advance of the next `ahead` steps.
    """

    targets: int
    ahead: int
    calendar: tuple[str, ...]
    known_mean: tuple[float, ...]
    known_std: tuple[float, ...]


def width_of(layout: Layout) -> int:
    """Numbers a step."""
    calendar = sum(CALENDAR[part] for part in layout.calendar)
    return 2 * layout.targets + calendar + layout.ahead * len(layout.known_mean)


class SeriesTensors(NamedTuple):
    """A series as tensors; the input of step t tells nothing of a target after t.

    `x` [T, I]; `y` [T, D] the scaled targets, NaN where missing; `base` [T, D] the last ones known
    at each step; `future` [T + F, I] the inputs with no targets in them, of the steps of which
    calendar and covariates are known.
    """

    x: Tensor
    y: Tensor
    base: Tensor
    future: Tensor


def lay_out(
    series: Series, scale: Scale, layout: Layout, clock: Clock, horizon: int
) -> SeriesTensors:
    """Lay a series out, with the future of so many steps as far as it is known.

    Raises:
        DataError: it has covariates in another number than the layout.
    """
    count, width = len(series), len(layout.known_mean)
    if series.known.shape[1] != width:
        raise DataError(
            f"{series}: has {series.known.shape[1]} covariates known in advance, the task {width}"
        )
    y = scale.to_net(series.values)
    there = ~np.isnan(y)
    rows = count + horizon
    # What a step is told is of the next one.
    calendar = clock.calendar(layout.calendar, series.start, rows + 1)[1:]
    known = np.full((rows + layout.ahead, width), np.nan)
    known[: len(series.known)] = series.known[: len(known)]
    known = (known - np.asarray(layout.known_mean)) / np.asarray(layout.known_std)
    ahead = [np.nan_to_num(known[1 + k : 1 + k + rows]) for k in range(layout.ahead)] * bool(width)
    future = np.concatenate([np.zeros((rows, 2 * layout.targets)), calendar, *ahead], 1)
    x = future[:count].copy()
    x[:, : layout.targets] = np.where(there, y, 0.0)
    x[:, layout.targets : 2 * layout.targets] = there
    last = np.maximum.accumulate(np.where(there, np.arange(count)[:, None], -1), 0)
    base = np.where(last < 0, 0.0, filled(y))  # before the first value: the mean
    return SeriesTensors(*(_tensor(array) for array in (x, y, base, future)))


def targets_ahead(laid: SeriesTensors, steps: int, end: int, *, relative: bool) -> Tensor:
    """What is to be said at each step before `end`: the targets of the next steps.

    Args:
        laid: a series.
        steps: how many, H.
        end: nothing from this step on is told; it is NaN.
        relative: less the last value known, as a network that says how far it goes from there.

    Returns:
        [end, H, D].
    """
    y = torch.cat([laid.y[:end], laid.y.new_full((steps, laid.y.shape[1]), torch.nan)])
    ahead = y[1:].unfold(0, steps, 1).transpose(1, 2)[:end]
    return ahead - laid.base[:end, None] if relative else ahead


def _tensor(array: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
