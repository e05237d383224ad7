"""The captured step, operation by operation, with hooks that may replace each value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.engines.run import Rows, Run, RunResult, empty_result, walk
from cello.program import Op, Program, Value, evaluate, split

__all__ = ["Hook", "interpret", "run_ops", "tensors_of"]

#: Given the rows of a value at a step t, returns the rows with which the step goes on.
Hook = Callable[[Tensor, int], Tensor]


def interpret(run: Run, hooks: Mapping[Value, Sequence[Hook]]) -> RunResult:
    """Run the captured step through time; `hooks` get their value, in turn, when it is made.

    Raises:
        CaptureError: the step cannot be captured.
    """
    program = run.captured()
    if not sum(run.batch_sizes):
        return empty_result(run, program)
    names = run.recorded_names(program)
    fixed = tensors_of(program, run.cell)
    evaluate(split(program).once, fixed, 0)
    ops = [op for op in program.ops if op.outputs[0] not in fixed]
    rows = {program.x: run.data}
    output, final, recorded = run_ops(program, ops, run, fixed, rows, names.values(), hooks)
    return RunResult(output, final, dict(zip(names, recorded, strict=True)))


def run_ops(
    program: Program,
    ops: Sequence[Op],
    through: Rows,
    fixed: Mapping[Value, Any],
    rows: Mapping[Value, Tensor],
    shown: Collection[Value],
    hooks: Mapping[Value, Sequence[Hook]] | None = None,
) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
    """Run some of a program's operations at every step.

    Args:
        program: says what is given to a step, and what it leaves.
        ops: what runs.
        through: the steps.
        fixed: what is the same at each step.
        rows: values that are known for all steps, [N, …].
        shown: what else to return.
        hooks: what is done with values that a step is given, or makes.

    Returns:
        The output [N, …], the final state, and what is `shown`.
    """
    sizes, hooks = list(through.batch_sizes), hooks or {}
    pieces = {value: tensor.split(sizes) for value, tensor in rows.items()}
    kept: list[Any] = [None] * len(sizes)

    def step(t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        known = dict(fixed)

        def take(value: Value, made: Tensor) -> None:
            for hook in hooks.get(value, ()):
                made = hook(made, t)
            known[value] = made

        for value, parts in pieces.items():
            take(value, parts[t])
        for value, part in zip(program.state.values(), state, strict=True):
            take(value, part)
        evaluate(ops, known, sizes[t], take)
        kept[t] = [known[value] for value in (program.output, *shown)]
        return tuple(known[value] for value in program.next_state.values())

    final = walk(through, step)
    output, *others = (torch.cat(parts) for parts in zip(*kept, strict=True))
    return output, final, others


def tensors_of(program: Program, cell: Cell) -> dict[Value, Any]:
    """The parameters, buffers and constants of a program."""
    own = dict(cell.named_parameters()) | dict(cell.named_buffers())
    known: dict[Value, Any] = dict(program.constants)
    known.update((value, own[name]) for name, value in program.parameters.items())
    return known
