"""An exercise: what is to be reached, what may be changed, and an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cello.errors import ArgumentError
from cello.see.page.worded import Worded, check_worded

__all__ = ["Exercise", "Goal", "is_count", "is_number"]


@dataclass(frozen=True)
class Goal:
    """Between which numbers a value has to be at a step.

    Attributes:
        name: of a recorded value, or "output".
        t: the step, counted from 0.
        unit: which number of the value.
        low: the least that is right; unless given, nothing is too little.
        high: the most that is right; unless given, nothing is too much.

    Raises:
        ArgumentError: a part of it is of another type, or the range is empty.
    """

    name: str
    t: int
    unit: int = 0
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        """Check all."""
        if not isinstance(self.name, str):
            raise ArgumentError(f"the name of a goal must be a string, got {self.name!r}")
        for what in ("t", "unit"):
            number = getattr(self, what)
            if not is_count(number):
                raise ArgumentError(f"{what} of a goal must be counted from 0, got {number!r}")
        if not (is_number(self.low) and is_number(self.high) and self.low <= self.high):
            raise ArgumentError(
                f"a goal must be a range of numbers, low to high, got {self.low!r} to {self.high!r}"
            )

    def met(self, value: float) -> bool:
        """Whether a number is in the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Exercise:
    """What a reader is asked to reach on a page, by changing what the net reads, holds or weighs.

    The page checks it after each change. An answer belongs to it, and writing a page fails if the
    answer does not reach the goals, or if they are reached without a change.

    Attributes:
        text: what is to be done; a string, or strings by language: {"en": …, "zh": …}.
        goals: what must be so, all at once.
        answer: one way to do it, by what is changed: "input", a row of numbers for each step;
            "order", the steps in another order; the name of a weight, all of its numbers; the name
            of a value, triples (t, unit, number) to which it is forced.
        change: what may be changed, by these names; what the answer changes unless given.
        hint: a text for those who ask for one.
        sequence: the number of the page's sequence that it is about.

    Raises:
        ArgumentError: a part of it is of another type, or the answer changes what may not be.

    >>> keep = Exercise("Keep the first number.", [Goal("h", 1, low=0.9)], {"R": [[1.0]]})
    >>> keep.change
    ('R',)
    """

    text: Worded
    goals: Sequence[Goal]
    answer: Mapping[str, Any]
    change: Sequence[str] = field(default=())
    hint: Worded = ""
    sequence: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without a net."""
        check_worded("text", self.text)
        check_worded("hint", self.hint)
        if not self.goals or not _all_are(Goal, self.goals):
            raise ArgumentError(f"goals must be Goals, at least one, got {self.goals!r}")
        if not isinstance(self.answer, Mapping) or not self.answer:
            raise ArgumentError(f"answer must say what is changed, by name, got {self.answer!r}")
        if not _all_are(str, self.change):
            raise ArgumentError(f"change must hold names, got {self.change!r}")
        object.__setattr__(self, "change", tuple(self.change) or tuple(self.answer))
        if other := [name for name in self.answer if name not in self.change]:
            raise ArgumentError(f"the answer changes {other[0]!r}, and change does not name it")


def is_number(value: Any) -> bool:
    """Whether this is one, and not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def is_count(value: Any) -> bool:
    """Whether this is a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _all_are(kind: type, values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(isinstance(value, kind) for value in values)
