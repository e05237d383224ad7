"""A loop for the code in C++, as numbers: its functions, and recipes of calls."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from cello.engines.cpu.library import WORTH_A_THREAD, WORTH_SHARING, pool
from cello.engines.cpu.node.extension import extension
from cello.engines.cpu.node.sums import Sums
from cello.engines.fused.op.forward import ForwardRecipe
from cello.engines.fused.op.gradients import BackwardRecipe

__all__ = ["node_of"]

_KINDS = {"y": 0, "tape": 1, "grad": 2, "sum": 3, "dx": 4}  # see OF_Y in loop.cpp
_SCRATCH = 5


def node_of(
    output: int,
    sums: Sums,
    like: Tensor,
    zeros: Sequence[Tensor],
    forward: Mapping[bool, ForwardRecipe],
    backward: Mapping[tuple[bool, ...], BackwardRecipe],
    *,
    begin: bool,
) -> Any | None:
    """What runs a loop and leaves a node, where it knows how; None where there is no extension.

    Its method `run(tensors, steps, rows, reverse, slowly, stacked)` returns the outputs and the
    final states, or None.

    Args:
        output: features of the output.
        sums: which tensors come in beside x and the states.
        like: a tensor of the loop's dtype.
        zeros: of each state.
        forward: how the forward loops are called for, by whether they leave a tape.
        backward: how the backward loops are called for, by what needs a gradient.
        begin: see `extension`.
    """
    module = extension(begin=begin)
    if module is None:
        return None
    numbers: list[Any] = [output, *pool(), 2 * WORTH_A_THREAD, WORTH_SHARING]
    numbers += sums.numbers()
    node = module.Loop(_bytes(numbers), like, list(zeros))
    for saves, recipe in forward.items():
        numbers = [*recipe.loop.library.in_numbers(), recipe.of_pointers, recipe.tape or 0]
        node.add_forward(_bytes(numbers), saves)
    for needs, of_gradients in backward.items():
        node.add_backward(_bytes(_backward(of_gradients, needs)))
    return node


def _backward(recipe: BackwardRecipe, needs: tuple[bool, ...]) -> list[Any]:
    products = [
        [value, *_columns(a), *_columns(b), down.start, right.start]
        for value, terms in recipe.products
        for a, b, down, right in terms
    ]
    return [
        *recipe.loop.library.in_numbers(),
        recipe.of_pointers,
        [*map(int, needs)],
        int(recipe.of_start),
        int(recipe.shares),
        -1 if recipe.dx is None else recipe.dx,
        [[_KINDS.get(kind, _SCRATCH), width] for kind, _, width in recipe.makers],
        products,
        [[*one] for one in recipe.sums],
    ]


def _columns(operand: tuple[int, int, int | None]) -> tuple[int, int, int]:
    """An array's place, and the first of its columns and how many, -1 for all."""
    place, start, end = operand
    return place, start, -1 if end is None else end - start


def _bytes(parts: Iterable[Any]) -> bytes:
    return array("q", _flat(parts)).tobytes()


def _flat(parts: Iterable[Any]) -> Iterator[int]:
    """Every number; a list's length before it."""
    for part in parts:
        if isinstance(part, list):
            yield len(part)
            yield from _flat(part)
        else:
            yield part
