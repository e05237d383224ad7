"""Where tensors stand in the lists that the two operations take and make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cello.program import Value

__all__ = ["TensorPlaces"]


class TensorPlaces:
    """The order of an operation's tensors; all attributes but `names` are slices of a list.

    Attributes:
        names: of each tensor that an operation takes: ("array", its name) where it has a row for
            each row of each step, ("shared", value), ("start", state) or ("initial", state).
        rows: the arrays: the input first, then what was drawn.
        shared: the tensors without rows, the same at all steps.
        start: the states that sequences begin with.
        initial: the states that a reset goes back to.
        final: the final states in what the forward operation makes, which begins with the output.
        recorded: what is recorded in it, and at its end the tape, if one is made.
    """

    def __init__(
        self, drawn: Sequence[Value], shared: Sequence[Value], states: Sequence[str]
    ) -> None:
        parts: list[list[tuple[str, Any]]] = [
            [("array", "x"), *(("array", f"drawn_{value.name}") for value in drawn)],
            [("shared", value) for value in shared],
            [("start", name) for name in states],
            [("initial", name) for name in states],
        ]
        self.names = [name for part in parts for name in part]
        ends = [sum(map(len, parts[:number])) for number in range(5)]
        self.rows, self.shared, self.start, self.initial = map(slice, ends, ends[1:])
        self.final = slice(1, 1 + len(states))
        self.recorded = slice(1 + len(states), None)
