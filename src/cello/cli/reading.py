"""Input from a file or, for `-`, from standard input."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cello.errors import ArgumentError, DataError

__all__ = ["input_file"]


@contextmanager
def input_file(file: Path) -> Iterator[Path]:
    """The file itself; for `-` a copy of standard input, which errors and warnings call so."""
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
        with warnings.catch_warnings():
            show = warnings.showwarning

            def show_named(message: Warning | str, *rest: Any, **more: Any) -> None:
                show(_named(message, copy), *rest, **more)

            warnings.showwarning = show_named
            try:
                yield copy
            except (ArgumentError, DataError) as error:
                raise type(error)(_named(error, copy)) from error


def _named(message: object, copy: Path) -> str:
    return str(message).replace(str(copy), "standard input")
