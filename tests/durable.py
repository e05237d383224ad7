"""What is forced to the disk, and when names change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def inode(path: Path) -> int:
    """The number of a file or folder, whatever it is called."""
    return path.stat().st_ino


@contextmanager
def on_disk() -> Iterator[list[Any]]:
    """In order: the inode of each file and folder that is forced to the disk, and "renamed"."""
    done: list[Any] = []

    def noted(real: Any, note: Any) -> Any:
        def call(*arguments: Any) -> Any:
            result = real(*arguments)
            done.append(note(*arguments))
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", noted(os.fsync, lambda handle: os.fstat(handle).st_ino))
        for name in ("rename", "replace"):
            patch.setattr(os, name, noted(getattr(os, name), lambda *_: "renamed"))
        yield done
