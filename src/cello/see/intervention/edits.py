"""One value set at some steps and units: what an intervention is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers import Steps
from cello.see.numbers import whole

__all__ = ["Edit", "OnSteps"]


class Edit:
    """Sets a value at some steps and units.

    Args:
        name: of the value, as a recording has it.
        shape: of one row of it.
        entry: (t, unit, value); see `cello.intervene`.

    Raises:
        DtypeError, ArgumentError: the entry is no such triple, or there is no such unit.
    """

    def __init__(self, name: str, shape: tuple[int, ...], entry: Any) -> None:
        if not isinstance(entry, tuple) or len(entry) != 3:
            raise DtypeError(
                f"what is set of {name!r} must be (t, unit, value), or a list of such, "
                f"got {entry!r}"
            )
        self.name = name
        self.t, units, self.to = entry
        self.shape = shape
        self.units = _chosen(f"unit of {name!r}", units, math.prod(shape), "units")
        _chosen(f"t of {name!r}", self.t, None, "steps")
        if not callable(self.to) and not isinstance(self.to, Tensor):
            self.to = _as_tensor(name, self.to)

    def on(self, steps: Steps) -> OnSteps:
        """The same for the steps of one run.

        Raises:
            ArgumentError: there is no such step.
            ShapeError: the value does not fit the steps, sequences and units.
        """
        times = _chosen(f"t of {self.name!r}", self.t, steps.length, "steps")
        to = self.to
        if isinstance(to, Tensor):
            wanted = (len(times), steps.batch_size, len(self.units))
            axes = len(self.shape)
            if axes > 1 and to.shape[-axes:] == self.shape and wanted[2] == math.prod(self.shape):
                to = to.flatten(-axes)
            try:
                to = to.broadcast_to(wanted)
            except RuntimeError:
                raise ShapeError(
                    f"the value for {self.name!r} must be one number or fit [{wanted[0]} steps, "
                    f"{wanted[1]} sequences, {wanted[2]} units], got {list(to.shape)}"
                ) from None
        return OnSteps(self, times, to, steps)


class OnSteps:
    """An edit at work in one run: called with the rows of its value and the step."""

    def __init__(self, edit: Edit, times: list[int], to: Any, steps: Steps) -> None:
        self.edit, self.times, self.to, self.steps = edit, times, to, steps
        self.places = {t: place for place, t in enumerate(times)}

    def __call__(self, rows: Tensor, t: int) -> Tensor:
        """The rows with which the step goes on."""
        if t not in self.places:
            return rows
        units = torch.tensor(self.edit.units, device=rows.device)
        flat = rows.reshape(len(rows), -1)
        new = self._new(flat[:, units], t).to(flat)
        return flat.index_copy(1, units, new).reshape(rows.shape)

    def fixed(self, like: Tensor) -> tuple[Tensor, Tensor] | None:
        """A mask of what it sets and the new values, [N, size]; None if they depend on the old."""
        if not isinstance(self.to, Tensor):
            return None
        steps, device = self.steps, like.device
        shape = (steps.length, steps.batch_size, math.prod(self.edit.shape))
        places = torch.meshgrid(
            torch.tensor(self.times, dtype=torch.long, device=device),
            torch.arange(steps.batch_size, device=device),
            torch.tensor(self.edit.units, dtype=torch.long, device=device),
            indexing="ij",
        )
        mask, new = torch.zeros(shape, device=device, dtype=like.dtype), self.to.to(like)
        chosen = mask.index_put(places, torch.ones_like(new))
        return steps.unpad(chosen), steps.unpad(mask.index_put(places, new))

    def _new(self, old: Tensor, t: int) -> Tensor:
        """What the chosen units are set to, [rows, units]."""
        order = None if self.steps.order is None else self.steps.order[: len(old)]
        if isinstance(self.to, Tensor):
            new = self.to[self.places[t]]
            return new[: len(old)] if order is None else new.to(order.device)[order]
        if order is None:
            return self._called(old, t)
        users = torch.argsort(order)  # the sequences that have this step, in the user's order
        return self._called(old[users], t)[torch.argsort(users)]

    def _called(self, old: Tensor, t: int) -> Tensor:
        new = self.to(old, t)
        if not isinstance(new, Tensor):
            new = _as_tensor(self.edit.name, new)
        try:
            return new.broadcast_to(old.shape)
        except RuntimeError:
            raise ShapeError(
                f"the function for {self.edit.name!r} must return one number or "
                f"{list(old.shape)}, as it was given, it returned {list(new.shape)}"
            ) from None


def _as_tensor(name: str, to: Any) -> Tensor:
    try:
        return torch.as_tensor(to, dtype=torch.float64)  # as exact as what it goes into
    except (TypeError, ValueError, RuntimeError):
        raise DtypeError(
            f"the value for {name!r} must be a number, a tensor or a function of the value and t, "
            f"got {to!r}"
        ) from None


def _chosen(what: str, chosen: Any, count: int | None, counted: str) -> list[int]:
    """The numbers that `chosen` stands for, of `count`; nothing is known of None."""
    if chosen is None or chosen is Ellipsis:
        chosen = slice(None)
    if isinstance(chosen, slice):
        return [] if count is None else list(range(count))[chosen]
    if isinstance(chosen, Tensor):
        chosen = chosen.tolist()
    many = isinstance(chosen, Iterable) and not isinstance(chosen, str)
    numbers = [whole(what, number) for number in (chosen if many else [chosen])]
    for number in numbers:
        if number < 0 or (count is not None and number >= count):
            there = "" if count is None else f": there are {count} {counted}"
            raise ArgumentError(f"{what} is counted from 0, got {number}{there}")
    return numbers
