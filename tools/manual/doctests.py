"""For the manual's reference: docstrings, which are plain text with examples, as Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

QUOTED = re.compile(r'"[^"\n]*\*[^"\n]*"')
EXAMPLE = re.compile(r"(?:^>>>.*\n?(?:(?!>>>|\n).+\n?)*)+", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts fences around the lines from ``>>>`` to the next empty one; "*" is a star in quotes."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Called by Griffe for all that it has read."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """The text of a docstring as Markdown."""
    made, end = "", 0
    for example in EXAMPLE.finditer(text):
        fenced = f"\n```pycon\n{example[0].rstrip()}\n```\n"
        made += with_stars(text[end : example.start()]) + fenced
        end = example.end()
    return made + with_stars(text[end:])


def with_stars(text: str) -> str:
    """Text in which a star within quotes stays one, and two colons before a block are one."""
    text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
    return QUOTED.sub(lambda quoted: quoted[0].replace("*", r"\*"), text)
