"""The parts of a line, and what the rule of an operation needs to write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cello.program import Value
from cello.see.formulas.notation import Expression

__all__ = ["Pairs", "Term", "Writer", "Written"]

# Terms, their sum, and the size of what was added up.
Written = tuple[list[Expression], Tensor, float]
Pairs = tuple[Value, Tensor, Value, Tensor]  # elements of two values that are multiplied


@dataclass(eq=False)
class Term:
    """A part of a line: how it is written, and its value, in float64 with a graph behind it.

    `name` says what it is, if it is nothing but a named number.
    """

    expression: Expression
    value: Tensor
    name: Expression | None = None

    @property
    def shown(self) -> Expression:
        """What a line of its own shows."""
        return self.expression if self.name is None else self.name


class Writer(Protocol):
    """Writes elements of the values of one step; see `scalars.ScalarFormulas`."""

    limit: int
    fixed: set[Value]

    @property
    def values(self) -> Mapping[Value, Tensor]:
        """The numbers of every value of the step."""

    @property
    def flat(self) -> Callable[[Value], Tensor]:
        """Those of one value, one after the other."""

    def of(self, value: Value, element: int) -> Term:
        """The element as a number if it has a name, else how it was made."""

    def use(self, number: Tensor, size: float | None = None) -> Tensor:
        """Note a number that came up; its rounding error is proportional to `size`, else to it."""

    def broadcast(self, small: torch.Size, large: torch.Size) -> Tensor:
        """For each element of `large`, which of `small` goes with it."""

    def products(self, pairs: Pairs) -> Written:
        """A sum of products."""

    def written(self, value: Value, element: int) -> Term:
        """Inside of a sum of products: a number, if it would itself be such a sum."""
