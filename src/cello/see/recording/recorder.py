"""Recording: the plain forward pass, watched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor, nn

from cello.engines import Run, RunResult
from cello.errors import ArgumentError, DtypeError, UnknownNameError
from cello.layers import Steps, observing
from cello.layers.paths import check_net, joined, layer_paths
from cello.program import Program, Value
from cello.program.order import ordered_names
from cello.see.names import Calls, listed, matches
from cello.see.recording.recorded import Call, Recorded
from cello.see.recording.rows import Keeper, LayerRows
from cello.see.recording.source import Source

__all__ = ["watch"]

R = TypeVar("R", bound=Recorded)


def watch(
    kind: type[R],
    net: nn.Module,
    x: Any,
    *args: Any,
    only: str | Iterable[str] | None = None,
    **kwargs: Any,
) -> R:
    """Run `net(x, *args, **kwargs)` and keep its values, as a recording of that kind.

    For the other arguments and errors see `cello.record`.
    """
    watcher = _Watcher(check_net(net), _patterns(only))
    with observing(watcher):
        result = net(x, *args, **kwargs)
    watcher.check()
    return kind(watcher.layers, result, Call(net, x, args, kwargs))


def _patterns(only: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if only is None:
        return None
    patterns = (only,) if isinstance(only, str) else tuple(only)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise DtypeError(
                f'only must hold names or patterns such as "f" or "*.c", got {pattern!r}'
            )
    return patterns


class _Watcher:
    """Sees every layer of `net` run, and keeps what is asked for."""

    def __init__(self, net: nn.Module, patterns: tuple[str, ...] | None) -> None:
        self.net = net
        self.paths = layer_paths(net)
        self.patterns = patterns
        self.layers: list[LayerRows] = []
        self.seen: dict[str, None] = {}  # every name that came by, kept or not
        self.calls = Calls()
        self.keeper = Keeper()
        self.running: tuple[Run, str, Source | None] | None = None

    def wanted(self, module: nn.Module, place: str, run: Run) -> tuple[str, ...] | None:
        """The names that this run is to record."""
        if self.running is not None:  # a layer inside a cell: part of the cell's step
            return None
        path = self.paths.get(module, type(module).__name__)
        layer = self.calls.named(joined(path, place))
        self.running = (run, layer, None)  # from here on, for tracing runs inner layers too
        source = Source.of(run.cell, run.seen)
        self.running = (run, layer, source)
        if self.patterns is None or source.program is None:
            return ()
        names = tuple(name for name in ordered_names(source.program) if self._keeps(layer, name))
        return names or None

    def ran(self, module: nn.Module, place: str, run: Run, result: RunResult, steps: Steps) -> None:
        """Keep what the run has recorded."""
        if self.running is None or self.running[0] is not run:
            return
        _, layer, source = self.running
        self.running = None
        recorded = dict(result.recorded)
        if source is not None and source.program is not None:
            recorded = _sorted(recorded, source.program)
        recorded = {name: rows for name, rows in recorded.items() if self._keeps(layer, name)}
        if not recorded and self.patterns is not None:
            return
        others = (run.data, *run.state, *run.initial, result.output, *result.state)
        rows = self.keeper.keep(recorded, (*others, *run.cell.parameters(), *run.cell.buffers()))
        self.layers.append(LayerRows(layer, self._without_data(steps), rows, source))

    def _without_data(self, steps: Steps) -> Steps:
        """Which row is which step, in memory that is not the user's."""
        lengths = None if steps.lengths is None else self.keeper.copy(steps.lengths)
        packing = steps.packing and replace(steps.packing, order=None)
        return replace(steps, data=steps.data.new_empty(0), packing=packing, lengths=lengths)

    def _keeps(self, layer: str, name: str) -> bool:
        full = joined(layer, name)
        self.seen[full] = None
        return self.patterns is None or any(matches(full, pattern) for pattern in self.patterns)

    def check(self) -> None:
        """Check that something ran, and that each pattern fits something.

        Raises:
            ArgumentError, UnknownNameError: nothing ran; a pattern fits nothing.
        """
        if not self.calls:
            name = type(self.net).__name__
            raise ArgumentError(f"none of the recurrent layers in {name} ran in this call")
        for pattern in self.patterns or ():
            if not any(matches(name, pattern) for name in self.seen):
                raise UnknownNameError(
                    f"only={pattern!r} fits no value; there are {listed(list(self.seen))}"
                )


def _sorted(recorded: dict[str, Tensor], program: Program) -> dict[str, Tensor]:
    """In the order of the step; names of one value share one tensor."""
    named: dict[Value, Tensor] = {}
    order = [name for name in ordered_names(program) if name in recorded]
    return {name: named.setdefault(program.names[name], recorded[name]) for name in order}
