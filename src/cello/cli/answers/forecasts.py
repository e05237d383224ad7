"""Forecasts as a table and as a picture, and whether they are more than the input, shifted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cello.cli.output import print_json
from cello.errors import ArgumentError
from cello.files import replace

if TYPE_CHECKING:
    from torch import nn

    from cello.see.diagnosis.finding import Finding
    from cello.tasks.forecasting import Forecast, Forecasting, Series

__all__ = ["findings", "predict"]

#: Of what was before, a picture shows so many times what is forecast, and at most so many series.
_BEFORE, _SERIES = 4, 12

#: A forecast is its input, shifted, if it is so near to the last value, and no better than that;
#: both in errors of the naive forecast.
_NEAR, _NO_BETTER = 0.25, 0.95


def predict(
    task: Forecasting, net: nn.Module, path: Path, plot: Path | None, as_json: bool
) -> None:
    """Print the forecasts of what comes after each series of a file, and draw them.

    Raises:
        DataError: the file cannot be read, or is wrong.
        ArgumentError: the picture's file has another ending than those that can be drawn.
    """
    if plot is not None and plot.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise ArgumentError(f"must end in .svg, .png or .pdf, got {plot}", argument="plot")
    series = task.read(path)
    found = task.predict(net, series)
    if plot is not None:
        _draw(task, series, found, plot)
    head, rows = _rows(task, found)
    if as_json:
        print_json([dict(zip(head, row, strict=True)) for row in rows])
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *rows])
    click.echo(text.getvalue(), nl=False)


def _rows(task: Forecasting, found: Sequence[Forecast]) -> tuple[list[str], list[list[Any]]]:
    """A column for the series, for the time, and of each target for its quantiles."""
    columns, plan = task.plan.columns, task.plan
    levels = [level for level in plan.quantiles if level != 0.5]
    order = [plan.middle, *(plan.quantiles.index(level) for level in levels)]
    head = [*([columns.by] if columns.by else []), columns.time or "step"]
    for name in columns.target:
        head += [name, *(f"{name}_{level:g}" for level in levels)]
    rows = []
    for name, times, quantiles in found:
        # Days alone where all of them are, so that a column is written in one way.
        for time, one in zip(plan.clock.written(times), quantiles[..., order], strict=True):
            numbers = [float(f"{number:.7g}") for number in one.ravel().tolist()]
            rows.append([*([name] if columns.by else []), time, *numbers])
    return head, rows


def _draw(
    task: Forecasting, series: Sequence[Series], found: Sequence[Forecast], out: Path
) -> None:
    """A panel for each series and target: what was, the forecast, and its bands."""
    try:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ArgumentError(
            "needs matplotlib, which comes with Cello's extra draw: pip install 'cello[draw]'",
            argument="plot",
        ) from error
    import numpy as np

    plan, few = task.plan, found[:_SERIES]
    panels = [(one, f, d) for one, f in zip(series, few, strict=False) for d in range(plan.targets)]
    figure = Figure(figsize=(8, 2.4 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axis, (one, forecast, target) in zip(axes, panels, strict=True):
        count = min(len(one), _BEFORE * plan.horizon)
        before = plan.clock.times(one.start, len(one))[-count:]
        axis.plot(before, one.values[-count:, target], color="black", linewidth=1)
        if plan.clock.kind != "number":
            zone = before.tz
            locator = AutoDateLocator(zone, maxticks=8)
            axis.xaxis.set_major_locator(locator)
            axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, zone))
            axis.set_xlabel("" if zone is None else str(zone))
        times = (
            before[-1:].append(forecast.times)
            if plan.clock.kind != "number"
            else np.append(before[-1:], forecast.times)
        )
        quantiles = forecast.quantiles[:, target]
        quantiles = np.vstack([np.full(quantiles.shape[1], one.values[-1, target]), quantiles])
        for level in range(plan.middle):
            low, high = quantiles[:, level], quantiles[:, -1 - level]
            share = plan.quantiles[-1 - level] - plan.quantiles[level]
            axis.fill_between(
                times, low, high, alpha=0.25, color="C0", label=f"{share:.0%}", linewidth=0
            )
        axis.plot(times, quantiles[:, plan.middle], color="C0", label="forecast")
        axis.set_title(" ".join(filter(None, [forecast.name, plan.columns.target[target]])))
        axis.legend(frameon=False, fontsize="small")
    if len(found) > len(few):
        click.echo(f"cello: {out} shows the first {len(few)} of {len(found)} series", err=True)
    picture = io.BytesIO()
    figure.savefig(picture, format=out.suffix[1:].lower())
    try:
        replace(out, picture.getvalue())
    except OSError as error:
        raise ArgumentError(f"cannot be written: {error}", argument="plot") from error


def findings(task: Forecasting, net: nn.Module, series: list[Series]) -> list[Finding]:
    """What is wrong with the forecasts of series: that they are the last values.

    Raises:
        DataError: they are too short for a forecast.
    """
    from cello.see.diagnosis.finding import Finding
    from cello.tasks.forecasting.backtest import shifted

    judged = task.on(series)
    test = judged.backtest("test")
    found = shifted(test.judged(), judged.quantiles(net, test)[..., task.plan.middle])
    if found is None or found[0] > _NEAR or found[1] < _NO_BETTER:
        return []
    return [
        Finding(
            "the forecast is the input, shifted",
            "",
            f"over {len(test.origins)} forecasts, it is {found[0]:.0%} as far from the last value "
            f"known as the truth is, and {found[1]:.0%} as far from the truth as that value: its "
            "curve looks right, one step late, and says nothing that the naive forecast does not",
            "compare with the naive forecast (MASE) first; covariates that are known in advance "
            "(--known), a longer context with a whole season in it; where each change is chance, "
            "as in a random walk, no network can do better",
        )
    ]
