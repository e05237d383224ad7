"""What a live page reads: sequences out of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from cello.see.page.series import Outlook

__all__ = ["Read", "ReadSequence"]


class ReadSequence(NamedTuple):
    """A sequence: what to show at each step, what the net reads, [T, 1, ...], and what is known.

    `expected` are the right names, as in `Recording.to_html`, for each step or once; `outlook` says
    what a net that forecasts reads and gives.
    """

    tokens: Sequence[str]
    x: Tensor
    expected: Sequence[str] | None = None
    outlook: Outlook | None = None


#: Takes a text, and gives the sequences in it; as much of each `ReadSequence` as there is.
Read = Callable[[str], Sequence[ReadSequence | tuple[Sequence[str], Tensor]]]
