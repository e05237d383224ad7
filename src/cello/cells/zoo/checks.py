"""Checks of the constants that papers leave to the user."""

from __future__ import annotations

import math
from typing import Any

from cello.errors import ArgumentError, DtypeError

__all__ = ["number"]


def number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> float:
    """The argument `name`, if it is a finite number within these bounds.

    Raises:
        DtypeError: it is not a number.
        ArgumentError: it is out of bounds.

    >>> number("dt", 0.5, above=0, at_most=1)
    0.5
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DtypeError(f"{name} must be a number, got {type(value).__name__} {value!r}")
    within = above < value < below and at_least <= value <= at_most
    if not (within and math.isfinite(value)):
        bounds = {"above": above, "at least": at_least, "at most": at_most, "below": below}
        wanted = [f"{word} {bound}" for word, bound in bounds.items() if math.isfinite(bound)]
        raise ArgumentError(
            f"{name} must be a number {' and '.join(wanted) or 'that is finite'}, got {value}"
        )
    return value
