"""Standard streams that may be closed, full or gone while a program still has work to do."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

__all__ = ["fill_standard_streams", "lasting", "named"]


class _Lasting(io.FileIO):
    """Writes as long as that works; what cannot be written is dropped."""

    first: TextIO

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:  # the reader is gone, the disk is full, the terminal was closed
            return memoryview(data).nbytes


class _Named(io.FileIO):
    """Errors say that it is standard output which cannot be written."""

    first: TextIO

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            raise
        except OSError as error:
            if sys.platform == "win32" and error.errno == errno.EINVAL:
                raise BrokenPipeError(error.errno, error.strerror) from None  # as elsewhere
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
    return _reopened(stream, _Lasting, lines=True)


def named(stream: TextIO) -> TextIO:
    """`stream`, standard output, but errors of writing to it name it; see `lasting`."""
    return _reopened(stream, _Named, lines=stream.isatty())


def _reopened(stream: TextIO, kind: type[_Lasting] | type[_Named], *, lines: bool) -> TextIO:
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # there is no buffer between them under python -u
    if type(raw) is not io.FileIO:
        return stream
    stream.flush()
    reopened = kind(raw.fileno(), "w", closefd=False)
    reopened.first = stream  # which would close the file if nobody held it any more
    return io.TextIOWrapper(
        reopened if raw is buffer else io.BufferedWriter(reopened),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=lines,
        write_through=raw is buffer,
    )
