"""The captured step, operation by operation, where others may take hold of each value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.engines.run import Run, RunResult, empty_result, walk
from cello.program import BATCH, Op, Program, Value, map_leaves, split

__all__ = ["Hook", "evaluate", "interpret", "tensors_of"]

#: Given the rows of a value at a step t, returns the rows with which the step goes on.
Hook = Callable[[Tensor, int], Tensor]


def interpret(run: Run, hooks: Mapping[Value, Sequence[Hook]]) -> RunResult:
    """Run the captured step through time; `hooks` get their value, in turn, when it is made.

    Raises:
        CaptureError: the step cannot be captured.
    """
    program = run.captured()
    sizes = list(run.batch_sizes)
    if not sum(sizes):
        return empty_result(run, program)
    names = run.recorded_names(program)
    fixed = tensors_of(program, run.cell)
    evaluate(split(program).once, fixed, 0)
    ops = [op for op in program.ops if op.outputs[0] not in fixed]
    inputs = run.data.split(sizes)
    outputs: list[Any] = [None] * len(sizes)
    recorded: dict[str, list[Any]] = {name: [None] * len(sizes) for name in names}

    def step(t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        known = dict(fixed)

        def take(value: Value, rows: Tensor) -> None:
            for hook in hooks.get(value, ()):
                rows = hook(rows, t)
            known[value] = rows

        take(program.x, inputs[t])
        for value, rows in zip(program.state.values(), state, strict=True):
            take(value, rows)
        evaluate(ops, known, sizes[t], take)
        outputs[t] = known[program.output]
        for name, value in names.items():
            recorded[name][t] = known[value]
        return tuple(known[value] for value in program.next_state.values())

    final = walk(run, step)
    return RunResult(
        torch.cat(outputs), final, {n: torch.cat(rows) for n, rows in recorded.items()}
    )


def tensors_of(program: Program, cell: Cell) -> dict[Value, Any]:
    """The parameters, buffers and constants of a program."""
    own = dict(cell.named_parameters()) | dict(cell.named_buffers())
    known: dict[Value, Any] = dict(program.constants)
    known.update((value, own[name]) for name, value in program.parameters.items())
    return known


def evaluate(
    ops: Collection[Op],
    known: dict[Value, Any],
    rows: int,
    take: Callable[[Value, Tensor], None] | None = None,
) -> None:
    """Run `ops` for a number of rows on what is `known`; `take` gets what they make.

    Unless `take` is given, what they make becomes known.
    """
    take = take or known.__setitem__

    def filled(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return known[leaf]
        return rows if leaf is BATCH else leaf

    for op in ops:
        arguments = [map_leaves(filled, part) for part in op.args]
        result = op.target(*arguments, **map_leaves(filled, op.kwargs))
        for value, made in zip(op.outputs, result if op.is_tuple else (result,), strict=True):
            take(value, made if op.grad else made.detach())
