"""How much is tested: a sample of what takes long in `make test`, all in `make test-full`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"


def one_in(every: int, cases: Iterable[T]) -> list[T]:
    """All of them, or one in so many, beginning with the first.

    Args:
        every: chosen so that what is left out differs from what is taken in numbers only, not in
            the code that it reaches.
        cases: parameters of a test.
    """
    return list(cases)[:: 1 if FULL else every]
