"""The log of a run: rows of numbers for a CSV reader, TensorBoard or both.

Fabric's loggers write them. Its CSV logger starts a new file each time, so a resumed run hands it
the rows of the old file first: those that the checkpoint knows of, and no later ones.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

from cello.errors import ArgumentError

__all__ = ["Log"]

_NEVER = 2**62


class Log:
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

    path = folder / "log" / "metrics.csv"
    old: list[dict[str, Any]] = []
    if rows and path.is_file():
        with open(path, newline="", encoding="utf-8") as file:
            old = list(csv.DictReader(file))[:rows]
    logger = CSVLogger(folder, name="log", version="", flush_logs_every_n_steps=_NEVER)
    with warnings.catch_warnings():
        # It says that it deletes the file: we have read it.
        warnings.filterwarnings("ignore", message="Experiment logs directory")
        _ = logger.experiment
    for row in old:
        step = row.pop("step")
        if step:  # not a row that was cut off in the middle
            values = {name: value for name, value in row.items() if name and value}
            logger.log_metrics(values, int(step))
    if old:
        logger.save()
    return logger


def _tensorboard_logger(folder: Path, purge_step: int | None) -> Any:
    from lightning_fabric.loggers import TensorBoardLogger

    try:
        # What was logged at purge_step or later, TensorBoard hides: it will come again.
        return TensorBoardLogger(folder, name="log", version="tensorboard", purge_step=purge_step)
    except ModuleNotFoundError as error:
        raise ArgumentError(
            "log='tensorboard' needs the tensorboard package: pip install 'cello[tensorboard]'"
        ) from error
