"""How the rows lie in a tensor where they do not stand first, and what is known of a step's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cello.program.graph import leaves_in

__all__ = ["Made", "RowLayout", "RowLayouts"]


@dataclass(frozen=True)
class RowLayout:
    """How the rows lie in a tensor, and the tensor with its rows first.

    Attributes:
        rows_first: [B, …], the axes of the tensor, without that of the rows unless it holds more
            than one element for each of them.
        at: that axis; its length is outer · B · inner.
        outer: how often all rows follow one another there.
        inner: how many elements of a row follow one another there.
    """

    rows_first: Tensor
    at: int = 0
    outer: int = 1
    inner: int = 1

    @property
    def many(self) -> int:
        """How many elements of a row lie along the axis of the rows."""
        return self.outer * self.inner

    @property
    def rank(self) -> int:
        """Of the tensor itself."""
        return self.rows_first.dim() - (self.many > 1)

    def lies_as(self, other: RowLayout | None) -> bool:
        """Whether the rows of another lie the same way."""
        return other is not None and self._way == other._way

    @property
    def _way(self) -> tuple[int, int, int]:
        return self.at, self.outer, self.inner

    @property
    def is_plain(self) -> bool:
        """Whether the rows stand first by themselves."""
        return self.at == 0 and self.many == 1

    def axis(self, axis: int) -> int:
        """The axis of `rows_first` that is an axis of the tensor's."""
        return axis + 1 if axis < self.at else axis + (self.many > 1)

    def like(self, rows_first: Tensor, at: int | None = None) -> RowLayout:
        """Another tensor with its rows lying the same way."""
        return RowLayout(rows_first, self.at if at is None else at, self.outer, self.inner)


#: What an operation makes of tensors whose rows lie somewhere; None where it is not known.
Made = list[RowLayout] | None


class RowLayouts:
    """Which tensors of one trace have rows, and along which axis.

    Attributes:
        count: how many rows there are.
        layouts: by the id of a tensor, how its rows lie where they do not stand first.
        with_rows: ids of all tensors that have rows.
        parts: by the id of what was stacked, along which axis, and of what.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.layouts: dict[int, RowLayout] = {}
        self.with_rows: set[int] = set()
        self.parts: dict[int, tuple[int, list[Tensor]]] = {}

    def concerns(self, tree: Any) -> bool:
        """Whether the rows of one of the tensors in nested arguments lie elsewhere."""
        return bool(self.layouts) and any(
            id(tensor) in self.layouts for tensor in leaves_in(tree, Tensor)
        )

    def is_by_row(self, tree: Any) -> bool:
        """Whether one of the tensors in nested arguments has rows."""
        return any(id(tensor) in self.with_rows for tensor in leaves_in(tree, Tensor))

    def of(self, leaf: Any) -> RowLayout | None:
        """How a tensor's rows lie; None if it has none, or they lie in a way that is not known."""
        if not isinstance(leaf, Tensor) or id(leaf) not in self.with_rows:
            return None
        plain = RowLayout(leaf) if leaf.shape[:1] == (self.count,) else None
        return self.layouts.get(id(leaf), plain)
