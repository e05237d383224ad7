"""What is compared: a case has two functions, and an aim for what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["ERROR", "MIB", "MS", "Case", "Group", "Measured", "Skipped", "Unit", "as_it_is"]


class Unit(NamedTuple):
    """What amounts are shown in: its name, how many there are in one, and how to write a number."""

    name: str
    per_one: float
    form: str


MS = Unit("ms", 1e3, ".3f")  # of seconds
MIB = Unit("MiB", 2.0**-20, ".1f")  # of bytes
ERROR = Unit("error", 1.0, ".2e")


class Measured(NamedTuple):
    """What a function returns that measures itself: seconds of a fresh process, bytes, an error."""

    amount: float
    value: Any


@dataclass(frozen=True)
class Group:
    """Cases whose ratios are summed up in a geometric mean.

    Attributes:
        name: what they have in common.
        least_mean: the aim for the geometric mean of theirs / ours, if there is one.
    """

    name: str
    least_mean: float | None = None


@dataclass(frozen=True)
class Skipped:
    """A case that cannot be measured here.

    Attributes:
        name: what would have been compared.
        reason: why it is not, and what would help.
    """

    name: str
    reason: str


def as_it_is(result: Any) -> Any:
    """A result compared as it was returned."""
    return result


@dataclass(frozen=True)
class Case:
    """Two functions that compute the same thing.

    Attributes:
        name: what is compared, e.g. "LSTMCell forward".
        ours: returns tensors, arrays, numbers or strings, in tuples, lists or dicts; or `Measured`.
        theirs: returns the same.
        sizes: columns of the table, e.g. ``{"B": 1, "T": 100, "H": 32}``.
        rtol: allowed relative difference of the results.
        atol: allowed absolute difference of the results; a function is called when it is needed.
        compared: what of our result and what of theirs is compared; takes no part in the time.
        unit: what is measured.
        group: the cases that it is summed up with.
        rounds: how often to measure, where the effort's own number is too much; a case of one round
            is not run again after the results were compared.
        quick: whether it belongs to a quick look.
        least_ratio: the aim for theirs / ours, if there is one.
        most_times: the aim for ours / theirs, if there is one.
        most_extra: the aim for ours - theirs in the unit, if there is one.
    """

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    sizes: Mapping[str, int | str] = field(default_factory=dict)
    rtol: float = 1e-5
    atol: float | Callable[[], float] = 1e-6
    compared: tuple[Callable[[Any], Any], Callable[[Any], Any]] = (as_it_is, as_it_is)
    unit: Unit = MS
    group: Group | None = None
    rounds: int | None = None
    quick: bool = True
    least_ratio: float | None = None
    most_times: float | None = None
    most_extra: float | None = None
