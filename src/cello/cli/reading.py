"""Input from a file or, for `-`, from standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cello.errors import DataError

__all__ = ["input_file"]


@contextmanager
def input_file(file: Path) -> Iterator[Path]:
    """The file itself, or one with what comes from standard input, which errors then name."""
    if str(file) != "-":
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "input"
        copy.write_bytes(sys.stdin.buffer.read())
        try:
            yield copy
        except DataError as error:
            raise DataError(str(error).replace(str(copy), "standard input")) from error
