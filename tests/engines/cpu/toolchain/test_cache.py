from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from cello.engines.cpu.toolchain import cache
from cello.engines.cpu.toolchain.compiler import Compiler

COMPILER = Compiler(("cc",), "from a test", "size and time")

# ------------------------------------------------------------ where


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CELLO_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_folder_that_the_user_names(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    monkeypatch.setenv("CELLO_CACHE", str(home / "named"))
    assert cache.cache_folder() == home / "named"
    monkeypatch.setenv("CELLO_CACHE", "~/named")
    assert cache.cache_folder() == home / "named"
    monkeypatch.chdir(home)
    monkeypatch.setenv("CELLO_CACHE", "here")
    assert cache.cache_folder() == home / "here"


def test_the_folder_of_the_platform(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.cache_folder() == home / ".cache" / "cello"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache.cache_folder() == home / "xdg" / "cello"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache.cache_folder() == home / ".cache" / "cello"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.cache_folder() == home / "Library" / "Caches" / "cello"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(home / "local"))
    assert cache.cache_folder() == home / "local" / "cello" / "cache"


def test_the_folder_of_a_user_without_a_home(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache.cache_folder().parent == Path(tempfile.gettempdir())
    assert list(home.iterdir()) == []


# ------------------------------------------------------------ names


def test_an_entry_is_named_by_all_that_made_it(monkeypatch: pytest.MonkeyPatch):
    names = [
        cache.entry_name("lstm", "source", COMPILER),
        cache.entry_name("gru", "source", COMPILER),
        cache.entry_name("lstm", "another source", COMPILER),
        cache.entry_name("lstm", "source", Compiler(("cc",), "from a test", "exchanged")),
    ]
    monkeypatch.setattr(cache, "_processor", lambda: "another processor")
    names.append(cache.entry_name("lstm", "source", COMPILER))
    names.append(cache.entry_name("lstm", "source", replace(COMPILER, flags=("-O0",))))
    digests = [name.rpartition("-")[2] for name in names]
    assert [name.rpartition("-")[0] for name in names] == ["lstm", "gru", *["lstm"] * 4]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


@pytest.mark.parametrize("name", ["../Über/Cell", "a b\nc", "x" * 500, ""])
def test_an_entry_is_a_file_name_whatever_the_cell_is_called(name: str, tmp_path: Path):
    entry = cache.entry_name(name, "source", COMPILER)
    path = tmp_path / f"{entry}.c"
    path.touch()
    assert path.parent.samefile(tmp_path)
    assert entry.isascii()
    assert " " not in entry


def test_the_processor_is_known_by_what_it_can_do():
    lines = Path("/proc/cpuinfo")
    if lines.exists():
        described = lines.read_text().partition("\n\n")[0]
        able = [line for line in described.splitlines() if line[:8] in ("flags\t\t:", "Features")]
        for line in able:
            assert line.partition(":")[2].strip() in cache._processor()
    assert cache._processor().partition("\n")[0] == os.uname().machine


# ------------------------------------------------------------ what may be trusted


def test_what_is_stored_is_found(tmp_path: Path):
    assert cache.find(tmp_path, "entry") is None
    library = cache.store(tmp_path, "entry", b"content", COMPILER)
    assert library.read_bytes() == b"content"
    assert cache.find(tmp_path, "entry") == library


@pytest.mark.parametrize("suffix", [".so", ".json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"[1, 2]"),
        lambda path: path.write_bytes(b"\xff" * 7),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["truncated", "emptied", "replaced", "noise", "gone", "folder"],
)
def test_what_is_damaged_is_not_found(suffix: str, damage, tmp_path: Path):
    library = cache.store(tmp_path, "entry", b"content", COMPILER)
    damage(library.with_suffix(suffix))
    assert cache.find(tmp_path, "entry") is None


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_what_others_may_have_written_is_not_found(mode: int, tmp_path: Path):
    library = cache.store(tmp_path, "entry", b"content", COMPILER)
    library.chmod(mode)
    assert cache.find(tmp_path, "entry") is None


def test_what_is_stored_is_the_users_alone_whatever_is_usual(tmp_path: Path):
    usual = os.umask(0)
    try:
        cache.store(tmp_path, "entry", b"content", COMPILER)
    finally:
        os.umask(usual)
    assert cache.find(tmp_path, "entry") is not None
