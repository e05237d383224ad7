"""Progress for people: a bar on a terminal, elsewhere lines now and then, and one an epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from cello.streams import lasting
from cello.train.report.events import Event

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

__all__ = ["Progress", "epoch_line"]

_SECONDS_BETWEEN_UPDATES = 0.1
#: Where there is no bar.
_SECONDS_BETWEEN_LINES = 30.0


def epoch_line(row: Mapping[str, Any], epochs: int, monitor: str) -> str:
    """The result of an epoch in one line; of the metrics, the one that is monitored.

    >>> row = {"epoch": 2, "step": 40, "loss": 0.51234, "validation_accuracy": 0.875, "seconds": 3}
    >>> epoch_line(row, epochs=3, monitor="accuracy")
    'epoch 2/3  loss 0.5123  validation accuracy 0.8750  3.0 s'
    >>> row |= {"validation_bits_per_character": 2.25, "validation_other_share": 0.0123}
    >>> epoch_line(row, epochs=3, monitor="bits_per_character")
    'epoch 2/3  loss 0.5123  validation bits per character 2.2500  other 1.23%  3.0 s'
    """
    parts = [f"epoch {row['epoch']}/{epochs}", f"loss {row['loss']:.4f}"]
    if (name := f"validation_{monitor}") in row:
        parts.append(f"{name.replace('_', ' ')} {row[name]:.4f}")
    if (share := row.get("validation_other_share")) is not None:
        parts.append(f"other {share:.2%}")  # characters that are cheap to predict
    return "  ".join([*parts, f"{row['seconds']:.1f} s"])


class Progress:
    """Listens to the events of `fit` and shows them on `file` (standard error by default).

    On a terminal a bar shows how far the epoch is, how long it and all epochs will take. Elsewhere
    there are lines: one after each epoch, and in long ones another every 30 s. Where it goes away
    (a closed pipe or terminal, a full disk), nothing more is shown, and training goes on.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        from rich.console import Console

        stream = sys.stderr if file is None else file
        shown = None if stream is None else lasting(stream)  # pythonw has no standard error
        self._console = Console(file=shown, quiet=stream is None, highlight=False)
        self._bar: Bar | None = None
        self._task: Any = None
        self._start_values: Mapping[str, Any] = {}
        self._shown = self._told = 0.0
        self._clock = _Clock(1, 1, 0, 0.0)
        self._loss_sum = 0.0
        self._elements = 0
        self._since = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "step":
            self._step(event)
        elif event.kind == "start":
            self._start(event)
        elif event.kind == "epoch":
            self._epoch(event)
        elif event.kind == "end" and self._bar is not None:
            self._bar.stop()

    def _start(self, event: Event) -> None:
        self._start_values = event.values
        epochs, steps = event.values["epochs"], event.values["steps"]
        self._since = self._shown = self._told = now = time.perf_counter()
        self._clock = _Clock(steps, max(1, steps // epochs), event.step, now)
        if not self._console.is_terminal:
            return
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[numbers]}  {task.fields[left]}"),
            console=self._console,
            transient=True,
        )
        done = self._clock.in_epoch(event.step, event.epoch)
        self._task = self._bar.add_task(
            "", total=self._clock.per_epoch, completed=done, epoch=event.epoch,
            epochs=epochs, numbers="", left="",
        )  # fmt: skip
        self._bar.start()

    def _step(self, event: Event) -> None:
        elements = event.values["elements"]
        self._loss_sum += event.values["loss"] * elements
        self._elements += elements
        now = time.perf_counter()
        if self._bar is None:
            due = now - self._told >= _SECONDS_BETWEEN_LINES
        else:
            due = now - self._shown >= _SECONDS_BETWEEN_UPDATES
        if not due or not self._elements:
            return
        loss, speed = self._loss_sum / self._elements, self._elements / (now - self._since)
        numbers = f"loss {loss:.4f}  {speed:,.0f} elements/s"
        left = self._clock.left(event.step, event.epoch, now)
        done = self._clock.in_epoch(event.step, event.epoch)
        if self._bar is None:
            share = done / self._clock.per_epoch
            epoch = f"epoch {event.epoch}/{self._start_values['epochs']}"
            self._console.print(f"{epoch}  {share:4.0%}  {numbers}  {left}", soft_wrap=True)
            self._told = now
        else:
            self._bar.update(
                self._task, completed=done, epoch=event.epoch, numbers=numbers, left=left
            )
            self._shown = now
        self._since = now
        self._loss_sum, self._elements = 0.0, 0

    def _epoch(self, event: Event) -> None:
        start = self._start_values
        line = epoch_line(event.values, start["epochs"], start["monitor"])
        self._console.print(line, soft_wrap=True)
        self._since = self._told = now = time.perf_counter()  # evaluating is not in the speed
        self._loss_sum, self._elements = 0.0, 0
        self._clock.epoch_began(event.step, now)


class _Clock:
    """How long the epoch and the whole run will take still, by how long steps took so far."""

    def __init__(self, steps: int, per_epoch: int, step: int, now: float) -> None:
        self.steps, self.per_epoch = steps, per_epoch
        self._first = self._epoch_first = step, now

    def epoch_began(self, step: int, now: float) -> None:
        """An epoch begins after `step`."""
        self._epoch_first = step, now

    def in_epoch(self, step: int, epoch: int) -> int:
        """How many steps of the epoch are done."""
        return min(self.per_epoch, step - (epoch - 1) * self.per_epoch)

    def left(self, step: int, epoch: int, now: float) -> str:
        """In words; validation counts for the whole run, where one has been seen."""
        if (done := self.in_epoch(step, epoch)) == self.per_epoch:
            return "validating"
        each, each_of_all = (
            (now - then) / max(1, step - first) for first, then in (self._epoch_first, self._first)
        )
        epoch_left, all_left = each * (self.per_epoch - done), each_of_all * (self.steps - step)
        if self.steps <= self.per_epoch:
            return f"{_time(epoch_left)} left"
        return f"{_time(epoch_left)} left, {_time(max(epoch_left, all_left))} for all epochs"


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
