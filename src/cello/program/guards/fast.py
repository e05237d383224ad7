"""A quick look at what a step can read: whether each thing is still the very same object.

`GuardKey` goes through everything and costs tens of microseconds; between two calls of a layer
nothing has changed, as a rule, and a look at the places that it has found sees that.
"""

from __future__ import annotations

from operator import is_
from typing import Any

from cello.cells import Cell
from cello.program.guards.key import GuardKey
from cello.program.guards.watched import GUARD_NAME

__all__ = ["FastGuard", "fast_guard_of"]


class FastGuard:
    """What a look has found, as objects.

    It lives in its cell's own `__dict__`, for it keeps alive what depends on the cell; a copy of
    the cell does not take it along. It does not hold the cell, which goes when nobody needs it.

    Attributes:
        found: whatever is known of the cell as it was then, by whoever made this.
        loops: what engines keep for the cell as it is, by what it is for.
    """

    def __init__(self, cell: Cell, guard_key: GuardKey, found: dict[Any, Any]) -> None:
        self.found = found
        self.loops: dict[Any, Any] = {}
        self._holds_by_content = guard_key.by_content
        self._watched = guard_key.watched
        cell.__dict__[GUARD_NAME] = self
        self._objects_before = [*self._watched.all(cell)]
        self._equal_before = self._watched.equal(cell)

    def __reduce__(self) -> Any:
        return object, ()

    def holds(self, cell: Cell) -> bool:
        """Whether nothing has changed since."""
        watched = self._watched
        if self._holds_by_content or watched.equal(cell) != self._equal_before:
            return False
        try:
            return all(map(is_, self._objects_before, watched.all(cell)))  # ends with the first
        except RuntimeError:  # another thread changes a dict meanwhile
            return False


def fast_guard_of(cell: Cell) -> FastGuard | None:
    """The guard that still holds, if there is one."""
    guard = cell.__dict__.get(GUARD_NAME)
    return guard if isinstance(guard, FastGuard) and guard.holds(cell) else None
