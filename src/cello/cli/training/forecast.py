"""`cello train forecast`: the next values of series."""

from __future__ import annotations

from typing import Any

import click

from cello.cli.command import Command
from cello.cli.parameter_types import FilePath
from cello.cli.source_constants import constant
from cello.cli.training.options import Help, given, options_of
from cello.cli.training.shared import begin, complete, refuse, train, training

__all__ = ["command"]

_TASK = "cello.tasks.forecasting.forecasting:Forecasting"

_TABLE = {
    "target": Help("A column to forecast; may be given several times.", str, multiple=True),
    "time": Help(
        "The column of the times; given several times, those that tell it together, such as a "
        "date and a time of day.",
        str,
        multiple=True,
        default="looked for",
    ),
    "by": Help("The column that names the series, if there are several.", str),
    "known": Help(
        "A column that is known in advance; may be given several times.",
        str,
        multiple=True,
        default="none",
    ),
}
_SERIES = {
    "horizon": Help("Steps to forecast.", int),
    "context": Help("Steps that are read before.", int),
    "quantiles": Help(
        "A level of the forecast, 0.5 among them; the outer ones are its band.",
        float,
        multiple=True,
    ),
    "recursive": Help("Learn the next step only, and forecast on from there."),
    "absolute": Help("Learn the values, not how far they go from the last one known."),
    "without_calendar": Help("Do not tell the network the time of day, of week and of year."),
    "season": Help("Steps of a season.", int, default="the calendar's, or found"),
    "held_out": Help(
        "Steps at the end for the test, and as many before for validation.",
        int,
        default="a tenth, or the horizon if that is longer",
    ),
}
_WINDOWS = {
    "windows": Help("Windows an epoch.", int, default="at least 1000"),
    "batch_size": Help("Windows a batch."),
}


@click.command(
    cls=Command,
    example="""
    cello train forecast --embedded sunspots --epochs 1 -o sunspots
    cello train forecast --recursive --windows 100 --epochs 1 -o chaos
    """,
    own="""
    cello train forecast --train sales.csv --target sales --horizon 14 --context 56 -o sales
    cello train forecast --train all.parquet --target y --by shop --horizon 7 --context 28 -o all
    """,
)
@click.option("--train", type=FilePath(), metavar="FILE", help="CSV or Parquet.")
@click.option(
    "--embedded",
    type=click.Choice(constant("cello.tasks.forecasting.embedded:EMBEDDED")),
    help="Without --train: a series that comes along.  [default: mackey-glass]",
)
@options_of(f"{_TASK}.from_table", _TABLE)
@options_of(f"{_TASK}.from_series", _SERIES)
@options_of(_TASK, _WINDOWS)
@training("cello.tasks.networks:CAUSAL_KINDS")
def command(**values: Any) -> None:
    """Train a network to forecast the next values of series.

    FILE holds a row for each step (of each series, with --by), --target names what is forecast.
    The last steps of each series are held out, forecast from rolling origins, and compared with
    three forecasts that need no learning: the last value (naive), the one a season before, and a
    line through the first and the last (drift). Without a file, the series is that of Mackey and
    Glass, or the yearly sunspot numbers.
    """
    from cello.tasks.forecasting import Forecasting, embedded
    from cello.tasks.forecasting.embedded import usual
    from cello.tasks.readers.text_files import check_there

    values = begin(values)
    if values["train"] is None:
        refuse(values, _TABLE, "needs --train FILE")
        names = (*_SERIES, *_WINDOWS)
        name = values["embedded"] or "mackey-glass"
        values = complete({**values, "embedded": name}, names, **usual(name))
        task = embedded(name, **given(values, (*names, "seed")))
    else:
        refuse(values, ("embedded",), "is for the data that come along, without --train")
        _require(values, "target", "the column to forecast")
        _require(values, "horizon", "how many steps to forecast")
        _require(values, "context", "how many steps to read before")
        check_there([values["train"]])
        names = (*_TABLE, *_SERIES, *_WINDOWS)
        values = complete(values, names)
        task = Forecasting.from_table(values["train"], **given(values, (*names, "seed")))
    train(task, values)


def _require(values: dict[str, Any], name: str, what: str) -> None:
    if values[name] in (None, ()):
        raise click.UsageError(f"--{name} is missing: {what}")
