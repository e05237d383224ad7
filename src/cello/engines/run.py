"""What an engine is given, what it gives back, and the walk through time that engines share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cello.cells import Cell
from cello.cells.contract.like import autocast_dtype
from cello.cells.contract.shapes import width_of
from cello.cells.tracing import is_traced
from cello.engines.packing import Alike
from cello.program import Program, Value, in_operations, program_of

__all__ = [
    "Rows",
    "Run",
    "RunResult",
    "empty_result",
    "joined",
    "nothing_of",
    "under_autocast",
    "walk",
]


@dataclass(eq=False)
class Rows:
    """What goes through time: rows sorted by length, longest first.

    The inputs of all steps stand one below the other: the rows of step 0, then those of step 1,
    and so on, `batch_sizes[t]` rows for step t, so that there is no padding.

    Attributes:
        data: the inputs, [N, I] with N the sum of `batch_sizes`.
        batch_sizes: rows of each step, never growing.
        state: the state that each row begins with, each [B, size], B >= batch_sizes[0].
        initial: what a reset sets the state to, each [B, size].
        reverse: whether to read from the end.
        reset: which rows of `data` are reset before their step, [N] bool, or None.
        forced: outputs that are fed back in place of the cell's own, [N, size], or None.
        lengths: of each sequence, if there is padding all the same: a tracer may not look at them.
        fed: which of the states `forced` takes the place of.
    """

    data: Tensor
    batch_sizes: Sequence[int]
    state: Sequence[Tensor]
    initial: Sequence[Tensor]
    reverse: bool = False
    reset: Tensor | None = None
    forced: Tensor | None = None
    lengths: Tensor | None = None
    fed: int | None = None


@dataclass(eq=False)
class Run(Rows):
    """One cell through time.

    Attributes:
        cell: whose step it is.
        wanted: the names to record; None records nothing, an empty tuple everything.
        program: the captured step, once an engine has asked for it.
        parameters: those of the cell, by name, if a tracer has to see them come from elsewhere.
    """

    cell: Cell = field(kw_only=True)
    wanted: tuple[str, ...] | None = None
    program: Program | None = None
    parameters: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        if self.cell.feedback is not None:
            self.fed = self.cell.state.index(self.cell.feedback)

    def captured(self) -> Program:
        """The captured step.

        Raises:
            CaptureError: it cannot be captured.
        """
        if self.program is None:
            sizes = self.batch_sizes
            rows = (sizes.rows,) if isinstance(sizes, Alike) and sizes.length else sizes
            self.program = program_of(self.cell, self.data.dtype, self.data.device, rows=rows)
        return self.program

    def seen(self) -> Program:
        """What the step computes, for those who do not ask for its gradients.

        Raises:
            CaptureError: it cannot be captured, or not be written as operations.
        """
        return in_operations(self.captured())

    def records(self, name: str) -> bool:
        """Whether the value of this name is to be recorded."""
        return self.wanted is not None and (not self.wanted or name in self.wanted)

    def recorded_names(self, program: Program) -> dict[str, Value]:
        """The values of a program that are to be recorded, by their names."""
        if self.wanted is None:
            return {}
        return {name: value for name, value in program.names.items() if self.records(name)}


def under_autocast(run: Run) -> Run:
    """The same run in autocast's dtype, if there is one and the cell is to follow it."""
    dtype = autocast_dtype(run.data)
    if dtype is None or not run.cell.follows_autocast(run.data.device):
        return run
    return replace(
        run,
        data=run.data.to(dtype),
        state=tuple(part.to(dtype) for part in run.state),
        initial=tuple(part.to(dtype) for part in run.initial),
        forced=None if run.forced is None else run.forced.to(dtype),
    )


@dataclass(eq=False)
class RunResult:
    """What comes out: `output` [N, O], the final state, each [B, size], and what was recorded."""

    output: Tensor
    state: tuple[Tensor, ...]
    recorded: dict[str, Tensor] = field(default_factory=dict)


Step = Callable[[int, tuple[Tensor, ...]], tuple[Tensor, ...]]


def walk(run: Rows, step: Step, first: Step | None = None) -> tuple[Tensor, ...]:
    """Call `step(t, state)` for every step in order; return the final state of all rows.

    The first step is left to `first`, if given. `state` holds the rows that step t has; here is
    where rows begin and end, where resets take effect and where known outputs are fed back.

    The final state is a copy: what a step returns may be its input, a state that it was given, one
    tensor twice, or an output, and whoever changes the final state, or hangs a hook on it, is to
    reach that alone.
    """
    return tuple(part.clone() for part in _walked(run, step, first))


def _walked(run: Rows, step: Step, first: Step | None) -> tuple[Tensor, ...]:
    """The final state as the last step returns it."""
    sizes = run.batch_sizes
    if autocast_dtype(run.data) is not None:
        step, first = _keeping(step, run.state), first and _keeping(first, run.state)
    resets = _Resets(run)
    feedback = _Feedback(run)
    steps = range(len(sizes))
    order = reversed(steps) if run.reverse else steps
    state, now = tuple(run.state), first or step
    if isinstance(sizes, Alike):
        all_rows = sizes.rows == state[0].shape[0]
    else:
        all_rows = set(sizes) <= {len(state[0])}
    if all_rows and not resets.masks and not feedback.forced:
        for t in order:  # nothing to do but to walk
            state, now = now(t, state), step
        return state
    finished: list[tuple[Tensor, ...]] = []
    if run.reverse:
        state = tuple(part[:0] for part in state)
    for t in order:
        rows = len(state[0])
        if sizes[t] < rows:
            finished.append(tuple(part[sizes[t] :] for part in state))
            state = tuple(part[: sizes[t]] for part in state)
        state = feedback(t, state)
        if sizes[t] > rows:  # rows that begin here, read from the end
            begin = tuple(part[rows : sizes[t]] for part in run.state)
            state = _cat(state, begin) if rows else begin
        state, now = now(t, resets(t, state)), step
    if run.reverse:
        finished.append(tuple(part[len(state[0]) :] for part in run.state))
    for part in reversed(finished):
        if len(part[0]):
            state = _cat(state, part)
    return state


def _keeping(step: Step, state: Sequence[Tensor]) -> Step:
    """The step with states that keep their dtype, whatever operations chose under autocast."""
    dtypes = [part.dtype for part in state]

    def kept(t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pairs = zip(step(t, state), dtypes, strict=True)
        return tuple(part.to(dtype) for part, dtype in pairs)

    return kept


def _cat(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(pair) for pair in zip(first, second, strict=True))


class _Resets:
    """Sets the state of rows that are reset to the initial state; free where there are none."""

    def __init__(self, run: Rows) -> None:
        self.initial = run.initial
        self.masks: dict[int, Tensor] = {}
        if run.reset is not None:
            masks = run.reset.unsqueeze(-1).split(list(run.batch_sizes))
            if is_traced():  # other calls reset at other steps
                self.masks = dict(enumerate(masks))
                return
            sizes = torch.tensor(list(run.batch_sizes), device=run.reset.device)
            step_of_row = torch.repeat_interleave(
                torch.arange(len(sizes), device=sizes.device), sizes
            )
            self.masks = {t: masks[t] for t in step_of_row[run.reset].unique().tolist()}

    def __call__(self, t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if t not in self.masks:
            return state
        pairs = zip(self.initial, state, strict=True)
        return tuple(torch.where(self.masks[t], start[: len(s)], s) for start, s in pairs)


class _Feedback:
    """Teacher forcing: the known output of the step before takes the place of the cell's own."""

    def __init__(self, run: Rows) -> None:
        self.forced: Sequence[Tensor] = ()
        self.back = 1 if run.reverse else -1
        self.position = run.fed or 0
        if run.forced is not None and run.fed is not None:
            self.forced = run.forced.split(list(run.batch_sizes))

    def __call__(self, t: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        before = t + self.back
        if not 0 <= before < len(self.forced):
            return state
        known = self.forced[before][: len(state[0])]
        return (*state[: self.position], known, *state[self.position + 1 :])


def empty_result(run: Run, program: Program | None = None) -> RunResult:
    """The result of a run without a single row; `program` tells what it would record.

    Gradients flow through it as through any other: zeros come to the inputs and parameters, and
    the final state is the one that it began with.
    """
    sources = [run.data, *(run.parameters or dict(run.cell.named_parameters())).values()]
    sources += [*run.state, *run.initial, *([] if run.forced is None else [run.forced])]
    nothing = nothing_of(sources)

    def no_rows(dtype: torch.dtype, size: Sequence[int]) -> Tensor:
        if dtype.is_floating_point:
            return nothing.to(dtype).reshape(0, *size)
        return run.data.new_zeros(0, *size, dtype=dtype)

    state = tuple(joined(part, nothing) for part in run.state)
    if program is None:
        return RunResult(no_rows(run.data.dtype, [width_of(run.cell.output_size)]), state)
    names = run.recorded_names(program)
    recorded = {name: no_rows(value.dtype, value.shape[1:]) for name, value in names.items()}
    output = program.output
    return RunResult(no_rows(output.dtype, output.shape[1:]), state, recorded)


def nothing_of(tensors: Sequence[Tensor]) -> Tensor:
    """No elements [0, 1], made of these tensors: to autograd a function of them all, twice over."""
    return torch.cat([tensor.reshape(-1, 1)[:0] for tensor in tensors]).square()


def joined(part: Tensor, nothing: Tensor) -> Tensor:
    """A tensor as it is, made of `nothing` too."""
    return torch.cat([part.reshape(-1, 1), nothing.to(part.dtype)]).reshape(part.shape)
