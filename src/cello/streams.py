"""Standard streams that may be closed, full or gone while a program still has work to do."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

__all__ = ["fill_standard_streams", "lasting", "named"]


class _Lasting(io.FileIO):
    """Writes as long as that works; what cannot be written any more is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:  # the reader is gone, the disk is full, the terminal was closed
            return memoryview(data).nbytes


class _Named(io.FileIO):
    """Errors say that it is standard output which cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = f"standard output cannot be written: {error.strerror}"
            raise OSError(error.errno, reason) from None


def fill_standard_streams() -> None:
    """Put the null device in the place of standard streams that were closed.

    Else the next file that is opened gets the number of the closed one, and whatever writes to
    standard error writes into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def lasting(stream: TextIO) -> TextIO:
    r"""`stream`, but writing to it never fails: for progress, and for errors.

    A stream that is no plain file, such as a notebook's, is returned as it is.

    >>> import tempfile
    >>> with tempfile.TemporaryFile("w+") as file:
    ...     print("on it goes", file=lasting(file))
    ...     _ = file.seek(0)
    ...     file.read()
    'on it goes\n'
    """
    return _reopened(stream, _Lasting, line_buffering=True)


def named(stream: TextIO) -> TextIO:
    """Standard output, whose errors then say so; else as `lasting`."""
    return _reopened(stream, _Named, line_buffering=stream.isatty())


def _reopened(stream: TextIO, kind: type[io.FileIO], *, line_buffering: bool) -> TextIO:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if type(raw) is not io.FileIO:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(kind(raw.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        newline=None,
        line_buffering=line_buffering,
    )
