"""Series for a page: what was measured, and what the net forecasts of it at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cello.errors import ArgumentError
from cello.see.page.data import NumberBlock, PageData, array, places_of
from cello.see.page.labels import step_outputs
from cello.see.page.running.given import rows_of
from cello.see.recording.recorded import Recorded

__all__ = ["Outlook", "add_series"]


@dataclass(frozen=True)
class Outlook:
    """What the inputs and outputs of a net that forecasts stand for, in one sequence.

    A step's input begins with the values of the D targets at that step, if `masked` followed by D
    numbers that are 0 where a value is missing. Its output is the forecast of the next H steps,
    [H, D, Q] in a row: for each target, Q quantiles. Both are scaled: times `deviations`, plus
    `means`, they are in units of the series.

    Args:
        targets: names of the D targets.
        quantiles: their levels, ascending, 0.5 among them.
        means: of each target; 0 unless given.
        deviations: of each target; 1 unless given.
        relative: whether the net says how far it goes from the last value that is known.
        masked: whether masks follow the targets.
        times: of the steps that come after the sequence, as far as they have names.
        name: of the series, by which it is chosen where there are several.

    Raises:
        ArgumentError: there are no targets, or other numbers of them; or the levels do not ascend.

    >>> Outlook(["sales"], means=[100.0], deviations=[20.0]).quantiles
    (0.5,)
    """

    targets: Sequence[str]
    quantiles: Sequence[float] = (0.5,)
    means: Sequence[float] | None = None
    deviations: Sequence[float] | None = None
    relative: bool = False
    masked: bool = False
    times: Sequence[str] = ()
    name: str = ""

    def __post_init__(self) -> None:
        count, levels = len(self.targets), list(self.quantiles)
        if not count or isinstance(self.targets, str):
            raise ArgumentError(f"must be names, got {self.targets!r}", argument="targets")
        inside = all(0 < level < 1 for level in levels)
        if 0.5 not in levels or levels != sorted(set(levels)) or not inside:
            raise ArgumentError(
                f"must be ascending numbers between 0 and 1 with 0.5 among them, got {levels}",
                argument="quantiles",
            )
        for name, given in (("means", self.means), ("deviations", self.deviations)):
            if given is not None and (len(given) != count or not np.isfinite(given).all()):
                raise ArgumentError(
                    f"must be {count} finite numbers, one for each target, got {given}",
                    argument=name,
                )

    @classmethod
    def of(cls, task: Any, series: Any) -> Outlook:
        """That of a series of a `cello.tasks.Forecasting` task."""
        plan = task.plan
        scale, clock, count = plan.scale(series), plan.clock, len(series)
        after = clock.times(series.start, count + plan.horizon)[count:]
        return cls(
            targets=plan.columns.target,
            quantiles=plan.quantiles,
            means=scale.mean,
            deviations=scale.std,
            relative=plan.relative,
            masked=True,
            times=[str(time) for time in clock.written(after)],
            name=series.name,
        )


def add_series(
    recordings: Sequence[Recorded], data: PageData, outlooks: Sequence[Outlook | None]
) -> None:
    """Tell a page what it can draw as series with forecasts.

    A sequence gets `series`: {targets, levels, means, deviations, relative, times, ahead, size,
    block}; the block holds of each step `size` numbers of what the net read, the targets, and the
    masks if there are any; `ahead` is H. Its title is the name of the series, if that has one.

    Raises:
        ArgumentError: there are more or fewer outlooks than sequences, or one does not fit what the
            net reads and gives.
    """
    places = places_of(recordings)
    if len(outlooks) != len(places):
        raise ArgumentError(
            f"must have an entry for each of the {len(places)} sequences, got {len(outlooks)}",
            argument="forecast",
        )
    for sequence, (rec, batch), outlook in zip(
        data.head["sequences"], places, outlooks, strict=True
    ):
        if outlook is not None:
            sequence["title"] = outlook.name or sequence["title"]
            sequence["series"] = _series(rec, batch, data, outlook, step_outputs(sequence))


def _series(
    rec: Recorded, batch: int, data: PageData, outlook: Outlook, outputs: int | None
) -> dict[str, Any]:
    count = len(outlook.targets)
    size, each = count * (1 + outlook.masked), count * len(outlook.quantiles)
    if not outputs or outputs % each:
        gives = f"{outputs} numbers" if outputs else "no output of its own at each step"
        raise ArgumentError(
            f"the net must give a multiple of {each} numbers at each step, for {count} targets and "
            f"{len(outlook.quantiles)} quantiles; it gives {gives}",
            argument="forecast",
        )
    layer = next(iter(rec.by_layer.values()))
    rows = None if rec.call is None else rows_of(rec.call.x, layer.steps, batch)
    if rows is None or rows.dim() != 2 or rows.shape[1] < size or not rows.is_floating_point():
        raise ArgumentError(
            f"the net must have read {size} numbers or more at each step", argument="forecast"
        )
    read = array(rows[: layer.length(batch), :size].detach().cpu())
    data.blocks.append(NumberBlock(partial(np.asarray, read), exact=True))
    return {
        "targets": list(outlook.targets),
        "levels": [float(level) for level in outlook.quantiles],
        "means": [float(mean) for mean in outlook.means or [0.0] * count],
        "deviations": [float(std) for std in outlook.deviations or [1.0] * count],
        "relative": outlook.relative,
        "times": list(outlook.times),
        "ahead": outputs // each,
        "size": size,
        "block": len(data.blocks) - 1,
    }
