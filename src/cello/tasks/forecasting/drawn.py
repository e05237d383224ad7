"""The windows of an epoch of training, drawn from what may be learnt from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from cello.ranges import check_range
from cello.tasks.batching import Batch, LazyBatches, shard
from cello.tasks.forecasting.plan import ForecastPlan
from cello.tasks.forecasting.planning import refuse_short
from cello.tasks.forecasting.series import Series
from cello.tasks.forecasting.windows import SeriesTensors, targets_ahead

__all__ = ["DrawnWindows"]

#: At least so many windows an epoch, however short the series are.
_FEWEST = 1000


class DrawnWindows:
    """Windows of `plan.context` steps from anywhere before the ends of series.

    Args:
        plan: see there.
        series: series.
        laid: the same, laid out.
        ends: of each, the first step that is held out.
        count: windows an epoch; enough to judge each step once, and at least 1,000, unless given.

    Raises:
        DataError: no series has a step more than the context before its end.
    """

    def __init__(
        self,
        plan: ForecastPlan,
        series: Sequence[Series],
        laid: Sequence[SeriesTensors],
        ends: Sequence[int],
        count: int | None,
    ) -> None:
        need = plan.context + 1
        #: Of each series that is long enough: its number, and how many windows it has.
        self._usable = [(n, end - plan.context) for n, end in enumerate(ends) if end >= need]
        short = [one for one, end in zip(series, ends, strict=True) if end < need]
        if not self._usable:
            refuse_short(series, plan.horizon, plan.context, len(series[0]) - ends[0] >> 1)
        if short:
            warnings.warn(
                f"{len(short)} of {len(series)} series, such as {short[0]}, have fewer than "
                f"{need} steps to learn from (context + 1): the network does not learn from them",
                stacklevel=5,
            )
        if count is None:
            steps = sum(ends[number] for number, _ in self._usable)
            count = max(_FEWEST, steps // max(1, plan.warmed))
        check_range(windows=count)
        self._plan, self._laid, self._count = plan, laid, count
        self._ahead = [
            targets_ahead(one, plan.ahead, max(end, 0), relative=plan.relative)
            for one, end in zip(laid, ends, strict=True)
        ]

    def batches(
        self, chance: torch.Generator, batch_size: int, rank: int, world_size: int
    ) -> LazyBatches:
        """The batches of one epoch; see `Task.epoch`."""
        counts = torch.tensor([count for _, count in self._usable], dtype=torch.double)
        which = torch.multinomial(counts, self._count, replacement=True, generator=chance)
        share = torch.rand(self._count, generator=chance, dtype=torch.double)
        starts = (share * counts[which]).long().tolist()
        chosen = [(self._usable[n][0], at) for n, at in zip(which.tolist(), starts, strict=True)]

        def make(number: int) -> Batch:
            some = chosen[number * batch_size : (number + 1) * batch_size]
            every = [self._window(*window) for window in some]
            told = sum(int((~y[self._plan.warmed :].isnan()).sum()) for _, y in every)
            mine = [every[row] for row in shard(range(len(some)), rank, world_size)]
            return Batch(
                x=torch.stack([x for x, _ in mine], 1),
                y=torch.stack([y for _, y in mine], 1),
                lengths=None,
                weight=max(1, told),
                teacher_forcing=self._plan.recursive,
            )

        return LazyBatches(make, -(-self._count // batch_size))

    def _window(self, number: int, start: int) -> tuple[Tensor, Tensor]:
        """What is read [C, I], and what is to be said at each step [C, H, D]."""
        steps = slice(start, start + self._plan.context)
        return self._laid[number].x[steps], self._ahead[number][steps]
