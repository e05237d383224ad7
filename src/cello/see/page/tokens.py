"""Tokens for a page: plain text, short enough to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from cello.errors import DtypeError
from cello.see.recording.recorded import Recorded

__all__ = ["sequences_of", "shortened"]

_LONGEST = 80  # characters of a token


def shortened(tokens: Sequence[str]) -> list[str] | str:
    """The tokens, long ones cut; as one string if each is one character.

    Half a surrogate pair, which is not a character of Unicode, is replaced.

    >>> shortened(["d", "e", "f"]), shortened(["to", "be"])
    ('def', ['to', 'be'])
    """
    cut = [
        token if len(token) <= _LONGEST else f"{token[: _LONGEST - 1]}…"
        for token in map(str, tokens)
    ]
    plain = [token.encode("utf-8", "replace").decode() for token in cut]
    return "".join(plain) if all(len(token) == 1 for token in plain) else plain


def sequences_of(
    tokens: Sequence[str] | Sequence[Sequence[str] | None],
    recording: Recorded,
    argument: str = "tokens",
) -> list[Sequence[str] | None]:
    """The tokens of each sequence; those of a single sequence may stand for themselves.

    Raises:
        DtypeError: they are neither; names the argument.
    """
    count = max(layer.steps.batch_size for layer in recording.by_layer.values())
    if isinstance(tokens, str):
        return [tokens]
    if not all(part is None or isinstance(part, (str, Sequence)) for part in tokens):
        kinds = ", ".join(sorted({type(part).__name__ for part in tokens}))
        raise DtypeError(
            f"{argument} must be strings, or for each sequence a list of them, got {kinds}"
        )
    if count == 1 and not (len(tokens) == 1 and not isinstance(tokens[0], str)):
        return [cast(Sequence[str], tokens)]
    return list(tokens)
