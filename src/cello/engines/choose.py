"""Which engine runs: the fastest that can, the one asked for, or an error that says why not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Protocol

import torch
from torch.autograd import forward_ad

from cello.cells import Cell
from cello.cells.callers import users_level
from cello.cells.contract.like import autocast_active
from cello.cells.contract.step_checks import name_of, step_name_of
from cello.cells.tracing import in_transform, is_fake, is_traced, is_written_down, untraced
from cello.engines import cpu, gpu, reference, split
from cello.engines.jit import of_one_size
from cello.engines.run import Run, RunResult
from cello.errors import ArgumentError, EngineError
from cello.program import line_of_error, said

__all__ = [
    "ENGINES",
    "NAMED_ENGINES",
    "EngineWarning",
    "autocast_active",
    "check_engine",
    "current_engine",
    "engine",
    "in_transform",
    "loops_compile",
    "may_run_compiled",
    "one_step",
    "only_the_step_may_run",
    "run",
    "takes_loops",
    "warn_once",
]


class Engine(Protocol):
    """What every engine, a module, has to offer."""

    def refuses(self, run: Run) -> str | None:
        """Why it cannot run this, or None if it can."""

    def run(self, run: Run) -> RunResult:
        """Run it."""


# Those that "auto" chooses from on a CPU, the fastest first, and all that may be asked for by name;
# then the engine of compiled loops for each kind of device. A new engine joins by a line here.
ENGINES: dict[str, Engine] = {"cpu": cpu, "split": split, "reference": reference}
NAMED_ENGINES: dict[str, Engine] = {**ENGINES, "gpu": gpu}
FUSED = {"cpu": cpu.NAME, "cuda": gpu.NAME}

_forced: ContextVar[str | None] = ContextVar("cello_engine", default=None)
_warned: set[str] = set()


class EngineWarning(UserWarning):
    """A slower engine runs than the one that `engine="auto"` would have taken."""


def check_engine(name: str) -> str:
    """Return `name` if an engine is called so.

    Raises:
        ArgumentError: lists the engines that there are.
    """
    if name != "auto" and name not in NAMED_ENGINES:
        known = ", ".join(map(repr, ("auto", *NAMED_ENGINES)))
        raise ArgumentError(f"engine={name!r} is not an engine; known are {known}")
    return name


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Run everything in the block on the engine `name`, whatever the layers say.

    Args:
        name: "reference" runs the cell's own step at every step; "split" runs what needs no
            state for all steps at once; "cpu" runs a compiled loop; "gpu" one in Triton, on a GPU;
            "auto" takes the fastest that can, and "gpu" only once a first call has shown that its
            loops do on that very card what the step does.

    Raises:
        ArgumentError: no engine is called so.
        EngineError: raised by a layer inside the block whose cell the engine cannot run.

    >>> import cello
    >>> layer = cello.Recurrent(cello.ElmanCell(3, 2))
    >>> with cello.engine("reference"):
    ...     y, state = layer(torch.zeros(4, 1, 3))
    """
    token = _forced.set(check_engine(name))
    try:
        yield
    finally:
        _forced.reset(token)


def current_engine(asked: str = "auto") -> str:
    """The engine in force: that of the block around, else the one asked for."""
    if torch.compiler.is_compiling():
        from cello.engines.traced import result_of

        return result_of(_engine_around) or asked
    return _engine_around() or asked


def _engine_around() -> str | None:
    return _forced.get()


def run(run: Run, asked: str = "auto") -> RunResult:
    """Run on the engine in force.

    Raises:
        EngineError: an engine was asked for by name that cannot run this.
    """
    if torch.compiler.is_dynamo_compiling() or not (
        torch.compiler.is_compiling() or run.data.is_meta or is_fake((run.data,))
    ):
        return _run(run, asked)
    with _without_values(run.cell):
        return _run(run, asked)


def _run(run: Run, asked: str) -> RunResult:
    name = current_engine(asked)
    if is_traced():
        return _in_script(run, name)
    compiling = torch.compiler.is_compiling()
    if compiling and name in ("auto", cpu.NAME, gpu.NAME):
        return _traced(run, name)
    if name != "auto":
        reason = "torch.compile is tracing" if compiling else _transformed(run)
        reason = None if name == "reference" else reason
        reason = reason or NAMED_ENGINES[name].refuses(run)
        if reason is not None:
            raise EngineError(f"engine {name!r} cannot run {name_of(run.cell)}: {reason}")
        return NAMED_ENGINES[name].run(run)
    if _transformed(run) is not None:
        return reference.run(run)
    reasons: dict[str, str] = {}
    for name in _fastest_first(run.data.device):
        candidate = NAMED_ENGINES[name]
        reason = candidate.refuses(run)
        if reason is None:
            break
        reasons.setdefault(reason, name)  # said once, of the fastest that gives it
    for reason, name in reasons.items():
        _leave(reason, name, name_of(run.cell))
    return candidate.run(run)


def _fastest_first(device: torch.device) -> Iterator[str]:
    """The engines that "auto" chooses from for a device."""
    if device.type in FUSED:
        yield FUSED[device.type]
    yield from (split.NAME, "reference")


def _in_script(run: Run, name: str) -> RunResult:
    """In the graph of `torch.jit.trace`: the compiled loop as a whole, or the loop of steps."""
    slow: Engine | None
    with untraced():  # what is found out here is not to be written down
        transformed = _transformed(run)
        reason = transformed or cpu.refuses_script(run)
        if run.wanted is None and reason is None and name in ("auto", cpu.NAME):
            slow = None
        else:
            slow = ENGINES[split.NAME if name == split.NAME else "reference"]
            reason = transformed or split.refuses(run) if name == split.NAME else reason
            if name in (cpu.NAME, split.NAME) and reason is not None:
                raise EngineError(f"engine {name!r} cannot run {name_of(run.cell)}: {reason}")
            if (unseen := split.refuses(run)) is not None:
                warn_once(f"{unseen}; torch.jit.trace writes down for good what it does now")
    if slow is None:
        return cpu.run_in_script(run)
    sizes = run.batch_sizes
    data = of_one_size(run.data, run.state[0], len(sizes), sizes[0] if sizes else 0)
    return slow.run(replace(run, data=data))


# What PyTorch raises where a number is asked of a tensor that has none.
_ASKED = ("GuardOnDataDependentSymNode", "DataDependentOutputException")


@contextmanager
def _without_values(cell: Cell) -> Iterator[None]:
    """Run a block in which tensors have no numbers, but shapes alone.

    Raises:
        EngineError: the step decides by numbers; names its line.
    """
    try:
        yield
    except Exception as error:
        if type(error).__name__ not in _ASKED and "called on meta tensors" not in str(error):
            raise
        raise EngineError(
            f"{step_name_of(cell)} decides by the values in a tensor {said(line_of_error(error))}, "
            "and tensors have none here (under torch.export, FakeTensorMode, the meta device); "
            "torch.where(condition, a, b), which computes both, needs none"
        ) from error


def loops_compile(dtype: torch.dtype, device: torch.device, who: str) -> bool:
    """Whether there are compiled loops for such inputs; on a CPU it is said if there are none.

    `who` asks, as the user knows it.
    """
    if device.type != "cpu":
        return False
    if torch.compiler.is_compiling():
        from cello.engines.traced import loops_compile as asked_while_tracing

        return asked_while_tracing(dtype)
    reason = cpu.lacks(dtype)
    if reason is not None:
        _leave(reason, cpu.NAME, who)
    return reason is None


def _traced(run: Run, name: str) -> RunResult:
    """The compiled loops as a whole, or for "auto" the loop of steps, unrolled."""
    made: RunResult | None = None
    engine = FUSED.get(run.data.device.type) if name == "auto" else name
    if autocast_active(run.data.device):
        reason = "autocast is active"
    elif torch.onnx.is_in_onnx_export():
        from cello.engines.scanned import run_scanned

        made, reason = run_scanned(run), "an ONNX file cannot hold a compiled loop"
    else:
        from cello.engines.traced import run_traced, why_not

        if engine is not None:
            made = run_traced(run, engine, _leave if name == "auto" else None)
        reason = "" if made is not None or name == "auto" else why_not(run, name)
    if made is None and name != "auto":
        raise EngineError(f"engine {name!r} cannot run {name_of(run.cell)}: {reason}")
    return made or reference.run(run)


def one_step(
    cell: Cell, rows: int, dtype: torch.dtype, device: torch.device, asked: str = "auto"
) -> cpu.OneStep | None:
    """A compiled step for streaming; None where the cell's own step has to run."""
    if current_engine(asked) not in ("auto", "cpu") or is_written_down():
        return None
    return cpu.one_step(cell, rows, dtype, device)


def may_run_compiled(asked: str) -> bool:
    """Whether nothing around asks for the step itself or for its operations, on the CPU."""
    if torch.compiler.is_compiling() or is_written_down():
        return False
    return not in_transform() and takes_loops(asked)


def takes_loops(asked: str) -> bool:
    """The same where nothing is traced or transformed."""
    return (
        forward_ad._current_level < 0
        and not torch.is_autocast_enabled("cpu")
        and (_forced.get() or asked) in ("auto", "cpu")
    )


def only_the_step_may_run() -> bool:
    """Whether something outside changes what operations do, such as vmap or forward mode."""
    if torch.compiler.is_compiling():
        return False  # it is the tracer that knows
    return in_transform() or forward_ad._current_level >= 0


def _transformed(run: Run) -> str | None:
    """Why only the step itself may run here: something outside changes what operations do."""
    if in_transform():
        return "a transform of torch.func is active"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    if autocast_active(run.data.device):
        return "autocast is active"
    if is_fake((run.data,)) and is_fake((*run.cell.parameters(), *run.cell.buffers())):
        return "its parameters are FakeTensors, which have no numbers"
    return None


def _leave(reason: str, name: str, who: str) -> None:
    warn_once(f"{reason}; engine {name!r} leaves {who} to a slower one")


def warn_once(message: str, kind: type[Warning] = EngineWarning) -> None:
    """Warn at the user's own line, unless the same has been said before."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, kind, stacklevel=users_level())
