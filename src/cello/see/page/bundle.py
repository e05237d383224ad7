"""The front end as one script: its modules one after the other, each after those that it needs.

In `app/` an import is one line that names a file next to it, every top-level name is there once,
and nothing is renamed; so joining the modules is leaving out those lines and the word `export`. The
colours that plots and terminals share come before them, as `NUMBER_COLOURS`.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources

from cello.see.colours import ENDS, MISSING

__all__ = ["script", "style"]

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def _read(name: str) -> str:
    return (resources.files("cello.see.page") / "app" / name).read_text(encoding="utf-8")


@cache
def script(entry: str) -> str:
    """The module `entry` with all that it imports, as one piece of JavaScript.

    >>> "import" in script("colours"), "export" in script("colours")
    (False, False)
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in parts:
            text = _read(f"{name}.js")
            for needed in _IMPORT.findall(text):
                add(needed)
            parts[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(entry)
    colours = json.dumps({"ends": ENDS, "missing": MISSING})
    return "\n".join([f"const NUMBER_COLOURS = {colours};", *parts.values()])


@cache
def style() -> str:
    """The style sheet."""
    return _read("page.css")
