"""How long an epoch takes with the engine that runs, and with the reference engine."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

from cello.cli.language import said

if TYPE_CHECKING:
    from torch import nn

    from cello.tasks import Tagging

__all__ = ["BATCHES", "HEAD", "epoch_seconds", "footnote"]

BATCHES = 3  # of an epoch, that are measured
HEAD = ("an epoch*", "reference*")


def epoch_seconds(task: Tagging, net: nn.Module) -> list[float]:
    """Seconds for the passes of one epoch: with the engine that runs, and with the reference.

    Both are measured on the same first few batches, after one that is not counted, and scaled to
    the number of batches. `net` stays as it is.
    """
    import cello

    batches, twin = task.epoch(0), copy.deepcopy(net).train()
    measured = [batches[number] for number in range(min(BATCHES, len(batches)))]
    seconds = []
    for name in ("auto", "reference"):
        with cello.engine(name):
            _pass(task, twin, measured[0])
            started = time.perf_counter()
            for batch in measured:
                _pass(task, twin, batch)
            taken = time.perf_counter() - started
        seconds.append(taken * len(batches) / len(measured))
    return seconds


def _pass(task: Tagging, net: nn.Module, batch: Any) -> None:
    """Forward and backward."""
    net.zero_grad()
    task.loss(net, batch).total.backward()


def footnote(task: Tagging) -> str:
    """What the two columns hold."""
    count = len(task.epoch(0))
    return said(
        "* Seconds for the forward and backward passes of an epoch, from {} of its {} batches: "
        "with the engine that runs, and with the reference engine, which calls the step once for "
        "each step.",
        min(BATCHES, count),
        count,
    )
