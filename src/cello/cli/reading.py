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
    data = sys.stdin.buffer.read()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "input"
        try:
            copy.write_bytes(data)
        except OSError as error:
            raise DataError(
                f"standard input is kept in a temporary file, and {tempfile.gettempdir()} cannot "
                f"take it: {error.strerror}; set TMPDIR to a folder with room, or give a file"
            ) from error
        try:
            yield copy
        except DataError as error:
            raise DataError(str(error).replace(str(copy), "standard input")) from error
