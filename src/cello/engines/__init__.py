"""Ways to run the loop over time, and which one runs.

Imports `program` and below; the layers hand their runs to it, and no engine imports another.
"""

from cello.engines.choose import (
    ENGINES,
    NAMED_ENGINES,
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
    takes_loops,
    warn_once,
)
from cello.engines.cpu.dense import dense_loop, is_dense
from cello.engines.fused.op.direct import can_bypass_dispatcher
from cello.engines.fused.step_table import StepTable
from cello.engines.interpreter import Hook, interpret, tensors_of
from cello.engines.packing import Alike, Packing, packing_of
from cello.engines.run import Run, RunResult, under_autocast

__all__ = [
    "ENGINES",
    "NAMED_ENGINES",
    "Alike",
    "EngineWarning",
    "Hook",
    "Packing",
    "Run",
    "RunResult",
    "StepTable",
    "autocast_active",
    "can_bypass_dispatcher",
    "check_engine",
    "current_engine",
    "dense_loop",
    "engine",
    "in_transform",
    "interpret",
    "is_dense",
    "loops_compile",
    "may_run_compiled",
    "one_step",
    "only_the_step_may_run",
    "packing_of",
    "run",
    "takes_loops",
    "tensors_of",
    "under_autocast",
    "warn_once",
]
