"""Ways to run the loop over time, and which one runs."""

from cello.engines.choose import (
    ENGINES,
    EngineWarning,
    autocast_active,
    check_engine,
    current_engine,
    engine,
    in_transform,
    loops_compile,
    may_run_compiled,
    one_step,
    only_the_step_may_run,
    run,
    warn_once,
)
from cello.engines.interpreter import Hook, evaluate, interpret, tensors_of
from cello.engines.packing import Alike, packing_of
from cello.engines.run import Run, RunResult, under_autocast

__all__ = [
    "ENGINES",
    "Alike",
    "EngineWarning",
    "Hook",
    "Run",
    "RunResult",
    "autocast_active",
    "check_engine",
    "current_engine",
    "engine",
    "evaluate",
    "in_transform",
    "interpret",
    "loops_compile",
    "may_run_compiled",
    "one_step",
    "only_the_step_may_run",
    "packing_of",
    "run",
    "tensors_of",
    "under_autocast",
    "warn_once",
]
