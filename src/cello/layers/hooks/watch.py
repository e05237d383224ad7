"""The seam at which something can watch layers run, or take hold of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
from torch import Tensor, nn

from cello.engines import Hook, Run, RunResult, can_bypass_dispatcher, takes_loops
from cello.layers.call.steps import Steps
from cello.program import Value

__all__ = [
    "HookProvider",
    "Observer",
    "hook_providers",
    "hooking",
    "hooks",
    "is_unwatched",
    "observer",
    "observing",
    "unwatched",
]


class Observer(Protocol):
    """Watches every run of a cell through time."""

    def wanted(self, module: nn.Module, place: str, run: Run) -> tuple[str, ...] | None:
        """The names that this run is to record; an empty tuple for all, None for nothing.

        Args:
            module: the layer that runs.
            place: which of the layer's cells, such as "" or "1.backward".
            run: what is about to run.
        """

    def ran(self, module: nn.Module, place: str, run: Run, result: RunResult, steps: Steps) -> None:
        """A run is done; `result.recorded` holds what was wanted."""


class HookProvider(Protocol):
    """Takes hold of values while a cell runs through time."""

    def hooks(
        self, module: nn.Module, place: str, run: Run, steps: Steps
    ) -> Mapping[Value, Sequence[Hook]]:
        """What is to be done with which values of the captured step, in turn; nothing if empty.

        Args:
            module: the layer that runs.
            place: which of the layer's cells.
            run: what is about to run.
            steps: its inputs, as the layer has them.
        """


_observer: ContextVar[Observer | None] = ContextVar("cello_observer", default=None)
_providers: ContextVar[tuple[HookProvider, ...]] = ContextVar("cello_holders", default=())


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


def hook_providers() -> tuple[HookProvider, ...]:
    """Who takes hold of values now, the outermost first; nobody of what `torch.compile` traces."""
    if torch.compiler.is_compiling():
        return ()
    return _providers.get()


def is_unwatched(x: Tensor, engine: str) -> bool:
    """Whether a call on x may run a compiled loop, and nothing around has to see it."""
    return (
        can_bypass_dispatcher((x,))
        and takes_loops(engine)
        and _observer.get() is None
        and not _providers.get()
    )


@contextmanager
def hooking(provider: HookProvider) -> Iterator[None]:
    """Let `provider` set values inside the block, after those of the blocks around."""
    token = _providers.set((*_providers.get(), provider))
    try:
        yield
    finally:
        _providers.reset(token)


def hooks(module: nn.Module, place: str, run: Run, steps: Steps) -> dict[Value, list[Hook]]:
    """What all providers do with the values of this run, in turn."""
    found: dict[Value, list[Hook]] = {}
    for provider in hook_providers():
        for value, some in provider.hooks(module, place, run, steps).items():
            found.setdefault(value, []).extend(some)
    return found


@contextmanager
def unwatched() -> Iterator[None]:
    """Let nobody see or change the runs inside the block."""
    tokens = _observer.set(None), _providers.set(())
    try:
        yield
    finally:
        _observer.reset(tokens[0])
        _providers.reset(tokens[1])
