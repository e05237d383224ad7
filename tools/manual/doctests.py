"""For the manual's reference: examples in docstrings are code, whatever stands above them."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^>>>.*\n?(?:(?!>>>|\n).+\n?)*)+", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts fences around the lines from ``>>>`` to the next empty one."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Called by Griffe for all that it has read."""
        if obj.docstring and ">>>" in obj.docstring.value:
            obj.docstring.value = EXAMPLE.sub(
                lambda example: f"```pycon\n{example[0].rstrip()}\n```\n", obj.docstring.value
            )
