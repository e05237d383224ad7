"""A builder that has found and loaded nothing yet, and compilers that do as they are told."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import until

builder: Any = importlib.import_module("cello.engines.cpu.toolchain.build")
cache: Any = importlib.import_module("cello.engines.cpu.toolchain.cache")


@pytest.fixture(scope="session")
def real_compiler(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The call of a C compiler that works; there is one, for `ziglang` belongs to the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELLO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return shlex.join(builder.compiler().command)


@pytest.fixture
def folder(tmp_path: Path, real_compiler: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, not yet made, of a process that has built nothing yet."""
    forget(monkeypatch)
    monkeypatch.setenv("CC", real_compiler)
    monkeypatch.setenv("CELLO_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "temporary"
    work.mkdir()
    monkeypatch.setenv("TMPDIR", str(work))
    monkeypatch.setattr(tempfile, "tempdir", None)  # what tempfile remembers of $TMPDIR
    return tmp_path / "cache"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had just begun."""
    monkeypatch.setattr(builder, "_chosen", {})
    monkeypatch.setattr(builder, "_loaded", {})
    monkeypatch.setattr(cache, "_warned", set())
    monkeypatch.setattr(cache, "_private", [])


def executable(path: Path, script: str) -> Path:
    """A shell script that can be called."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def counting(path: Path, real_compiler: str) -> Callable[[], int]:
    """Make a compiler at `path` that works; the function tells how often it was called."""
    log = path.with_suffix(".log")
    executable(path, f'echo called >> {shlex.quote(str(log))}\nexec {real_compiler} "$@"')
    return lambda: len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def interrupted(ctrl_c: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file: when a compiler has written it, and while it is at work, the user presses Ctrl-C."""
    begun = tmp_path / "begun"
    wait = subprocess.Popen.communicate

    def communicate(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        until(lambda: begun.exists() or process.poll() is not None)
        if begun.exists():
            signal.raise_signal(signal.SIGINT)
        return wait(process)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    return begun


def in_fork(function: Callable[[], object]) -> str:
    """What the function returns, or the error it raises, as text, in a forked process."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads; the child takes no lock
        child = os.fork()
    if child == 0:
        try:
            text = str(function())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text
