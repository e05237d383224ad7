"""The loops inside a model that `torch.compile` or `torch.export` traces.

The tracer does not look into what happens here: it asks once for the number of the plan, and what
runs the plan stands in its graph as a whole, there becoming `cello::forward` and `backward`.
Imported only when something is being traced, for it needs `torch._dynamo`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import _pop_mode_temporarily

from cello.cells import Cell
from cello.cells.contract.shapes import width_of
from cello.cells.contract.step_checks import name_of
from cello.cells.tracing import in_transform
from cello.engines import cpu, gpu
from cello.engines.cpu.available import lacks
from cello.engines.cpu.engine import cpu_plan
from cello.engines.fused.plan import Plan
from cello.engines.fused.run_plan import loop, shaped, shared_from
from cello.engines.gpu.engine import gpu_plan
from cello.engines.packing import Alike
from cello.engines.run import Rows, Run, RunResult

__all__ = ["loops_compile", "result_of", "run_traced", "take_parameters", "why_not"]

_F = TypeVar("_F", bound=Callable[..., Any])

#: By engine: why it refuses a run, and its plan of a program.
_ENGINES: dict[str, tuple[Callable[[Run], str | None], Callable[..., Plan]]] = {
    cpu.NAME: (cpu.refuses, cpu_plan),
    gpu.NAME: (gpu.refuses, gpu_plan),
}

_kept: dict[str, Plan] = {}  # what a tracer was given stays as long as the process


def run_traced(
    run: Run, engine: str, leave: Callable[[str, str, str], None] | None
) -> RunResult | None:
    """Put the loops into the graph; None if only the step itself can be traced.

    Args:
        run: what goes through time.
        engine: whose loops.
        leave: says why the engine was left, see `choose`; None if it was asked for by name.
    """
    if run.wanted is not None:
        return None
    cell, data = run.cell, run.data
    sizes = run.batch_sizes
    alike = isinstance(sizes, Alike)
    one_row = True if 1 in sizes else False  # noqa: SIM210 - the tracer decides here
    # Read here, for the tracer keeps watch over what it has seen being read; and hashed, for a
    # number is then not taken for one that may be any.
    options: list[Any] = [module.training for module in cell.modules()]
    options += [hash(getattr(cell, option)) for option in options_of(cell)]
    train = torch.is_grad_enabled()
    name = plan_name(cell, data.dtype, data.device, one_row, train, options, engine, leave)
    if name == "":
        return None
    own = run.parameters or dict(cell.named_parameters()) | dict(cell.named_buffers())
    made = planned(
        name, list(own), list(own.values()), data, alike,
        [sizes.rows, sizes.length] if isinstance(sizes, Alike) else list(sizes), list(run.state),
        list(run.initial), run.reverse, run.reset, run.forced, run.lengths,
    )  # fmt: skip
    return RunResult(made[0], tuple(made[1:]))


def _keeps_type(decorator: Any) -> Callable[[_F], _F]:
    """A decorator of PyTorch's, which says nothing of types, as one that keeps them."""
    kept: Callable[[_F], _F] = decorator
    return kept


# Runs once while a model is traced; what it returns stands in the graph.
_constant = _keeps_type(torch._dynamo.assume_constant_result)


@_constant
def result_of(function: Callable[[], Any]) -> Any:
    """What a function returns while the model is traced, such as the value of a context variable.

    Not all tracers can read one.
    """
    return function()


@_constant
def take_parameters(layer: Any) -> None:
    """Let the cells of a drop-in take its parameters, unseen by the tracer."""
    layer.take_parameters()


@_constant
def loops_compile(dtype: torch.dtype) -> bool:
    """Whether there are compiled loops for inputs of `dtype`."""
    return lacks(dtype) is None


@_constant
def options_of(cell: Cell) -> list[str]:
    """The attributes of a cell that are numbers or words."""
    return [name for name, value in vars(cell).items() if isinstance(value, (int, float, str))]


@_constant
def plan_name(
    cell: Cell,
    dtype: torch.dtype,
    device: torch.device,
    one_row: bool,
    train: bool,
    _options: Sequence[Any],
    engine: str,
    leave: Callable[[str, str, str], None] | None,
) -> str:
    """Which plan runs the cell; empty if none does."""
    # What is exported may run in another process, where this one's names mean nothing, and on
    # another card, where nobody has seen that a GPU's loops do what the step does.
    exporting = torch.compiler.is_exporting()
    if in_transform() or (engine == gpu.NAME and exporting and leave is not None):
        return ""
    run = _alike(cell, dtype, device, 1 if one_row else 2)
    with _unseen(), torch.set_grad_enabled(train):
        if _reason(run, engine, leave) is not None:
            return ""
    plan = _ENGINES[engine][1](run.captured(), cell.feedback)
    name = plan.text if exporting else plan.name
    _kept[name] = plan
    return name


def why_not(run: Run, engine: str) -> str:
    """Why the loops of an engine cannot be put into the graph."""
    if run.wanted is not None:
        return "its values cannot be recorded while torch.compile is tracing"
    return _refusal(run.cell, run.data.dtype, run.data.device, engine)


@_constant
def _refusal(cell: Cell, dtype: torch.dtype, device: torch.device, engine: str) -> str:
    if in_transform():
        return "a transform of torch.func is active"
    with _unseen():
        return _reason(_alike(cell, dtype, device, 2), engine, None) or "torch.compile is tracing"


def _reason(run: Run, engine: str, leave: Callable[[str, str, str], None] | None) -> str | None:
    """Why an engine refuses a run, or its loops where they can be tried; None if it takes it."""
    refuses, _ = _ENGINES[engine]
    reason = refuses(run)
    # What is exported may run on another card than the one on which loops could be tried here.
    if reason is None and engine == gpu.NAME and not torch.compiler.is_exporting():
        reason = refuses(_tried(run))
        if reason is not None and leave is not None:
            leave(reason, engine, name_of(run.cell))
    return reason


def _alike(cell: Cell, dtype: torch.dtype, device: torch.device, rows: int) -> Run:
    """A step of so many rows."""
    like = torch.empty(0, width_of(cell.input_size), dtype=dtype, device=device)
    return Run(like, [rows], (), (), cell=cell)


def _tried(run: Run) -> Run:
    """A few steps of random numbers, on which loops are checked: a tracer has no numbers."""
    like, rows, steps = run.data, run.batch_sizes[0], 4
    random = torch.Generator(like.device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=like.dtype, device=like.device)

    sizes = [width_of(size) for size in run.cell.state_sizes.values()]
    state, initial = ([drawn(rows, size) for size in sizes] for _ in range(2))
    data = drawn(steps * rows, like.shape[1])
    return Run(data, Alike(rows, steps), state, initial, cell=run.cell, program=run.program)


@contextmanager
def _unseen() -> Iterator[None]:
    """Keep what is done inside, such as tracing the step, out of a graph that is being made."""
    with ExitStack() as stack:
        for _ in range(torch._C._len_torch_function_stack()):
            stack.enter_context(_pop_mode_temporarily())
        yield


@_keeps_type(torch._dynamo.allow_in_graph)
def planned(
    name: str, names: list[str], own: list[Tensor], data: Tensor, alike: bool, sizes: list[int],
    state: list[Tensor], initial: list[Tensor], reverse: bool, reset: Tensor | None,
    forced: Tensor | None, lengths: Tensor | None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The output and the final states; if the steps are `alike`, `sizes` are those of `Alike`."""
    plan = _kept[name]
    known = shared_from(plan, dict(zip(names, own, strict=True)))
    batch_sizes = Alike(*sizes) if alike else sizes
    rows = Rows(data, batch_sizes, state, initial, reverse, reset, forced, lengths)
    made = loop(plan, known, rows, [], name)
    return shaped(plan.program.output, made[0]), *made[1:]
