"""Running the loops of a plan, whatever they are written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from cello.engines.fused.op.call import LoopCall
from cello.engines.fused.op.operators import forward
from cello.engines.fused.plan import Plan
from cello.engines.run import Rows, Run, RunResult
from cello.program import Value

__all__ = ["loop", "run_plan", "shaped", "shared_from", "shared_tensors", "taken"]


def run_plan(plan: Plan, run: Run) -> RunResult:
    """Run the loops of a plan."""
    program = plan.program
    names = run.recorded_names(program)
    stored = _stored(plan, names) if names else {}
    known = shared_tensors(plan, run.cell)
    early: dict[str, torch.Tensor] = {}
    if plan.widen is not None:
        data, early = plan.widen(run.data, known)
        run = replace(run, data=data)
    results = loop(plan, known, run, list(stored.values()))
    final = tuple(results[plan.places.final])
    result = RunResult(shaped(program.output, results[0]), final)
    if names:
        rows = dict(zip(stored, results[plan.places.recorded], strict=True))
        rows |= {program.x: run.data, program.output: results[0]}
        result.recorded = _recorded(plan, names, rows)
    result.recorded |= {name: rows for name, rows in early.items() if run.records(name)}
    return result


def _stored(plan: Plan, names: Mapping[str, Value]) -> dict[Value, str]:
    """What the loop is to record: not the input or output, and equal values only once."""
    there = (plan.program.x, plan.program.output)
    first = {plan.lowered.aliases[value]: name for name, value in names.items()}
    return {value: name for value, name in first.items() if value not in there}


def _recorded(
    plan: Plan, names: Mapping[str, Value], rows: Mapping[Value, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """What is recorded under each name, given the rows that stand for it."""
    found = {}
    for name, value in names.items():
        tensor = shaped(value, rows[plan.lowered.aliases[value]])
        found[name] = tensor.detach() if value in plan.lowered.fixed else tensor
    return found


def loop(
    plan: Plan, known: dict[Value, Any], run: Rows, names: list[str], name: str = ""
) -> list[torch.Tensor]:
    """The outputs, the final states and what was recorded, as the loop leaves them.

    Args:
        plan: whose loop.
        known: see `shared_tensors`.
        run: what it runs on.
        names: what to record.
        name: what the plan is called in the operation, if not by its own name.
    """
    return forward(LoopCall.over(name or plan.name, taken(plan, known, run), run, names))


def taken(plan: Plan, known: Mapping[Value, Any], run: Rows) -> list[torch.Tensor]:
    """The tensors that an operation takes, see `TensorPlaces`."""
    drawn = plan.draw(run.data) if plan.draw is not None else ()
    data = run.data
    if plan.widen is not None and data.shape[1] != plan.program.x.shape[1]:
        data, _ = plan.widen(data, known)
    shared = (known[value] for value in plan.shared)
    return [data, *drawn, *shared, *run.state, *run.initial]


def shared_tensors(plan: Plan, cell: Any) -> dict[Value, Any]:
    """The tensors without rows that the loops read, and those that they are made of."""
    own = {name: _tensor_of(cell, path) for name, path in plan.paths.items()}
    return shared_from(plan, own)


def shared_from(plan: Plan, own: Mapping[str, torch.Tensor]) -> dict[Value, Any]:
    """The same, from the cell's parameters and buffers by their names."""
    known: dict[Value, Any] = dict(plan.program.constants)
    known.update((value, own[name]) for name, value in plan.program.parameters.items())
    if plan.once is not None:
        made = plan.once(*(known[value] for value in plan.given))
        known.update(zip(plan.once_made, made, strict=True))
    return known


def _tensor_of(cell: Any, path: list[str]) -> torch.Tensor:
    """A parameter or buffer by the parts of its full name."""
    *modules, last = path
    for part in modules:
        cell = cell._modules[part]
    group: dict[str, torch.Tensor]
    group = cell._parameters if last in cell._parameters else cell._buffers
    return group[last]


def shaped(value: Value, rows: torch.Tensor) -> torch.Tensor:
    """Rows with the axes and the dtype that the step gives a value."""
    if value.dtype == torch.bool:
        rows = rows != 0
    elif not value.dtype.is_floating_point or value.dtype.itemsize < rows.dtype.itemsize:
        rows = rows.to(value.dtype)  # whole numbers; what was drawn in fewer bits
    shape = (rows.shape[0], *value.shape[1:])
    return rows if rows.shape == shape else rows.reshape(shape)
