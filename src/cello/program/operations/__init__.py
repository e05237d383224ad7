"""The operations of PyTorch that a step may hold: what is known of each stands in one place.

Everything above a program's graph may import it.
"""

from cello.program.operations.instead import INSTEAD
from cello.program.operations.operation import Operation
from cello.program.operations.table import (
    OPERATIONS,
    argument,
    axes,
    creation,
    facts,
    is_pointwise,
    is_random,
)

__all__ = [
    "INSTEAD",
    "OPERATIONS",
    "Operation",
    "argument",
    "axes",
    "creation",
    "facts",
    "is_pointwise",
    "is_random",
]
