"""A step in the form that a fused loop computes: vectors, regions, and the adjoint.

Imports `program` and its table of operations; the CPU engine imports it.
"""

from cello.program.kernel.builder import Lowered
from cello.program.kernel.kernel import (
    Kernel,
    MatrixGradient,
    Operand,
    Store,
    backward_kernel,
    forward_kernel,
    tape_of,
)
from cello.program.kernel.lower import lower
from cello.program.kernel.schedule import Region, Schedule, schedule

__all__ = [
    "Kernel",
    "Lowered",
    "MatrixGradient",
    "Operand",
    "Region",
    "Schedule",
    "Store",
    "backward_kernel",
    "forward_kernel",
    "lower",
    "schedule",
    "tape_of",
]
