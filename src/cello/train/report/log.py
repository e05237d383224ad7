"""The log of a run: rows of numbers for a CSV reader, TensorBoard or both.

Fabric's loggers write them. Its CSV logger starts a new file each time, so a resumed run hands it
the rows of the old file first: those that the checkpoint knows of, and no later ones.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import itertools
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cello.errors import ArgumentError

__all__ = ["MetricsLog", "check_log"]

_NEVER = 2**62
_NO_TENSORBOARD = (
    "log='tensorboard' needs the tensorboard package: pip install 'cello[tensorboard]'"
)


def check_log(kinds: Iterable[str]) -> None:
    """Check that the packages that write these logs are installed.

    Raises:
        ArgumentError: it is not.
    """
    packages = ("tensorboard", "tensorboardX")
    if "tensorboard" in kinds and not any(map(importlib.util.find_spec, packages)):
        raise ArgumentError(_NO_TENSORBOARD)


class MetricsLog:
    """Rows by step, in `folder`/log: metrics.csv, and tensorboard/ with event files.

    `rows` is the number of rows written so far, by this run and the ones that it continues.
    """

    def __init__(self, folder: Path, kinds: tuple[str, ...], *, rows: int = 0, step: int = 0):
        self.rows = rows
        self._loggers: list[Any] = []
        if "csv" in kinds:
            self._loggers.append(_csv_logger(folder, rows))
        if "tensorboard" in kinds:
            self._loggers.append(_tensorboard_logger(folder, step + 1 if rows else None))

    def write(self, values: dict[str, Any], step: int) -> None:
        """Add a row, at once also on the disk."""
        self.rows += 1
        for logger in self._loggers:
            logger.log_metrics(values, step)
            logger.save()

    def close(self) -> None:
        """Write what is left."""
        for logger in self._loggers:
            logger.finalize("success")


def _csv_logger(folder: Path, rows: int) -> Any:
    from lightning_fabric.loggers import CSVLogger

    old = _read_rows(folder / "log" / "metrics.csv", rows) if rows else []
    logger = CSVLogger(folder, name="log", version="", flush_logs_every_n_steps=_NEVER)
    with warnings.catch_warnings():
        # It says that it deletes the file: we have read it.
        warnings.filterwarnings("ignore", message="Experiment logs directory")
        _ = logger.experiment
    for step, values in old:
        logger.log_metrics(values, step)
    if old:
        logger.save()
    return logger


def _read_rows(path: Path, rows: int) -> list[tuple[int, dict[str, Any]]]:
    """Of the first `rows` rows those that tell their step, with it."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").replace("\0", "\ufffd")
    except FileNotFoundError:  # or the first process has just begun it anew
        return []
    found: list[tuple[int, dict[str, Any]]] = []
    lost = 0
    try:
        for row in itertools.islice(csv.DictReader(io.StringIO(text)), rows):
            step = row.pop("step", None)
            if step is not None and step.isdecimal():
                values = {name: value for name, value in row.items() if name and value}
                found.append((int(step), values))
            else:
                lost += bool(step)  # without a step it was cut off in the middle
    except csv.Error:
        lost += 1
    if lost or "\ufffd" in text:
        warnings.warn(
            f"the log {path} is damaged: what can be read of it is kept; the training does not "
            "depend on it",
            stacklevel=2,
        )
    return found


def _tensorboard_logger(folder: Path, purge_step: int | None) -> Any:
    from lightning_fabric.loggers import TensorBoardLogger

    try:
        # What was logged at purge_step or later, TensorBoard hides: it will come again.
        return TensorBoardLogger(folder, name="log", version="tensorboard", purge_step=purge_step)
    except ModuleNotFoundError as error:
        raise ArgumentError(_NO_TENSORBOARD) from error
