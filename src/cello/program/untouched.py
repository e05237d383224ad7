"""Tracing must leave no trace: what a step changes is put back, and the step refused."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CellType
from typing import Any

import torch

from cello.cells import Cell
from cello.errors import CaptureError
from cello.program.reach import Reach

__all__ = ["RandomDrawnError", "untouched"]


class RandomDrawnError(CaptureError):
    """Random numbers have been drawn that are not PyTorch's, by the step or by another thread."""


@contextmanager
def untouched(cell: Cell) -> Iterator[None]:
    """Run a block that must not change anything that the step of `cell` can read.

    Raises:
        CaptureError: the block has changed something (it is put back), or a module inside has
            hooks, which a captured step would not run.
        RandomDrawnError: meanwhile, random numbers have been drawn that are not PyTorch's.
    """
    kind = type(cell).__name__
    for path, module in cell.named_modules():
        forward = module._forward_hooks or module._forward_pre_hooks
        backward = module._backward_hooks or module._backward_pre_hooks
        if module is not cell and (forward or backward):
            what = "forward" if forward else "backward"
            raise CaptureError(
                f"{kind}.step cannot be captured: its module {path} has {what} "
                "hooks, which have to run at every step"
            )
    reach = Reach(cell)
    kept = [(place, value, _contents(value)) for place, value in reach.places]
    drawn = _random_states()
    buffers = [(name, buffer, buffer.clone()) for name, buffer in cell.named_buffers()]
    changed: set[str] = set()
    try:
        yield
    finally:
        for place, value, before in kept:
            if differs := _differs(value, before):
                _put_back(value, before)
                changed |= differs if isinstance(value, dict) and not place else {place}
        for name, buffer, before in buffers:
            if not torch.equal(buffer, before):
                changed.add(name)
                with torch.no_grad():
                    buffer.copy_(before)
        draws = [where for where, get, put, before in drawn if _put(get, put, before)]
    if changed:
        raise CaptureError(
            f"{kind}.step cannot be captured: it changes the cell itself "
            f"({', '.join(sorted(changed))}); what is carried from step to step belongs in `state`"
        )
    if draws:
        raise RandomDrawnError(
            f"{kind}.step cannot be captured: it draws random numbers from {draws[0]}; "
            "those of PyTorch (torch.rand, dropout, …) can be captured"
        )


def _contents(value: Any) -> Any:
    """What a place holds, in a copy that stays as it is."""
    if isinstance(value, CellType):
        try:
            return [value.cell_contents]
        except ValueError:  # not set yet
            return []
    if _is_variable(value):
        namespace, name = value
        return [namespace[name]] if name in namespace else []
    return dict(value) if isinstance(value, dict) else list(value)


def _is_variable(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], dict)


def _differs(value: Any, before: Any) -> set[str]:
    """The names of what has changed, empty if nothing has."""
    now = _contents(value)
    if isinstance(before, dict):
        missing = object()
        return {
            str(n)
            for n in now.keys() | before.keys()
            if now.get(n, missing) is not before.get(n, missing)
        }
    same = len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))
    return set() if same else {""}


def _put_back(value: Any, before: Any) -> None:
    if isinstance(value, CellType):
        value.cell_contents = before[0] if before else None
    elif _is_variable(value):
        value[0].update(dict.fromkeys(value[1:], *before))
    elif isinstance(value, (dict, set)):
        value.clear()
        value.update(before)
    elif isinstance(value, (list, deque)):
        value.clear()
        value.extend(before)


_Source = tuple[str, Callable[[], Any], Callable[[Any], None], Any]


def _random_states() -> list[_Source]:
    """The generators of random numbers besides PyTorch's, with what they stand at."""
    sources: list[_Source] = [("random", random.getstate, random.setstate, random.getstate())]
    if numpy := sys.modules.get("numpy"):
        at: Any = numpy.random
        sources.append(("numpy.random", at.get_state, at.set_state, at.get_state()))
    return sources


def _put(get: Callable[[], Any], put: Callable[[Any], None], before: Any) -> bool:
    """Put a generator back to where it was; whether it has moved."""
    moved = repr(get()) != repr(before)
    if moved:
        put(before)
    return moved
