"""The metrics of each split as a table, as commands print it and a model's card has it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import NamedTuple

__all__ = ["ScoreTable", "score_table"]


class ScoreTable(NamedTuple):
    """A head, a row for each split, and what has to be said of them, if something has."""

    head: list[str]
    rows: list[list[str]]
    note: str = ""


def score_table(splits: Mapping[str, Mapping[str, float]]) -> ScoreTable:
    """The overall metrics of each split; of forecasts also those of each baseline.

    Args:
        splits: the metrics of each split, by its name; those with a "/" in their name are of a
            tag or a baseline.

    >>> score_table({"test": {"accuracy": 0.5, "accuracy/O": 1.0}})
    ScoreTable(head=['', 'accuracy'], rows=[['test', '0.5000']], note='')
    """
    every = {name: metrics for name, metrics in splits.items() if metrics}
    if every and all("mase" in metrics for metrics in every.values()):
        return _of_forecasts(every)
    names = list(dict.fromkeys(n for metrics in every.values() for n in metrics if "/" not in n))
    rows = [
        [split, *(f"{metrics[name]:.4f}" if name in metrics else "" for name in names)]
        for split, metrics in every.items()
    ]
    split, last = list(every.items())[-1] if every else ("", {})
    note = ""
    if last.get("majority", -1.0) >= last.get("accuracy", 0.0):
        note = f"on {split}, naming the most frequent class each time is right as often"
    return ScoreTable(["", *map(_in_words, names)], rows, note)


def _of_forecasts(every: Mapping[str, Mapping[str, float]]) -> ScoreTable:
    """A row for the network's forecasts, and one for each baseline."""
    split, last = list(every.items())[-1]
    names = [name for name in last if "/" not in name and f"{name}/naive" in last]
    others = [name.partition("/")[2] for name in last if name.startswith("mase/")]
    rows = [
        [split, _in_words(other) or "the network"]
        + [f"{metrics[f'{name}/{other}' if other else name]:.4f}" for name in names]
        for split, metrics in every.items()
        for other in ("", *others)
    ]
    # Series that never change in training have no MASE.
    measure, called = ("smape", "sMAPE") if isnan(last["mase"]) else ("mase", "MASE")
    better = min(others, key=lambda other: last[f"{measure}/{other}"])
    note = ""
    if last[f"{measure}/{better}"] < last[measure]:
        note = (
            f"on {split}, the {_in_words(better)} forecast is better than the network's: "
            f"its {called} is lower"
        )
    return ScoreTable(["", "forecast", *map(_in_words, names)], rows, note)


def _in_words(name: str) -> str:
    return name.replace("_", " ")
