from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
import torch

from cello import files
from cello.sealed import own_memory
from tests.durable import inode, on_disk


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "data"
    files.replace(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*data'"):
        files.replace(path, b"new")
    with pytest.raises(OSError, match=r"No space left on device: .*first'"):
        files.replace_all({tmp_path / "first": b"1", path: b"new"})
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]

    monkeypatch.undo()
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"


def test_files_that_belong_together_are_all_there_or_none(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "old").write_text("old")
    with pytest.raises(OSError, match=r"folder'$"):
        files.replace_all({tmp_path / name: b"new" for name in ("first", "folder", "old")})
    assert {entry.name for entry in tmp_path.iterdir()} == {"folder", "old"}
    assert (tmp_path / "old").read_text() == "old"
    files.replace_all({tmp_path / name: b"new" for name in ("first", "old")})
    assert [(tmp_path / name).read_text() for name in ("first", "old")] == ["new", "new"]


def test_what_has_no_name_is_a_folder():
    for path in (Path(), Path("/")):
        with pytest.raises(IsADirectoryError):
            files.replace(path, b"new")


def test_it_is_on_the_disk_before_its_name_is(tmp_path: Path):
    with on_disk() as done:
        files.replace(tmp_path / "data", b"new")
        files.replace(tmp_path / "made again", b"new", forced=False)
    assert done == [inode(tmp_path / "data"), "renamed", inode(tmp_path), "renamed"]


def test_an_error_names_the_file_as_it_was_called(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as missing:
        files.replace(tmp_path / "no folder" / "data", b"new")
    assert missing.value.filename == str(tmp_path / "no folder" / "data")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"folder'$"):
        files.replace(tmp_path / "folder", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_tensors_get_memory_of_their_own():
    whole = torch.arange(6.0)
    made = own_memory({"a": whole, "same": whole, "part": whole[2:4], "t": whole.view(2, 3).t()})
    assert len({t.untyped_storage().data_ptr() for t in made.values()}) == 4
    assert all(t.is_contiguous() for t in made.values())
    assert made["part"].untyped_storage().nbytes() == made["part"].nbytes
    assert made["t"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_part_alone_does_not_keep_the_whole():
    part = own_memory({"part": torch.arange(6.0)[2:4]})["part"]
    assert part.untyped_storage().nbytes() == part.nbytes


@pytest.mark.parametrize("times", [3, 100])
def test_on_windows_a_file_that_is_being_read_is_replaced_a_little_later(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    replace, waited = os.replace, []

    def busy(old: Path, new: Path) -> None:
        if len(waited) < times:
            raise PermissionError(errno.EACCES, "Access is denied", str(old))
        replace(old, new)

    (tmp_path / "old").write_text("text")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", busy)
        patch.setattr(time, "sleep", waited.append)
        with pytest.raises(PermissionError):
            files.rename(tmp_path / "old", tmp_path / "new")
        assert waited == []
        patch.setattr(files.os, "name", "nt")
        if times == 100:
            with pytest.raises(PermissionError):
                files.rename(tmp_path / "old", tmp_path / "new")
            assert sum(waited) == pytest.approx(1)
            return
        files.rename(tmp_path / "old", tmp_path / "new")
    assert len(waited) == times
    assert (tmp_path / "new").read_text() == "text"
