"""Vectors that are sums of parts of others, as PyTorch's cells add up two biases at each call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.engines.fused.plan import Plan
from cello.program import Op, Value, needed_ops, results_of
from cello.program.movement import MOVES, sources

__all__ = ["Sums"]


class _Part(NamedTuple):
    """A part of a vector that is copied from another one, or has it added.

    Attributes:
        made: which of `Plan.once_made` it belongs to, and `at` the first of its numbers.
        given: which of `Plan.given` it is taken from, and `start` the first of its numbers.
        length: how many.
        adds: whether numbers are there already.
        is_whole: whether it is all of both, and nothing else is made of what is given.
    """

    made: int
    at: int
    given: int
    start: int
    length: int
    adds: bool
    is_whole: bool = False


_Terms = list[tuple[tuple[int, int], ...]]  # of each number: what it is the sum of, in order


class Sums:
    """The tensors that a node is given beside x: what is to be added up, not the sums.

    First come those shared tensors that a loop takes as they are, then `Plan.given`.

    Attributes:
        is_all: whether these are all that a call needs; else what `plan.once` makes takes its place
            among the shared tensors, and nothing is added up here.
        given: how many there are with x.
    """

    def __init__(self, plan: Plan) -> None:
        parts = [] if plan.once is None else _parts_of(plan)
        self.is_all = parts is not None
        self._parts, self._plan = parts or [], plan
        self._made = [plan.shared.index(value) for value in plan.once_made] if parts else []
        self._whole = [place for place in range(len(plan.shared)) if place not in self._made]
        self.given = 1 + len(self._whole) + (len(plan.given) if parts else 0)

    def numbers(self) -> list[Any]:
        """The same for `loop.cpp`."""
        first, shared = 1 + len(self._whole), self._plan.shared
        sources = [
            -1 - int(value.shape[0]) if place in self._made else 1 + self._whole.index(place)
            for place, value in enumerate(shared)
        ]
        parts = [
            [1 + self._made[made], at, first + given, start, count, int(adds), int(whole)]
            for made, at, given, start, count, adds, whole in self._parts
        ]
        return [self.given, sources, parts]

    def tensors(self, own: Sequence[Tensor], given: Sequence[Tensor]) -> list[Tensor]:
        """What a node is given, if that is all."""
        return [*(own[place] for place in self._whole), *(given if self._parts else ())]

    def taken(self, given: Sequence[Tensor]) -> list[Tensor]:
        """What an operation takes in place of x and the others, and of the states if there are any.

        A state may have an axis of layers.
        """
        x, states = given[0], [state.flatten(0, -2) for state in given[self.given :]]
        made: Any = ()
        if self._parts:
            assert self._plan.once is not None
            made = self._plan.once(*given[1 + len(self._whole) : self.given])
        return [x, *self._shared_order(given[1:], made), *states]

    def needs(self, needs: Sequence[bool]) -> tuple[bool, ...]:
        """What of that needs a gradient."""
        of_given = needs[1 + len(self._whole) :]
        made = [
            any(of_given[part.given] for part in self._parts if part.made == number)
            for number in range(len(self._made))
        ]
        return (needs[0], *self._shared_order(needs[1:], made), *needs[self.given :])

    def gradients(
        self, found: Sequence[Tensor | None], given: Sequence[Tensor], needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients of what is given, out of those of what an operation takes."""
        places, first = self._plan.places, 1 + len(self._whole)
        shared = found[places.shared]
        states = [
            grad if grad is None else grad.view(state.shape)
            for grad, state in zip(found[places.start], given[self.given :], strict=True)
        ]
        of_given = [
            self._gradient(number, given[first + number], shared) if needs[first + number] else None
            for number in range(self.given - first)
        ]
        return [found[0], *(shared[place] for place in self._whole), *of_given, *states]

    def _shared_order(self, whole: Iterable[Any], made: Iterable[Any]) -> list[Any]:
        """In the order of `Plan.shared`."""
        whole, made = iter(whole), iter(made)
        places = range(len(self._plan.shared))
        return [next(made) if place in self._made else next(whole) for place in places]

    def _gradient(
        self, number: int, like: Tensor, shared: Sequence[Tensor | None]
    ) -> Tensor | None:
        total = None
        for part in self._parts:
            grad = shared[self._made[part.made]]
            if part.given != number or grad is None:
                continue
            around = part.start, len(like) - part.start - part.length
            piece = F.pad(grad.narrow(0, part.at, part.length), around)
            total = piece if total is None else total + piece
        return total


def _parts_of(plan: Plan) -> list[_Part] | None:
    """The parts of all that `plan.once` makes, in order; None if it does anything else."""
    known: dict[Value, _Terms] = {}
    for number, value in enumerate(plan.given):
        if len(value.shape) != 1 or value.dtype != plan.program.x.dtype:
            return None
        known[value] = [((number, i),) for i in range(int(value.shape[0]))]
    for op in needed_ops(plan.lowered.once, plan.shared):
        made = _added(op, known) if op.target._opname == "add" else _moved(op, known)
        if made is None or not op.grad or len(op.outputs) != len(made):
            return None
        known.update(zip(op.outputs, made, strict=True))
    if any(len(value.shape) != 1 for value in plan.once_made):
        return None
    parts = [
        _Part(number, at, *first, count, rank > 0)
        for number, value in enumerate(plan.once_made)
        for rank in range(max(map(len, known[value])))
        for at, first, count in _stretches(known[value], rank)
    ]
    takers = Counter(part.given for part in parts)
    return [
        part._replace(
            is_whole=takers[part.given] == 1
            and part.length == len(known[plan.given[part.given]])
            and part.length == len(known[plan.once_made[part.made]])
        )
        for part in parts
    ]


def _added(op: Op, known: dict[Value, _Terms]) -> list[_Terms] | None:
    terms = [known.get(value) for value in op.args if isinstance(value, Value)]
    if op.kwargs or len(op.args) != 2 or len(terms) != 2:
        return None
    first, second = terms
    if not first or not second or len(first) != len(second):
        return None
    if any(len(more) > 1 for more in second):  # they would be added in another order
        return None
    return [[one + other for one, other in zip(first, second, strict=True)]]


def _moved(op: Op, known: dict[Value, _Terms]) -> list[_Terms] | None:
    if op.target._opname not in MOVES or not all(value in known for value in op.inputs):
        return None
    shapes = {value: torch.empty(len(known[value]), device="cpu") for value in op.inputs}
    found = sources(op, shapes, lambda op, args: results_of(op, {}, 0, args=args))
    if any(not numbers.all() for _, numbers in found):  # something is filled in
        return None
    return [
        [all_terms[number - 1] for number in numbers.tolist()]
        for moved, numbers in found
        for all_terms in [[terms for value in moved for terms in known[value]]]
    ]


def _stretches(terms: _Terms, rank: int) -> list[tuple[int, tuple[int, int], int]]:
    """Neighbours whose term of that rank are neighbours too: where, the first term, how many."""
    found: list[tuple[int, tuple[int, int], int]] = []
    for at, some in enumerate(terms):
        if rank >= len(some):
            continue
        given, place = some[rank]
        if found:
            begin, first, count = found[-1]
            if (begin + count, (first[0], first[1] + count)) == (at, (given, place)):
                found[-1] = begin, first, count + 1
                continue
        found.append((at, (given, place), 1))
    return found
