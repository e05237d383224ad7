"""A run in which every value of every step is kept, so that its gradient can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from cello.engines import Hook, Run, RunResult
from cello.layers import Steps, hooking, observing
from cello.layers.paths import check_net, joined, outer_paths
from cello.program import Program, Value
from cello.program.order import ordered_names
from cello.see.names import Calls

__all__ = ["DifferentiableRun", "run_differentiably"]


@dataclass(eq=False)
class DifferentiableRun:
    """One run of a cell through time.

    Attributes:
        layer: where the cell is in the net, as in a recording.
        run: what ran.
        steps: which row belongs to which step of which sequence.
        output: what came out, [N, O]: its gradient is that of what reads the layer.
        final: the final state, in the order of the rows.
        by_step: each value's rows of each step, on the way from the inputs to the loss.
    """

    layer: str
    run: Run
    steps: Steps
    output: Tensor
    final: tuple[Tensor, ...]
    by_step: dict[Value, list[Tensor]] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        """The captured step."""
        return self.run.captured()

    @property
    def values(self) -> dict[str, Value]:
        """The kept values by name, in the order in which the step makes them."""
        names = self.program.names
        return {n: names[n] for n in ordered_names(self.program) if names[n] in self.by_step}

    def rows(self, value: Value) -> Tensor:
        """The value itself at all steps, [N, ...], cut from the graph."""
        return torch.cat(self.by_step[value]).detach()


def run_differentiably(
    net: nn.Module, x: Any, *args: Any, **kwargs: Any
) -> tuple[Any, list[DifferentiableRun]]:
    """What `net(x, *args, **kwargs)` returns, and the runs of its cells.

    Raises:
        DtypeError, ArgumentError: `net` is no module, or holds no layer of ours.
        CaptureError: a cell's step cannot be traced.
    """
    watcher = _Keeper(check_net(net))
    with torch.enable_grad(), hooking(watcher), observing(watcher):
        result = net(x, *args, **kwargs)
    return result, watcher.runs


class _Keeper:
    """Keeps every value of what runs."""

    def __init__(self, net: nn.Module) -> None:
        self.paths = outer_paths(net)
        self.calls = Calls()
        self.runs: list[DifferentiableRun] = []
        self.by_step: dict[Value, list[Tensor]] = {}

    def wanted(self, module: nn.Module, place: str, run: Run) -> None:
        """Nothing is to be recorded: what the hooks keep is enough."""

    def hooks(
        self, module: nn.Module, place: str, run: Run, steps: Steps
    ) -> Mapping[Value, list[Hook]]:
        """A hook on each value that can have a gradient."""
        if module not in self.paths:
            return {}
        program = run.captured()
        rows = (program.x, *program.state.values(), *program.next_state.values())
        every = (*program.names.values(), *rows)
        values = dict.fromkeys(v for v in every if v.dtype.is_floating_point)
        self.by_step = {value: [] for value in values}
        return {value: [_keep_in(kept)] for value, kept in self.by_step.items()}

    def ran(self, module: nn.Module, place: str, run: Run, result: RunResult, steps: Steps) -> None:
        """Keep the run."""
        if module not in self.paths:
            return
        layer = self.calls.named(joined(self.paths[module], place))
        if run.reverse:  # the last step came first
            for kept in self.by_step.values():
                kept.reverse()
        without = replace(steps, data=steps.data.new_empty(0))
        self.runs.append(
            DifferentiableRun(layer, run, without, result.output, result.state, self.by_step)
        )


def _keep_in(kept: list[Tensor]) -> Hook:
    def keep(rows: Tensor, _: int) -> Tensor:
        # A tensor of its own, so that each value, and each reading of a state, has its gradient.
        rows = rows.view_as(rows) if rows.requires_grad else rows.detach().requires_grad_()
        kept.append(rows)
        return rows

    return keep
