"""Texts of a page in one language or in several, of which the page shows that of its reader."""

from __future__ import annotations

from collections.abc import Mapping

from cello.errors import ArgumentError

__all__ = ["LANGUAGES", "Worded", "check_worded", "in_english"]

#: The languages of the page.
LANGUAGES = ("en", "zh")

#: A text for all, or one for each language.
Worded = str | Mapping[str, str]


def check_worded(what: str, text: object) -> None:
    """Check a text that somebody has given.

    Raises:
        ArgumentError: it is neither a string nor strings by language.
    """
    if isinstance(text, str):
        return
    if not (
        isinstance(text, Mapping)
        and text
        and all(name in LANGUAGES and isinstance(own, str) for name, own in text.items())
    ):
        raise ArgumentError(
            f"{what} must be a string, or strings by language ({', '.join(LANGUAGES)}), "
            f"got {text!r}"
        )


def in_english(text: Worded) -> str:
    """The text where only one can stand.

    >>> in_english({"zh": "记忆", "en": "memory"}), in_english("h")
    ('memory', 'h')
    """
    return text if isinstance(text, str) else text.get("en", next(iter(text.values())))
