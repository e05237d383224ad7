"""Sequences of different lengths as rows without padding, longest first, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from cello.cells.tracing import is_traced
from cello.errors import ArgumentError, EngineError

__all__ = ["Alike", "Packing", "packing_of"]


class Alike(Sequence[int]):
    """The rows of each step where all steps have the same number.

    A tracer may not know the two numbers yet: what it has to see through asks for these alone.

    Attributes:
        rows: of each step.
        length: how many steps there are.
    """

    __slots__ = ("length", "rows")

    def __init__(self, rows: int, length: int) -> None:
        self.rows, self.length = rows, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return repeat(self.rows, self.length)

    def __contains__(self, value: object) -> bool:
        return self.rows == value

    def __getitem__(self, at: Any) -> Any:
        steps = range(self.length)[at]
        return self.rows if isinstance(steps, int) else Alike(self.rows, len(steps))


@dataclass(eq=False)
class Packing:
    """Where the rows of a padded batch [T * B, …] stand when there is no padding, [N, …].

    Attributes:
        index: for each of the N rows its place t * B + b in the padded batch.
        order: for each row of a step, its sequence in the user's order, [B]; None if the same.
        padded: T * B.
    """

    index: Tensor
    order: Tensor | None
    padded: int

    def pack(self, rows: Tensor) -> Tensor:
        """Rows [T * B, …] without those that are padding."""
        return rows.index_select(0, self.index)

    def pad(self, rows: Tensor) -> Tensor:
        """Rows [N, …] with zeros for what is padding."""
        zeros = rows.new_zeros(self.padded, *rows.shape[1:])
        return zeros.index_copy(0, self.index, rows)

    def sort(self, part: Tensor) -> Tensor:
        """One value for each sequence, [B, …], in the order of the rows."""
        return part if self.order is None else part.index_select(0, self.order)

    def unsort(self, part: Tensor) -> Tensor:
        """One value for each sequence, back in the user's order."""
        return part if self.inverse is None else part.index_select(0, self.inverse)

    @cached_property
    def inverse(self) -> Tensor | None:
        """For each sequence in the user's order its row, [B]; None if the same."""
        return None if self.order is None else torch.argsort(self.order)


def packing_of(lengths: Tensor, T: int) -> tuple[Packing, list[int]]:
    """The packing of sequences of these lengths, the longest first.

    With it, how many sequences have a step t, for each t that any has.

    Raises:
        ArgumentError: a length is negative, or beyond T.
        EngineError: `torch.jit.trace` would write these lengths down for good.
    """
    if is_traced():
        raise EngineError(
            "torch.jit.trace would write these lengths down for good: only compiled loops on the "
            "CPU take lengths in what it traces; torch.export takes them everywhere"
        )
    if len(lengths) and (int(lengths.min()) < 0 or int(lengths.max()) > T):
        raise ArgumentError(
            f"lengths must lie between 0 and T = {T}, got {int(lengths.min())} "
            f"to {int(lengths.max())}"
        )
    longest_first, order = torch.sort(lengths, descending=True, stable=True)
    steps = torch.arange(T, device=lengths.device)[:, None]
    alive = steps < longest_first
    sizes = [rows for rows in alive.sum(1).tolist() if rows]
    B = len(lengths)
    return Packing((steps * B + order)[alive], order, T * B), sizes
