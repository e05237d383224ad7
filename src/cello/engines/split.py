"""The split engine: before · loop · after, each as PyTorch operations.

The captured step tells what needs no state: it runs for all steps at once before the loop, and
what no state needs runs for all steps at once after it. So the loop runs fewer and smaller
operations than the step itself, and the gradients of the input's weights are one product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cello.engines.render import render
from cello.engines.run import Run, RunResult, empty_result, walk
from cello.errors import CaptureError
from cello.program import Op, Program, Value, is_random, is_view, needed_ops, split

__all__ = ["NAME", "refuses", "run"]

NAME = "split"


def refuses(run: Run) -> str | None:
    """Why this engine cannot run it, or None if it can."""
    try:
        run.captured()
    except CaptureError as error:
        return str(error)
    return None


def run(run: Run) -> RunResult:
    """Run what the captured step computes, at the moment when it costs least."""
    program = run.captured()
    if not sum(run.batch_sizes):
        return empty_result(run, program)
    names = run.recorded_names(program)
    plan = _plan(program, tuple(names))
    known: dict[Value, Any] = dict(program.constants)
    parameters = dict(run.cell.named_parameters()) | dict(run.cell.named_buffers())
    known.update((value, parameters[name]) for name, value in program.parameters.items())
    known[program.x] = run.data
    plan.once(known)
    plan.before(known)
    state = plan.loop(run, known)
    plan.after(known)
    recorded = {name: known[value] for name, value in names.items()}
    output = known[program.output]
    return RunResult(output if plan.makes_output else output.clone(), state, recorded)


@dataclass(eq=False)
class _Phase:
    """A rendered function, the values that it needs and those that it makes."""

    function: Callable[..., Any]
    needs: Sequence[Value]
    makes: Sequence[Value]

    def __call__(self, known: dict[Value, Any]) -> None:
        results = self.function(*(known[value] for value in self.needs))
        known.update(zip(self.makes, results, strict=True))


@dataclass(eq=False)
class _Plan:
    """A split program as functions.

    Attributes:
        once, before, after: functions of whole tensors.
        step: makes one step's function out of the values that are the same at each step.
        shared: those values.
        sliced: the values made before the loop of which each step needs its own rows.
        stacked: the values of which each step leaves its own rows for what comes after.
        states: the old values of the states.
        makes_output: whether the output is a tensor of its own: it may be the input, a view of it,
            or what the loop goes on with.
    """

    once: _Phase
    before: _Phase
    after: _Phase
    step: Callable[..., Any]
    shared: list[Value]
    sliced: list[Value]
    stacked: list[Value]
    states: int
    makes_output: bool

    def loop(self, run: Run, known: dict[Value, Any]) -> tuple[Tensor, ...]:
        sizes = list(run.batch_sizes)
        step = self.step(*(known[value] for value in self.shared))
        inputs = list(zip(*(known[value].split(sizes) for value in self.sliced), strict=True))
        inputs = inputs or [()] * len(sizes)
        left: list[Any] = [()] * len(sizes)
        states = self.states

        def advance(t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            made: tuple[Tensor, ...] = step(*inputs[t], *state)
            left[t] = made[states:]
            return made[:states]

        final = walk(run, advance)
        for value, steps in zip(self.stacked, zip(*left, strict=True), strict=True):
            known[value] = torch.cat(steps)
        return final


_plans: WeakKeyDictionary[Program, dict[tuple[str, ...], _Plan]] = WeakKeyDictionary()


def _plan(program: Program, names: tuple[str, ...]) -> _Plan:
    kept = _plans.setdefault(program, {})
    if names not in kept:
        kept[names] = _make_plan(program, names)
    return kept[names]


def _make_plan(program: Program, names: tuple[str, ...]) -> _Plan:
    """Render the parts that the results and the recorded names need.

    The split is that of the whole program whatever is recorded, and so is what becomes one
    operation: recording changes neither the arithmetic nor the order of the random numbers.
    """
    parts = split(program)
    read_once = _read_once(program)
    recorded = {program.names[name] for name in names}
    states = list(program.state.values())
    ends = {*program.results, *recorded}
    ends.update(value for op in program.ops if is_random(op) for value in op.outputs)
    keep = set(needed_ops(program.ops, ends))
    once, before, loop, after = (
        [op for op in part if op in keep]
        for part in (parts.once, parts.before, parts.loop, parts.after)
    )
    in_loop = {*states, *_outputs(loop)}
    loop_needs = {*_inputs(loop), *program.next_state.values()}
    later = {*_inputs(after), program.output, *recorded}

    stacked = [value for value in (*states, *_outputs(loop)) if value in later]
    sliced = [v for v in (program.x, *_outputs(before)) if v in loop_needs]
    shared = [v for v in _inputs(loop) if v not in in_loop and v not in sliced]
    makes = [*program.next_state.values(), *stacked]
    step = render("step", loop, shared, [*sliced, *states], makes, read_once)
    wanted = loop_needs | later
    return _Plan(
        _phase("once", once, [], wanted.union(_inputs(before)), read_once),
        _phase("before", before, [program.x], wanted, read_once),
        _phase("after", after, [program.x], {program.output, *recorded}, read_once),
        step,
        shared,
        sliced,
        stacked,
        len(states),
        _is_made(program.output, {*stacked}, after),
    )


def _is_made(output: Value, stacked: set[Value], after: list[Op]) -> bool:
    """Whether a value is made after the loop, or there put together from what each step left."""
    makers = {value: op for op in after for value in op.outputs}
    while output not in stacked:
        op = makers.get(output)
        if op is None or (is_view(op.target) and op.is_tuple):
            return False
        if not is_view(op.target):
            return True
        output = op.inputs[0]
    return True


def _read_once(program: Program) -> set[Value]:
    """What a single operation of the program reads, and nothing else: no result has its name."""
    reads = Counter(value for op in program.ops for value in op.inputs)
    shown = {*program.results, *program.names.values()}
    return {value for value, times in reads.items() if times == 1 and value not in shown}


def _phase(
    title: str, ops: list[Op], rows: list[Value], wanted: set[Value], read_once: set[Value]
) -> _Phase:
    """`rows`: a value that tells the number of rows, if there are rows."""
    own = set(_outputs(ops))
    needs = [value for value in dict.fromkeys([*rows, *_inputs(ops)]) if value not in own]
    makes = [value for value in _outputs(ops) if value in wanted]
    return _Phase(render(title, ops, [], needs, makes, read_once)(), needs, makes)


def _inputs(ops: list[Op]) -> list[Value]:
    return list(dict.fromkeys(value for op in ops for value in op.inputs))


def _outputs(ops: list[Op]) -> list[Value]:
    return [value for op in ops for value in op.outputs]
