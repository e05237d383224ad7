"""Folders for compiled loops that cannot be used."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cello import files
from cello.engines.cpu.toolchain.cache import CacheWarning
from cello.errors import CompilerError
from tests.engines.cpu.conftest import (
    forget,
)
from tests.engines.cpu.toolchain.test_build import NOBODY, WHOLE, answer, kept, posix

# ------------------------------------------------------------ folders that cannot be used


def test_a_folder_that_cannot_be_made(folder: Path):
    folder.write_text("a file in its place")
    with pytest.warns(CacheWarning, match=rf"not kept in the cache folder {folder}: .*exists"):
        assert answer(13) == 13
    assert answer(14) == 14  # warned once: here a warning would be an error
    assert answer(13) == 13
    (private,) = Path(tempfile.gettempdir()).iterdir()
    assert private.stat().st_mode & 0o077 == 0
    assert kept(private) == sorted([*WHOLE, *WHOLE[:3]])
    shutil.rmtree(private)  # as the process that made it does when it ends before one it forked
    assert answer(27) == 27


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_used(
    mode: int, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    assert answer(15) == 15
    before = kept(folder)
    folder.chmod(mode)
    forget(monkeypatch)
    with pytest.warns(CacheWarning, match="others can write to it .mend it with chmod go-w."):
        assert answer(15) == 15
    assert answer(16) == 16
    assert kept(folder) == before


@posix
def test_a_folder_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch):
    if os.geteuid() == 0:
        assert answer(17) == 17
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    else:
        folder = Path(os.path.abspath(os.sep))
        monkeypatch.setenv("CELLO_CACHE", str(folder))
    forget(monkeypatch)
    with pytest.warns(CacheWarning, match="it belongs to another user .number"):
        assert answer(17) == 17


@posix
def test_a_folder_that_can_only_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """What is in it is used; what has to be built goes elsewhere, with one warning."""
    assert answer(18) == 18
    before = kept(folder)
    folder.chmod(0o500)
    if os.geteuid() == 0:  # whom no permission stops
        monkeypatch.setattr(files, "replace", careful_replace(folder))
    forget(monkeypatch)
    assert answer(18) == 18
    with pytest.warns(CacheWarning, match="Permission denied"):
        assert answer(19) == 19
    assert [answer(number) for number in (20, 18, 19)] == [20, 18, 19]
    folder.chmod(0o700)
    assert kept(folder) == before


def careful_replace(folder: Path) -> Callable[..., None]:
    """Write files as a user would who is not allowed to write to this folder."""
    replace = files.replace

    def careful(path: Path, data: bytes, **options: bool) -> None:
        if path.parent == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        replace(path, data, **options)

    return careful


def test_a_folder_whose_files_may_not_be_run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    load = ctypes.CDLL

    def careful(path: str) -> ctypes.CDLL:
        if path.startswith(str(folder)):
            raise OSError("failed to map segment from shared object: Operation not permitted")
        return load(path)

    monkeypatch.setattr(ctypes, "CDLL", careful)
    with pytest.warns(CacheWarning, match="Operation not permitted"):
        assert answer(21) == 21


def test_nothing_can_be_kept_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, data: bytes, **options: bool) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files, "replace", full)
    with (
        pytest.warns(CacheWarning, match="no space left"),
        pytest.raises(CompilerError, match="can be kept or loaded nowhere: no space left"),
    ):
        answer(22)


def test_there_is_no_folder_for_temporary_files(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def nowhere(**_: object) -> str:
        raise FileNotFoundError("no usable temporary directory found")

    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    folder.write_text("a file in its place")
    with (
        pytest.warns(CacheWarning, match="exists"),
        pytest.raises(CompilerError, match="nowhere: there is no folder for temporary files"),
    ):
        answer(28)
