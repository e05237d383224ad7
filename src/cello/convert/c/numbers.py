"""Numbers as constants of a C file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cello.engines.cpu.c.expressions import scalar

__all__ = ["Numbers", "comment"]

_LINE = 100


def comment(text: str) -> str:
    """What may stand in a comment of C."""
    return re.sub(r"[^A-Za-z0-9_.,:()\[\] -]", "?", text)


@dataclass
class Numbers:
    """The constant arrays of a file; equal ones stand there once.

    Attributes:
        suffix: of a number, "f" for a float.
        definitions: the arrays in C.
        size: bytes of all of them.
    """

    suffix: str
    definitions: list[str] = field(default_factory=list)
    size: int = 0
    _known: dict[tuple[str, bytes], str] = field(default_factory=dict)

    def put(self, values: NDArray[Any], what: str) -> str:
        """The name of an array of these numbers, int8 or floats that are read back exactly."""
        values = np.ascontiguousarray(values).reshape(-1)
        kind = "int8_t" if values.dtype == np.int8 else "real"
        key = (kind, values.tobytes())
        if key not in self._known:
            self._known[key] = name = f"W{len(self._known)}"
            self.size += values.nbytes
            words = [_word(v, self.suffix) for v in values]
            lines, line = [], "   "
            for word in words:
                if len(line) + len(word) + 2 > _LINE:
                    lines.append(line)
                    line = "   "
                line += f" {word},"
            text = "\n".join([*lines, line])
            self.definitions.append(
                f"/* {comment(what)} */\n"
                f"static const {kind} {name}[{len(values)}] = {{\n{text}\n}};"
            )
        return self._known[key]


def _word(value: Any, suffix: str) -> str:
    if isinstance(value, np.integer):
        return str(value)
    if np.isfinite(value):
        return f"{value!s}{suffix}"  # the shortest decimal that is read as this very number
    return scalar(float(value))
