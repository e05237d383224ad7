"""What a run writes into its folder: the log, checkpoints and the best model so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from cello.convert import save_model
from cello.errors import ModelError, TrainingError
from cello.files import replace
from cello.train.options import Options
from cello.train.report.card import MARK
from cello.train.report.curves import curves
from cello.train.report.log import MetricsLog
from cello.train.saved import checkpoint

__all__ = ["Files"]

CURVES, CARD = "curves.svg", "README.md"


class Files:
    """The files of a run, written by its first process.

    `rows` and `step` are the rows of the log and the steps when it begins: those of the checkpoint
    that it goes on from.

    Raises:
        TrainingError: by each method too: something cannot be written. Checkpoints that are there
            stay as they are.
    """

    def __init__(self, folder: Path, options: Options, *, rows: int, step: int) -> None:
        self.folder, self.options = folder, options
        self.saved_step, self.saved_at = step, time.perf_counter()
        with self._writing("the log", step):
            self._log = MetricsLog(folder, tuple(options.log), rows=rows, step=step)

    @property
    def rows(self) -> int:
        """Rows of the log so far."""
        return self._log.rows

    def log(self, values: dict[str, Any], step: int) -> None:
        """Add a row to the log."""
        with self._writing("the log", step):
            self._log.write(values, step)

    def close(self) -> None:
        """Finish the log."""
        with self._writing("the log", self.saved_step):
            self._log.close()

    def checkpoint_due(self, step: int) -> bool:
        """Whether the options want a checkpoint after `step`."""
        steps, seconds = self.options.checkpoint_steps, self.options.checkpoint_seconds
        if steps is not None and step - self.saved_step >= steps:
            return True
        return seconds is not None and time.perf_counter() - self.saved_at >= seconds

    def checkpoint(self, tree: Any, step: int) -> None:
        """Write a checkpoint."""
        with self._writing("the checkpoint", step):
            checkpoint.save(self.folder / "checkpoint", tree, step=step)

    def checkpoint_done(self, step: int) -> None:
        """Note, in every process, that there is a checkpoint of `step`."""
        self.saved_step, self.saved_at = step, time.perf_counter()

    def model(self, net: nn.Module, task: dict[str, Any], step: int) -> None:
        """Write the network as it is now as the model."""
        with self._writing("the model", step):
            save_model(net, self.folder, task=task)

    def picture(
        self, history: list[dict[str, float]], monitor: str, best_epoch: int | None
    ) -> None:
        """Draw the curves of the run so far."""
        with self._writing("the curves", self.saved_step):
            drawn = curves(history, monitor, best_epoch)
            replace(self.folder / CURVES, drawn.encode(), forced=False)

    def card(self, text: str) -> None:
        """Write the model's card, unless somebody's own file bears its name."""
        path = self.folder / CARD
        with self._writing("the model's card", self.saved_step):
            if not path.exists() or path.read_bytes().startswith(MARK.encode()):
                replace(path, text.encode(), forced=False)

    @contextmanager
    def _writing(self, what: str, step: int) -> Iterator[None]:
        try:
            yield
        except (OSError, ModelError) as error:
            message = f"cannot write {what} of step {step}: {error}"
            if checkpoint.exists(self.folder / "checkpoint"):
                message += (
                    f"; the checkpoint of step {self.saved_step} is whole: resume from it when "
                    "this is mended"
                )
            raise TrainingError(message) from error
