"""What the checks look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cello.layers.paths import joined
from cello.program import Program, Value
from cello.program.movement import CUTS
from cello.program.operations import Operation, facts
from cello.see.gradients.differentiable_run import DifferentiableRun
from cello.see.gradients.flow import Flow

__all__ = ["Evidence", "Named", "along_time", "entry_of", "states_fed"]


@dataclass(frozen=True, eq=False)
class Named:
    """A value of a layer at all its steps.

    Attributes:
        name: as in a recording.
        rows: [N, size].
        bounds: between which it lies, if it was made by a function that has such.
        is_state: whether it is carried on, and depends on what comes in (a clock does not).
        shares: whether it was made by a softmax: numbers that add up to 1.
    """

    name: str
    rows: Tensor
    bounds: tuple[float, float] | None
    is_state: bool
    shares: bool

    @property
    def is_gate(self) -> bool:
        """Whether its values lie between 0 and 1."""
        return self.bounds == (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Evidence:
    """A run of the net: what went in, every value, and every gradient.

    Attributes:
        inputs: the rows of what the net was given, [N, I]; None for ids.
        runs: each cell's way through time.
        flow: the gradients.
    """

    inputs: Tensor | None
    runs: list[DifferentiableRun]
    flow: Flow

    def named(self) -> Iterator[Named]:
        """All values that the cells make, each once."""
        for run in self.runs:
            program, seen = run.program, set()
            maker, states = program.maker(), states_fed(program)
            for name, value in run.values.items():
                if value in seen or value not in maker:
                    continue
                seen.add(value)
                rows = run.rows(value)
                made_by = entry_of(run.program, value)
                yield Named(
                    joined(run.layer, name),
                    rows.reshape(len(rows), -1),
                    made_by.bounds,
                    value in states,
                    made_by.rule == "softmax",
                )


def states_fed(program: Program) -> dict[Value, str]:
    """The new values of the states that depend on the input, with their names."""
    fed = {program.x}
    count = 0
    while count < len(fed):  # until a step brings nothing new
        count = len(fed)
        for op in program.ops:
            if not fed.isdisjoint(op.inputs):
                fed.update(op.outputs)
        fed.update(program.state[n] for n, value in program.next_state.items() if value in fed)
    return {value: name for name, value in program.next_state.items() if value in fed}


def entry_of(program: Program, value: Value) -> Operation:
    """What is known of the operation that makes a value; nothing for what comes in."""
    maker = program.maker()
    op = maker.get(value)
    while op is not None and op.target._opname in CUTS:  # a part of several gates at once
        op = maker.get(op.args[0])
    return Operation() if op is None else facts(op)


def along_time(run: DifferentiableRun, value: Value) -> Tensor:
    """The root mean square of a value at each step, in the order of reading, [T]."""
    rows = run.rows(value).flatten(1).double().square().mean(1)
    squares, alive = run.steps.pad(rows), run.steps.pad(torch.ones_like(rows))
    by_step = (squares.sum(1) / alive.sum(1).clamp(min=1)).sqrt()
    return by_step.flip(0) if run.run.reverse else by_step
