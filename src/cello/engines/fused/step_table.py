"""How many steps a loop goes through, and which rows each has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cello.engines.packing import Alike

__all__ = ["NOWHERE", "SUMMED", "StepTable"]

NOWHERE = torch.empty(0)  # its address is 0

#: So many steps of a sequence run into one sum, where a vector's gradient is that of all steps:
#: a longer one would lose its last digits.
SUMMED = 256


class StepTable:
    """How many steps there are, and which rows each has.

    Attributes:
        length: T.
        rows: sequences that have a step at all.
        total: rows of all steps.
        table: rows of each step, and the first of them, [2, T]; None if each has all rows.
        reverse: whether the last step comes first.
    """

    def __init__(
        self, length: int, rows: int, total: int, table: Tensor | None, reverse: bool
    ) -> None:
        self.length, self.rows, self.total = length, rows, total
        self.table, self.reverse = table, reverse

    @property
    def sums(self) -> int:
        """How many sums a vector's gradient is made of: for each sequence one in `SUMMED` steps."""
        return self.rows * max(1, -(-self.length // SUMMED))

    @classmethod
    def of(cls, sizes: Sequence[int], reverse: bool) -> StepTable:
        """The steps that have these many rows each."""
        if isinstance(sizes, Alike):
            return cls(sizes.length, sizes.rows, sizes.rows * sizes.length, None, reverse)
        if not sizes or sizes[-1] == sizes[0]:
            return cls.of(Alike(sizes[0] if sizes else 0, len(sizes)), reverse)
        rows_of = torch.tensor(sizes, dtype=torch.int64)
        first = rows_of.cumsum(0) - rows_of
        return cls(len(sizes), sizes[0], sum(sizes), torch.stack([rows_of, first]), reverse)
