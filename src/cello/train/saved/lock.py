"""A lock on a folder: one run at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cello.errors import ArgumentError, TrainingError
from cello.files import UNFINISHED, replace

__all__ = ["check_free", "locked"]

#: The lock is the system's own: it ends with the process, however that ends.
_LOCK = "lock"
_OWNER = "owner"

SYSTEM = os.name


def check_free(folder: Path) -> None:
    """Check that no other run works in `folder`, as far as can be told without writing there.

    Raises:
        ArgumentError: another run is at work there.
    """
    from filelock import FileLock, Timeout

    inner = folder / "checkpoint"
    if not (inner / _LOCK).is_file():
        return
    try:
        with FileLock(inner / _LOCK).acquire(timeout=0):
            pass
    except Timeout:
        raise _busy(folder) from None
    except OSError:
        return  # a run cannot write there either, and will say so


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within this, no other run works in `folder`, which is made if need be.

    What a run that was killed has left half written is removed. If nothing comes of this run, what
    has been made here is removed as well.

    Raises:
        ArgumentError: another run is at work there.
        TrainingError: nothing can be written there.
    """
    from filelock import FileLock, Timeout

    inner = folder / "checkpoint"
    made = [path for path in (inner, folder) if not path.exists()]
    try:
        inner.mkdir(parents=True, exist_ok=True)
        lock = FileLock(inner / _LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise _busy(folder) from None
    except OSError as error:
        raise TrainingError(f"cannot write into {folder}: {error}") from error
    try:
        for path in (*folder.glob(UNFINISHED), *inner.glob(UNFINISHED)):
            if path.is_file():
                path.unlink()
        with suppress(OSError):  # a full disk: whoever comes is told less
            replace(inner / _OWNER, f"process {os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        (inner / _OWNER).unlink(missing_ok=True)
        alone = {path.name for path in inner.iterdir()} == {_LOCK}
        if alone and SYSTEM == "nt":  # where no file can be removed that is open
            lock.release()
        if alone:
            (inner / _LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # not empty
            for path in made:
                path.rmdir()


def _busy(folder: Path) -> ArgumentError:
    return ArgumentError(
        f"another run is at work in {folder}{_owner(folder / 'checkpoint')}: wait until it ends, "
        "or train in another folder"
    )


def _owner(inner: Path) -> str:
    try:
        return f" ({(inner / _OWNER).read_text(encoding='utf-8')})"
    except (OSError, UnicodeDecodeError):
        return ""
