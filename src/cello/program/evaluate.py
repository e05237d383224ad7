"""Operations run one by one: the one place that says what each is given, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from cello.program.graph import BATCH, Op, Value, map_leaves

__all__ = ["evaluate", "results_of"]


def results_of(
    op: Op,
    known: Mapping[Value, Any],
    rows: int,
    *,
    args: Any = None,
    device: torch.device | None = None,
) -> tuple[Tensor, ...]:
    """What an operation makes, also where it makes one tensor only.

    What a step makes inside of `torch.no_grad()` is cut from the graph.

    Args:
        op: the operation.
        known: what it reads.
        rows: the number of rows.
        args: arguments in place of its own.
        device: where it runs, if not where the step did.
    """

    def filled(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return known[leaf]
        if leaf is BATCH:
            return rows
        return leaf if device is None or not isinstance(leaf, torch.device) else device

    arguments = map_leaves(filled, op.args if args is None else args)
    made = op.target(*arguments, **map_leaves(filled, op.kwargs))
    parts: tuple[Tensor, ...] = tuple(made) if op.is_tuple else (made,)
    return parts if op.grad else tuple(part.detach() for part in parts)


def evaluate(
    ops: Iterable[Op],
    known: dict[Value, Any],
    rows: int,
    take: Callable[[Value, Tensor], None] | None = None,
) -> None:
    """Run `ops` for a number of rows on what is `known`; `take` gets what they make.

    Unless `take` is given, what they make becomes known.
    """
    take = take or known.__setitem__
    for op in ops:
        for value, made in zip(op.outputs, results_of(op, known, rows), strict=True):
            take(value, made)
