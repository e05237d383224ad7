"""A step as data: captured, checked, split.

Imports the cells; engines run it, and `see` writes, draws and explains it.
"""

from cello.program.cache import key_of, program_as_is, program_of, program_of_values
from cello.program.evaluate import evaluate, results_of
from cello.program.graph import BATCH, Op, Program, Value, leaves_in, map_leaves, needed_ops
from cello.program.guards.fast import FastGuard, fast_guard_of
from cello.program.operations import is_random
from cello.program.overrides import can_override, with_overrides
from cello.program.own_functions import in_operations
from cello.program.rows import is_row_wise
from cello.program.sizes import said
from cello.program.split import Split, split
from cello.program.text import from_text, to_text
from cello.program.trace.capture import capture
from cello.program.trace.locals import named_tensors, step_with_locals
from cello.program.trace.one_trace import is_captured
from cello.program.trace.rewrite import is_view
from cello.program.trace.source_lines import line_of_error

__all__ = [
    "BATCH",
    "FastGuard",
    "Op",
    "Program",
    "Split",
    "Value",
    "can_override",
    "capture",
    "evaluate",
    "fast_guard_of",
    "from_text",
    "in_operations",
    "is_captured",
    "is_random",
    "is_row_wise",
    "is_view",
    "key_of",
    "leaves_in",
    "line_of_error",
    "map_leaves",
    "named_tensors",
    "needed_ops",
    "program_as_is",
    "program_of",
    "program_of_values",
    "results_of",
    "said",
    "split",
    "step_with_locals",
    "to_text",
    "with_overrides",
]
