"""The seam at which something can watch layers run: recording uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
from torch import nn

from cello.engines import Result, Run
from cello.layers.steps import Steps

__all__ = ["Observer", "observer", "observing"]


class Observer(Protocol):
    """Watches every run of a cell through time."""

    def wanted(self, module: nn.Module, place: str, run: Run) -> tuple[str, ...] | None:
        """The names that this run is to record; an empty tuple for all, None for nothing.

        Args:
            module: the layer that runs.
            place: which of the layer's cells, such as "" or "1.backward".
            run: what is about to run.
        """

    def ran(self, module: nn.Module, place: str, run: Run, result: Result, steps: Steps) -> None:
        """A run is done; `result.recorded` holds what was wanted."""


_observer: ContextVar[Observer | None] = ContextVar("cello_observer", default=None)


def observer() -> Observer | None:
    """Who watches now; nobody can watch what `torch.compile` traces."""
    if torch.compiler.is_compiling():
        return None
    return _observer.get()


@contextmanager
def observing(watcher: Observer) -> Iterator[None]:
    """Let `watcher` see all runs inside the block."""
    token = _observer.set(watcher)
    try:
        yield
    finally:
        _observer.reset(token)
