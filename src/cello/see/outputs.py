"""What a net returned: its output, and the rest."""

from __future__ import annotations

from typing import Any

from torch.nn.utils.rnn import PackedSequence

__all__ = ["is_plain_tuple", "output_of"]


def is_plain_tuple(result: Any) -> bool:
    """Whether it is a pair or tuple of results; a `PackedSequence` is one value."""
    return isinstance(result, tuple) and not isinstance(result, PackedSequence)


def output_of(result: Any) -> Any:
    """What a net returned; of a tuple the first part.

    >>> output_of(("y", "state")), output_of("y")
    ('y', 'y')
    """
    return result[0] if is_plain_tuple(result) else result
