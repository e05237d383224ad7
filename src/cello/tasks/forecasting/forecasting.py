"""Forecasting: the next values of series, with bands."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cello.errors import DataError
from cello.ranges import check_range
from cello.tasks.base import About, Batch, Loss, of_split, to_train_on
from cello.tasks.batching import generator
from cello.tasks.config_checks import TABLE, entries
from cello.tasks.forecasting.backtest import Backtest
from cello.tasks.forecasting.clock import Clock
from cello.tasks.forecasting.columns import Columns, read_series, time_column, with_times
from cello.tasks.forecasting.dates import joined_name
from cello.tasks.forecasting.drawn import DrawnWindows
from cello.tasks.forecasting.plan import ForecastPlan
from cello.tasks.forecasting.planning import make_plan
from cello.tasks.forecasting.rollout import forecasts
from cello.tasks.forecasting.series import Series
from cello.tasks.forecasting.series_files import SeriesFiles
from cello.tasks.networks import has_feedback
from cello.tasks.readers.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Forecast", "Forecasting"]

#: Of series that come as arrays.
_COLUMNS, _CLOCK = Columns(("y",)), Clock("number", 1)


class Forecast(NamedTuple):
    """Of one series: its name, the times [H] that are forecast, and the quantiles [H, D, Q]."""

    name: str
    times: Any
    quantiles: NDArray[np.float64]


class Forecasting(SeriesFiles):
    """The task to forecast the next `horizon` values of series from the last `context` ones.

    `Forecasting.from_table` reads files and tables, `Forecasting.from_series` takes arrays, and
    `Forecasting.from_config` gives back a task without data that can predict.

    The last `2 * held_out` steps of each series are held out: the first half of them chooses the
    best network, the second is its test. Both are forecast from rolling origins. In training, an
    epoch is `windows` windows of `context` steps from anywhere in what is left; in the second half
    of each window the network says at every step what comes next ("forking sequences": R. Wen et
    al., "A multi-horizon quantile recurrent forecaster", 2017), and learns by the pinball loss of
    its quantiles. Scales come from what is left alone: nothing that is held out is seen.

    Args:
        plan: all that a trained network needs; see `ForecastPlan`.
        series: the series; none for a task that only predicts.
        held_out: steps of validation, and of the test.
        windows: windows an epoch; enough to see each step once, and at least 1,000, unless given.
        batch_size: windows a batch.
        seed: what the choice of the windows depends on, with the epoch.

    Raises:
        DataError: a series is too short.
        ArgumentError: a number is out of range.
    """

    name = "forecast"
    #: The pinball loss as the network is scaled; unlike MASE, every series has it.
    monitor = "loss"
    higher_is_better = False
    scheme = labels = None

    def __init__(
        self,
        plan: ForecastPlan,
        series: Sequence[Series] = (),
        *,
        held_out: int = 0,
        windows: int | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        check_range(batch_size=batch_size, seed=seed)
        self.plan, self.seed = plan, seed
        self.batch_size, self.held_out = batch_size, held_out
        self._drawn: DrawnWindows | None = None
        if not series:
            self._take((), {})
            return
        validation = [len(one) - 2 * held_out for one in series]
        test = [len(one) - held_out for one in series]
        parts = {
            "train": [(0, end) for end in validation],
            "validation": list(zip(validation, test, strict=True)),
            "test": [(begin, begin + held_out) for begin in test],
        }
        self._take(series, parts)
        self._drawn = DrawnWindows(plan, self.series, self._laid, validation, windows)

    def _take(
        self, series: Sequence[Series], parts: Mapping[str, Sequence[tuple[int, int]]]
    ) -> None:
        """The series, and for each split the steps (begin, end) of each of them."""
        self.series, self._parts = tuple(series), parts
        self._laid = [self._lay_out(one) for one in self.series]
        self._tests = {
            name: Backtest(self.plan, self.series, part)
            for name, part in parts.items()
            if name != "train"
        }

    @classmethod
    def from_series(
        cls,
        series: Series | Iterable[Series],
        *,
        horizon: int,
        context: int,
        columns: Columns = _COLUMNS,
        clock: Clock = _CLOCK,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        recursive: bool = False,
        absolute: bool = False,
        without_calendar: bool = False,
        season: int | None = None,
        held_out: int | None = None,
        **options: Any,
    ) -> Forecasting:
        """The task on series.

        Args:
            series: one or more.
            horizon: steps to forecast, H.
            context: steps that are read before.
            columns: what their columns are called.
            clock: the steps at which they stand.
            quantiles: levels of the forecast; 0.5 is the forecast itself, the outer ones its band.
            recursive: learn the next step only, and forecast on; else all steps at once.
            absolute: the network says the values themselves, not how far they go from the last
                value known; for series that come back to where they were.
            without_calendar: do not tell it the time of day, the day of the week and the time of
                the year, as it is told where series have dates and see each twice in training.
            season: steps of a season; that of the calendar, or the one found in the training part
                of the longest series, unless given.
            held_out: steps of validation, and of the test; a tenth, or the horizon if that is
                longer, unless given.
            **options: `windows`, `batch_size`, `seed`; see the class.

        >>> wave = Series(np.sin(np.arange(200) / 3))
        >>> task = Forecasting.from_series([wave], horizon=5, context=20)
        >>> task.plan.season, task.epoch(0)[0].x.shape, task.output_size
        (19, torch.Size([20, 32, 2]), 15)
        """
        check_range(absolute=absolute, without_calendar=without_calendar)
        plan, usable, held_out = make_plan(
            list(series) if isinstance(series, Iterable) else [series],
            horizon=horizon,
            context=context,
            columns=columns,
            clock=clock,
            quantiles=quantiles,
            recursive=recursive,
            relative=not absolute,
            calendar=not without_calendar,
            season=season,
            held_out=held_out,
        )
        return cls(plan, usable, held_out=held_out, **options)

    @classmethod
    def from_table(
        cls,
        table: pd.DataFrame | str | Path,
        target: str | Sequence[str],
        *,
        time: str | Sequence[str] | None = None,
        by: str | None = None,
        known: Sequence[str] = (),
        **options: Any,
    ) -> Forecasting:
        """The task on the columns of a table.

        Args:
            table: a row for each step: a CSV or Parquet file, or a table of pandas.
            target: the columns to forecast.
            time: the column of the times, or several: a date and a time of day, or year, month
                and so on; looked for unless given.
            by: the column that names the series, if there are several.
            known: columns of covariates that are known in advance.
            **options: as `from_series`.

        Raises:
            DataError: the file cannot be read, or is wrong; see `read_series`.
            ArgumentError: there is no such column, or an option makes no sense.
        """
        texts = () if by is None else (by,)
        frame, where = with_times(read_table(table, as_texts=texts)), _named(table)
        target = (target,) if isinstance(target, str) else tuple(target)
        columns = Columns(target, tuple(known), None, by)
        named = joined_name((time,) if isinstance(time, str) else time or ())
        columns = columns._replace(time=named or time_column(frame, columns.named, where))
        series, clock = read_series(frame, columns, where)
        if columns.time is None:
            warnings.warn(
                f"{where}: no column of times: rows are taken as steps at regular intervals",
                stacklevel=2,
            )
        return cls.from_series(series, columns=columns, clock=clock, **options)

    # ------------------------------------------------------------ what the loop asks

    @property
    def input_size(self) -> int:
        """Numbers that a network reads at each step; see `Layout`."""
        return self.encoder()

    @property
    def output_size(self) -> int:
        """Numbers that it says at each step: of each step ahead and target, the quantiles."""
        return self.plan.ahead * self.plan.targets * len(self.plan.quantiles)

    @property
    def splits(self) -> tuple[str, ...]:
        """The held-out data that there is: of "validation" and "test"."""
        return tuple(self._tests)

    def data(self, split: str) -> Iterable[Tensor]:
        """What a split is made of, of each series."""
        for laid, (begin, end) in zip(self._laid, of_split(self._parts, split), strict=True):
            yield from (laid.x[begin:end], laid.y[begin:end])

    def epoch(self, epoch: int, *, rank: int = 0, world_size: int = 1) -> Sequence[Batch]:
        """The batches of epoch number `epoch`; see `Task.epoch`."""
        drawn = to_train_on(self._drawn)
        chance = generator("windows", self.seed, epoch)
        return drawn.batches(chance, self.batch_size, rank, world_size)

    def loss(self, net: nn.Module, batch: Batch, state: Any = None) -> Loss:
        """The pinball loss of the quantiles; nothing is carried from batch to batch."""
        options: dict[str, Any] = {}
        if batch.teacher_forcing and has_feedback(net):
            following = batch.y[:, :, 0].nan_to_num(0.0)  # as `teacher`
            options["targets"] = following.repeat_interleave(len(self.plan.quantiles), -1)
        said, _ = net(batch.x, None, **options)
        warmed = self.plan.warmed
        return Loss(*_pinball(self.plan, said[warmed:], batch.y[warmed:]))

    @torch.no_grad()
    def evaluate(
        self, net: nn.Module, split: str, *, batch_size: int | None = None
    ) -> dict[str, float]:
        """How good the forecasts of a split are, from rolling origins, and the baselines' beside.

        Args:
            net: a network.
            split: "validation" or "test".
            batch_size: of no effect.

        Returns:
            "loss", the pinball loss as the network is scaled; "mase", "smape", "quantile_loss",
            "coverage" of the band of the outer quantiles, and "nrmse" of the last step (see
            `cello.tasks.metrics.forecasts`); and the same of each baseline, as "mase/naive".

        Raises:
            DataError: the task has no such split.
        """
        test = self.backtest(split)
        quantiles = forecasts(self.plan, net, self._laid, test.origins)
        truth = torch.stack(
            [self._laid[n].y[at + 1 : at + 1 + self.plan.horizon] for n, at in test.origins]
        )
        total, count = _pinball(self.plan, quantiles.flatten(1)[None], truth[None])
        return test.metrics(self.unscaled(test, quantiles), float(total) / max(1, count))

    def backtest(self, split: str) -> Backtest:
        """The rolling origins of a split.

        Raises:
            DataError: the task has no such split.
        """
        return of_split(self._tests, split)

    # ------------------------------------------------------------ a trained network

    def on(self, series: Sequence[Series]) -> Forecasting:
        """The same task with the split "test": all of these series behind their first context.

        One that was not in training is scaled by that first context.
        """
        task = Forecasting(self.plan.knowing(series), batch_size=self.batch_size)
        task._take(series, {"test": [(self.plan.first(one), len(one)) for one in series]})
        return task

    def on_file(
        self,
        path: str | Path,
        *,
        token: int | str | None = None,
        tag: int | str | None = None,
    ) -> Forecasting:
        """On a table, of which all is forecast that comes after a first context."""
        return self.on(self.read(path))

    def quantiles(self, net: nn.Module, test: Backtest) -> NDArray[np.float64]:
        """The forecasts of a backtest of this task, [N, H, D, Q], in the series' own units."""
        return self.unscaled(test, forecasts(self.plan, net, self._laid, test.origins))

    def unscaled(self, test: Backtest, quantiles: Tensor) -> NDArray[np.float64]:
        """Quantiles [N, H, D, Q] of the network, in the series' own units."""
        scales = [self.plan.scale(one) for one in self.series]
        rows = zip(test.origins, quantiles.double().numpy(), strict=True)
        return np.stack([scales[number].from_net(one) for (number, _), one in rows])

    def predict(self, net: nn.Module, series: Sequence[Series]) -> list[Forecast]:
        """The forecasts of what comes after each series.

        Args:
            net: a network of `input_size` numbers a step and `output_size` outputs.
            series: with the covariates of the future, if the task has such.

        Raises:
            DataError: covariates of the future are missing.
        """
        plan, found = self.plan, []
        for one in series:
            self._check_future(one)
            laid = self._lay_out(one)
            quantiles = forecasts(plan, net, [laid], [(0, len(one) - 1)])[0]
            if quantiles.isnan().any():
                warnings.warn(f"{one}: the network gives NaN", stacklevel=2)
            times = plan.clock.times(one.start, len(one) + plan.horizon)[len(one) :]
            scaled = plan.scale(one).from_net(quantiles.double().numpy())
            found.append(Forecast(one.name, times, scaled))
        return found

    def about(self) -> About:
        """For a model's card."""
        return self.plan.about(len(self.series), sum(map(len, self.series)), self.held_out)

    def config(self) -> dict[str, Any]:
        """The plan, as JSON."""
        return {"task": self.name, "plan": self.plan.config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Forecasting:
        """The task that `config()` described, without data: it can predict.

        Raises:
            ModelError: an entry is missing or of the wrong kind.
        """
        return cls(ForecastPlan.from_config(entries(config, "task", {"plan": TABLE})["plan"]))

    # ------------------------------------------------------------ what they are made of

    def _check_future(self, one: Series) -> None:
        names, horizon = self.plan.columns.known, self.plan.horizon
        if not names:
            return
        future = one.known[len(one) : len(one) + horizon]
        missing = np.isnan(future).any(0)
        if len(future) < horizon or missing.any():
            which = [n for n, m in zip(names, missing, strict=True) if m] or list(names)
            raise DataError(
                f"{one}: the next {horizon} steps of {', '.join(which)} must be known, "
                f"found {len(future)} rows after the last value of "
                f"{', '.join(self.plan.columns.target)}"
                f"{', with empty ones among them' if missing.any() else ''}: add them to the file, "
                "with the targets left empty"
            )


def _pinball(plan: ForecastPlan, said: Tensor, y: Tensor) -> tuple[Tensor, int]:
    """The pinball loss [..., H·D·Q], [..., H, D]: mean over quantiles, sum over what is known."""
    levels = torch.tensor(plan.quantiles, dtype=said.dtype, device=said.device)
    known = ~y.isnan()
    error = y.nan_to_num(0.0)[..., None] - said.view(*y.shape, len(plan.quantiles))
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    return (loss * known).sum(), int(known.sum())


def _named(table: Any) -> str:
    return str(table) if isinstance(table, (str, Path)) else "the table"
