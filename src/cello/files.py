"""Files that are whole or not there: written under another name, forced to the disk, renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = [
    "UNFINISHED", "rename", "replace", "replace_all", "seal", "sync_folder", "unfinished", "write",
]  # fmt: skip

#: The names of files that are being written, or were when a process was killed.
UNFINISHED = ".*.unfinished-*"


def unfinished(path: Path) -> Path:
    """Another name in the same folder, which nobody else uses, for `path` while it is written.

    Raises:
        IsADirectoryError: `path` has no name, as "." and "/", which are folders.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Not the process's number: on a shared disk, processes of two machines may have the same.
    return path.with_name(f".{path.name}.unfinished-{secrets.token_hex(8)}")


def write(path: Path, data: bytes, *, forced: bool = True) -> None:
    """Write a file and force it to the disk; what was begun and failed is removed."""
    try:
        with open(path, "wb") as file:
            file.write(data)
            if forced:
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def replace(path: Path, data: bytes, *, forced: bool = True) -> None:
    """Write a file whole: whoever reads `path` finds the old one or the new one, never a part.

    Args:
        path: of the file.
        data: what it holds from now on.
        forced: to the disk, so that this outlasts a power cut. Without, after one, a part may stand
            there: for what has a seal and can be made again.

    Raises:
        OSError: it cannot be written, such as FileNotFoundError where its folder is missing.
    """
    replace_all({path: data}, forced=forced)


def replace_all(files: Mapping[Path, bytes], *, forced: bool = True) -> None:
    """As `replace`, of files that belong together: none is renamed before all are written.

    Raises:
        OSError: one cannot be written; those that were not there before are not there after.
    """
    others = {path: unfinished(path) for path in files}
    new = [path for path in files if not path.exists()]
    try:
        for path, data in files.items():
            write(others[path], data, forced=forced)
        for path, other in others.items():
            rename(other, path)
    except BaseException as error:
        for left in (*others.values(), *new):
            with suppress(OSError):
                left.unlink()
        if not isinstance(error, OSError) or error.errno is None:
            raise
        if error.filename in (None, str(others[path])):
            raise OSError(error.errno, error.strerror, str(path)) from error  # as it was called
        raise
    for folder in {path.parent for path in files} if forced else ():
        sync_folder(folder)


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another name, in the place of a file of that name.

    On Windows, whoever reads either of them, if only to look for viruses, keeps that from
    happening: it is tried again for a second.

    Raises:
        OSError: it cannot be done.
    """
    for wait in (*(0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.3) * (os.name == "nt"), None):
        try:
            os.replace(old, new)
            return
        except PermissionError:
            if wait is None:
                raise
            time.sleep(wait)


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to the disk, where the system knows how to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def seal(data: bytes) -> dict[str, Any]:
    """What tells whether these bytes are read back as they were written.

    >>> seal(b"")["bytes"]
    0
    """
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
