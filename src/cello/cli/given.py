"""A sequence that was read for a net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Given"]


class Given(NamedTuple):
    """A sequence: what stands for each step, such as a word, and what the net reads, [T, ...].

    `expected` is what the net should say of the whole of it, if the data tell.
    """

    tokens: Sequence[str]
    x: Tensor
    expected: str | None = None
