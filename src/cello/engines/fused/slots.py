"""What a loop takes: a pointer for each array, each tensor without rows, and each state."""

from __future__ import annotations

from dataclasses import dataclass

from cello.program.graph import Value
from cello.program.kernel.nodes import Array

__all__ = ["STATE_SLOTS", "Slot"]


@dataclass(frozen=True)
class Slot:
    """A pointer that a loop takes.

    Attributes:
        kind: "array", "vector", "matrix", or what a state has ("start", "final", …).
        of: the array, the tensor without rows, or the name of the state.
    """

    kind: str
    of: Array | Value | str


#: The pointers that each state has, by the loop.
STATE_SLOTS = {
    "forward": ("start", "initial", "final"),
    "backward": ("start", "initial", "grad_final", "grad_start", "grad_initial"),
}
