"""The exercises of a data file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from cello.errors import ArgumentError

if TYPE_CHECKING:
    from cello.see import Exercise

__all__ = ["exercise_of", "one_line"]

_WORDS = {"text": str, "hint": str}
_EXERCISE = {**_WORDS, "change": list, "goal": list, "answer": dict, "zh": dict}
_GOAL = {"name": str, "t": int, "unit": int, "low": Real, "high": Real}

Check = Callable[[Any, Mapping[str, type], str], None]


def one_line(text: str) -> str:
    r"""A text that was written over several lines; Chinese has no spaces between them.

    >>> one_line("one\ntwo"), one_line("一\n二")
    ('one two', '一二')
    """
    lines = [line.strip() for line in text.split("\n")]
    joined = lines[0]
    for line in lines[1:]:
        chinese = joined[-1:] > "\u2fff" or line[:1] > "\u2fff"
        joined += line if chinese or not joined or not line else f" {line}"
    return joined


def exercise_of(table: Any, check: Check, place: str) -> Exercise:
    """An exercise from its table; `check(table, keys, place)` checks keys and their types.

    Raises:
        DataError: as `check`.
        ArgumentError: it is no exercise.
    """
    from cello.see import Exercise, Goal

    check(table, _EXERCISE, place)
    goals = table.get("goal", [])
    for number, goal in enumerate(goals, start=1):
        check(goal, _GOAL, f"{place}: goal {number}")
    chinese = table.get("zh", {})
    check(chinese, _WORDS, f"{place}: zh")
    if lacking := [key for key in ("text", "goal", "answer") if not table.get(key)]:
        raise ArgumentError(f"an exercise needs the key {lacking[0]}")
    if lacking := [key for goal in goals for key in ("name", "t") if key not in goal]:
        raise ArgumentError(f"a goal needs the key {lacking[0]}")
    words = {
        key: {"en": one_line(table.get(key, ""))}
        | ({"zh": one_line(chinese[key])} if key in chinese else {})
        for key in _WORDS
    }
    return Exercise(
        words["text"],
        [Goal(**goal) for goal in goals],
        table["answer"],
        table.get("change", ()),
        words["hint"] if table.get("hint") else "",
    )
