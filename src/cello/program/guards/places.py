"""Places that a step can change: what one holds, and how it is restored."""

from __future__ import annotations

from collections import deque
from types import CellType
from typing import Any

__all__ = ["Slots", "bytes_of", "contents", "put_back"]

SMALL = 1 << 16  # bytes of an array that are compared; a larger one is known by its identity


class Slots:
    """The attributes of an object that has no `__dict__`."""

    def __init__(self, value: Any, names: list[str]) -> None:
        self.value, self.names = value, names


def bytes_of(value: Any) -> tuple[Any, ...] | None:
    """What a small array of any library holds."""
    try:
        memory = memoryview(value)
        if memory.nbytes <= SMALL:
            return memory.format, memory.shape, memory.tobytes()
    except (TypeError, ValueError, NotImplementedError):  # no array, or one of Python objects
        pass
    return None


def contents(place: Any) -> dict[Any, Any]:
    """What a place holds, by name or number, in a copy that stays as it is."""
    if isinstance(place, CellType):
        try:
            return {0: place.cell_contents}
        except ValueError:  # not set yet
            return {}
    if isinstance(place, tuple):  # a variable: its namespace and name
        namespace, name = place
        return {name: namespace[name]} if name in namespace else {}
    if isinstance(place, type):
        return dict(vars(place))
    if isinstance(place, Slots):
        return {n: getattr(place.value, n) for n in place.names if hasattr(place.value, n)}
    if isinstance(place, dict):
        return dict(place)
    if isinstance(place, (list, set, deque)):
        return dict(enumerate(place))
    return {0: bytes_of(place)}


def put_back(place: Any, before: dict[Any, Any]) -> None:
    """Restore what the place held."""
    if isinstance(place, CellType):
        place.cell_contents = before.get(0)
    elif isinstance(place, tuple):
        place[0].update(before)
    elif isinstance(place, (type, Slots)):
        of = place if isinstance(place, type) else place.value
        now = contents(place)
        for name in now.keys() - before.keys():
            delattr(of, name)
        for name, value in before.items():
            if name not in now or now[name] is not value:
                setattr(of, name, value)
    elif isinstance(place, dict):
        place.clear()
        place.update(before)
    elif isinstance(place, set):
        place.clear()
        place.update(before.values())
    elif isinstance(place, (list, deque)):
        place.clear()
        place.extend(before.values())
    else:
        _, _, held = before[0]
        memoryview(place).cast("B")[:] = held
