"""The runs of a data file as a page, for `cello example --html` and `cello run --html`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cello.cli.example_data.datafile import DataFile, Network
from cello.cli.example_data.report import RunReport, report
from cello.errors import ArgumentError, DataError
from cello.layers.paths import joined

if TYPE_CHECKING:
    from cello.see import Exercise
    from cello.see.page.labels import Verdicts

__all__ = ["exercises_of", "write_page"]


def write_page(file: DataFile, path: Path) -> Path:
    """Write the explorer of all runs of a data file's network.

    Raises:
        DataError: there is no run in it, or runs of several networks.
        ModelError: the page cannot be written.
    """
    from cello.see.page.html import to_html

    networks = [network for network in file.networks if network.runs]
    if len(networks) != 1:
        if not networks:
            raise DataError(
                f"{file.name}: there is no page of it, for it has no runs that a page could show"
            )
        raise DataError(f"{file.name}: a page needs the runs of one network, got {len(networks)}")
    (network,) = networks
    (reported,) = [network for network in report(file) if network.runs]
    recordings = [run.recording for run in reported.runs]
    begin = None
    if network.runs[0].explain:
        first, *_ = network.runs[0].explain
        layer = first.layer if first.layer in recordings[0].by_layer else recordings[0].layers[0]
        states = recordings[0].by_layer[layer].cell
        if states is not None:
            value = "c" if "c" in states.state else states.state[0]
            begin = joined(layer, value), first.unit, first.t
    titles = [run.title or f"{number}" for number, run in enumerate(network.runs)]
    try:
        return to_html(
            recordings,
            path,
            title=_worded(file.title, file.chinese.get("title")),
            description=_worded(file.text, file.chinese.get("text")),
            titles=titles,
            begin=begin,
            exercises=exercises_of(network),
            stated=[_verdicts(run) for run in reported.runs],
        )
    except ArgumentError as error:
        if not str(error).startswith("exercises"):
            raise
        raise DataError(
            f"{file.name}: {error}; an exercise is about the numbers of its run: where these were "
            "changed, change its tables (exercise) too, or take them out"
        ) from error


def exercises_of(network: Network) -> list[Exercise]:
    """Those of all runs, each with the number of its sequence on the page."""
    return [
        replace(exercise, sequence=number)
        for number, run in enumerate(network.runs)
        for exercise in run.exercises
    ]


def _verdicts(run: RunReport) -> Verdicts:
    """By value, of products of values nothing: a page has no numbers of them."""
    columns = [column for column in run.columns if column.stated and "*" not in column.name]
    return {column.name: column.agreement() for column in columns}


def _worded(english: str, chinese: str | None) -> str | dict[str, str]:
    return {"en": english, "zh": chinese} if chinese else english
