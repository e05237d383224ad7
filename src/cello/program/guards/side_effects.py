"""Tracing must leave no trace: what a step changes is put back, and the step refused."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cello.cells import Cell
from cello.cells.contract.step_checks import step_name_of
from cello.errors import CaptureError
from cello.program.guards.key import GuardKey
from cello.program.guards.places import contents, put_back

__all__ = ["RandomDrawnError", "no_side_effects"]


class RandomDrawnError(CaptureError):
    """Random numbers have been drawn that are not PyTorch's, by the step or by another thread."""


@contextmanager
def no_side_effects(cell: Cell) -> Iterator[None]:
    """Run a block that must not change anything that the step of `cell` can read.

    Raises:
        CaptureError: the block has changed something (it is put back), or a module inside has
            hooks, which a captured step would not run, or the step can take from an iterator.
        RandomDrawnError: meanwhile, random numbers have been drawn that are not PyTorch's.
    """
    step = step_name_of(cell)
    for path, module in cell.named_modules():
        forward = module._forward_hooks or module._forward_pre_hooks
        backward = module._backward_hooks or module._backward_pre_hooks
        if module is not cell and (forward or backward):
            what = "forward" if forward else "backward"
            raise CaptureError(
                f"{step} cannot be captured: its module {path} has {what} "
                "hooks, which have to run at every step"
            )
    guard_key = GuardKey(cell)
    for value in guard_key.seen:
        if isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
            raise CaptureError(
                f"{step} cannot be captured: it can reach an iterator "
                f"({type(value).__name__}), from which each step may take something"
            )
    kept = [(name, place, contents(place)) for name, place in guard_key.places]
    sources = list(_sources(guard_key.seen))
    buffers = [(name, buffer, buffer.clone()) for name, buffer in cell.named_buffers()]
    frozen = [(name, tensor, tensor.requires_grad) for name, tensor in cell.named_parameters()]
    changed: set[str] = set()
    try:
        yield
    finally:
        for name, place, before in kept:
            if differs := _differs(contents(place), before):
                put_back(place, before)
                changed |= {name} if name else differs
        for name, buffer, held in buffers:
            if buffer.layout is torch.strided and not torch.equal(buffer, held):
                changed.add(name)
                with torch.no_grad():
                    buffer.copy_(held)
        for name, tensor, needs_grad in frozen:
            if tensor.requires_grad != needs_grad:
                changed.add(f"{name}.requires_grad")
                tensor.requires_grad_(needs_grad)
        draws = [source.name for source in sources if source.put_back()]
    if changed:
        raise CaptureError(
            f"{step} cannot be captured: it changes the cell itself "
            f"({', '.join(sorted(changed))}); what is carried from step to step belongs in `state`"
        )
    if draws := [name for name in draws if name]:
        raise RandomDrawnError(
            f"{step} cannot be captured: it draws random numbers from {draws[0]}; "
            "those of PyTorch (torch.rand, dropout, …) can be captured"
        )


def _differs(now: dict[Any, Any], before: dict[Any, Any]) -> set[str]:
    """The names of what has changed, empty if nothing has."""
    missing = object()
    pairs = [(n, now.get(n, missing), before.get(n, missing)) for n in now.keys() | before.keys()]
    return {str(n) for n, a, b in pairs if a is not b and not (type(a) is tuple and a == b)}


class _Source(NamedTuple):
    """A generator of random numbers and its state before; without a name if it is PyTorch's."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]
    before: Any

    def put_back(self) -> bool:
        """Restore its state; whether it had changed."""
        now = self.get()
        is_tensor = isinstance(now, Tensor)
        moved = not torch.equal(now, self.before) if is_tensor else repr(now) != repr(self.before)
        if moved:
            self.put(self.before)
        return moved


def _sources(seen: Iterable[Any]) -> Iterator[_Source]:
    """The generators of random numbers that a step can use: the global ones, and those seen."""
    numpy: Any = sys.modules.get("numpy.random")
    for at in (random, *((numpy,) if numpy else ()), *seen):
        kind = getattr(at, "__name__", type(at).__name__)
        if at is random or isinstance(at, random.Random):
            yield _Source(kind, at.getstate, at.setstate, at.getstate())
        elif numpy and (at is numpy or isinstance(at, numpy.RandomState)):
            yield _Source(kind, at.get_state, at.set_state, at.get_state())
        elif numpy and isinstance(at, numpy.Generator):
            bits = at.bit_generator
            put = partial(setattr, bits, "state")
            yield _Source(kind, partial(getattr, bits, "state"), put, bits.state)
        elif isinstance(at, torch.Generator):
            yield _Source("", at.get_state, at.set_state, at.get_state())
