"""The reference engine: the cell's own step, once for every step of the sequence.

This is what every cell means. Whatever another engine computes is tested against it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from cello.cells import Cell
from cello.cells.contract.state import in_rows, step_arguments, step_on_rows
from cello.cells.contract.step_checks import check_step_result, step_name_of
from cello.cells.tracing import in_transform, is_traced
from cello.engines.packing import packing_of
from cello.engines.run import Run, RunResult, empty_result, walk
from cello.errors import CaptureError, CellError
from cello.program import Program, named_tensors, step_with_locals

__all__ = ["NAME", "refuses", "run"]

NAME = "reference"


def refuses(_run: Run) -> None:
    """It runs every cell."""


def run(run: Run) -> RunResult:
    """Run the cell's own step through time."""
    cell, sizes = run.cell, run.batch_sizes
    if run.parameters is not None:
        cell._parameters.update(run.parameters)  # type: ignore[arg-type]
    if run.lengths is not None:
        return _without_padding(run, run.lengths)
    if not sum(sizes):
        return empty_result(run, None if run.wanted is None else _program(run))
    inputs = run.data.split(list(sizes))
    outputs: list[Any] = [None] * len(sizes)
    recorder = _Recorder(run) if run.wanted is not None else None
    given, step = _Given(cell), step_on_rows(cell)

    def plain(t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with_own = given.to_step(state)
        outputs[t], state = step(inputs[t], *with_own)
        given.check(with_own)
        return state

    def watched(t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with_own = given.to_step(state)
        if recorder is None:
            x, inside = step_arguments(cell, inputs[t], with_own)
            result = cell.step(x, *inside)
        else:
            result = recorder.step(t, inputs[t], with_own, state)
        check_step_result(cell, result, inputs[t].shape[0])
        given.check(with_own)
        outputs[t], state = in_rows(cell, result)
        return state

    state = walk(run, plain if recorder is None else watched, first=watched)
    recorded = recorder.values() if recorder is not None else {}
    return RunResult(torch.cat(outputs), state, recorded)


def _program(run: Run) -> Program | None:
    """The captured step, which knows the names; None where it cannot be captured."""
    try:
        return run.captured()
    except CaptureError:
        return None


def _without_padding(padded: Run, lengths: Tensor) -> RunResult:
    """Run on the rows that are no padding."""
    packing, sizes = packing_of(lengths, len(padded.batch_sizes))
    state, initial = (
        tuple(packing.sort(part) for part in parts) for parts in (padded.state, padded.initial)
    )
    reset, forced = (
        None if rows is None else packing.pack(rows) for rows in (padded.reset, padded.forced)
    )
    data = packing.pack(padded.data)
    result = run(Run(data, sizes, state, initial, padded.reverse, reset, forced, cell=padded.cell))
    return RunResult(packing.pad(result.output), tuple(map(packing.unsort, result.state)))


class _Given:
    """The state that a step is given: its own copy, if the step changes it in place.

    The state before is the user's own, or an output; neither may change. Whether the step does so
    is seen at the first step, which has a copy in any case.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.copies: bool | None = None  # what the first step tells
        self.versions: list[int] = []
        # Where changes are not counted, each step has copies.
        self.counted = not (torch.compiler.is_compiling() or is_traced() or in_transform())

    def to_step(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The state for the next step."""
        if self.copies is not False:
            state = tuple(part.clone() for part in state)
        if self.counted and not any(part.is_inference() for part in state):
            self.versions = [part._version for part in state]
        else:
            self.counted = False
        return state

    def check(self, state: tuple[Tensor, ...]) -> None:
        """Look at the state after the step.

        Raises:
            CellError: it has been changed in place, which it was not by the first step.
        """
        if not self.counted:
            return
        changes = [part._version for part in state] != self.versions
        if self.copies is None:
            self.copies = changes
        elif changes and not self.copies:
            raise CellError(
                f"{step_name_of(self.cell)} changes its state in place, but did not at the "
                "first step: write h = h + …, not h += …"
            )


class _Recorder:
    """Keeps the local variables of every step that have a row for each row of the batch."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.kept: dict[str, list[Tensor | None]] = {}
        program = _program(run)
        self.known: Collection[str] | None = None if program is None else program.names

    def step(self, t: int, x: Tensor, state: tuple[Tensor, ...], before: tuple[Tensor, ...]) -> Any:
        """One step on `state`, which is that `before` it, or a copy of it."""
        cell = self.run.cell
        inside, parts = step_arguments(cell, x, state)
        result, variables = step_with_locals(cell, inside, parts)
        check_step_result(cell, result, len(x))
        named = {"x": x} | named_tensors(cell, inside, parts, result, variables)
        _, before = step_arguments(cell, x, before)
        named.update(zip((f"{name}_prev" for name in cell.state), before, strict=True))
        for name, value in named.items():
            if self.run.records(name) and self._has_rows(name, value, len(x)):
                steps = self.kept.setdefault(name, [None] * len(self.run.batch_sizes))
                steps[t] = value
        return result

    def values(self) -> dict[str, Tensor]:
        return {name: torch.cat(self._complete(steps)) for name, steps in self.kept.items()}

    def _complete(self, steps: list[Tensor | None]) -> list[Tensor]:
        """NaN where a step did not make the value, as after a branch not taken."""
        like = next(value for value in steps if value is not None)
        nan = [
            like.new_full((rows, *like.shape[1:]), torch.nan if like.is_floating_point() else 0)
            for rows in self.run.batch_sizes
        ]
        return [made if made is not None else gap for made, gap in zip(steps, nan, strict=True)]

    def _has_rows(self, name: str, value: Tensor, rows: int) -> bool:
        """Whether the value belongs to the rows of the batch, as the program or its shape says."""
        if self.known is not None:
            return name in self.known
        is_parameter = isinstance(value, nn.Parameter) or isinstance(value._base, nn.Parameter)
        return value.dim() > 0 and value.shape[0] == rows and not is_parameter
