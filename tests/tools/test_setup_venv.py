"""The setup: done once, repaired after being cut off, never silent about a failure."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "tools" / "setup_venv.py"


class Bench:
    """The script in a project of its own, with its commands written down instead of run."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.commands, self.fail = root, [], None
        spec = importlib.util.spec_from_file_location("setup_venv", FILE)
        self.script: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.script)
        inputs = [root / "pyproject.toml", root / "requirements-dev.txt"]
        for path in inputs:
            path.write_text("", encoding="utf-8")
        self.pip_works = False
        self.real_run = self.script.run
        monkeypatch.setattr(self.script, "ROOT", root)
        monkeypatch.setattr(self.script, "INPUTS", inputs)
        monkeypatch.setattr(self.script, "run", self.run)
        monkeypatch.setattr(self.script, "works", lambda python: self.pip_works)
        (root / ".venv").mkdir()
        self.done = root / ".venv" / ".setup-done"
        self.lock = root / ".venv.lock"

    def run(self, command, lock, log=None) -> None:
        self.commands.append("venv" if "venv" in command else "pip")
        if self.fail is not None and self.commands[-1] == "pip":
            raise self.fail

    def setup(self) -> list[str]:
        self.commands.clear()
        self.script.main(".venv")
        return self.commands


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_new_environment_is_made_and_filled_once(bench: Bench):
    assert bench.setup() == ["venv", "pip"]
    assert bench.done.exists()
    assert bench.lock.read_text() == ""
    assert bench.setup() == []


def test_an_environment_that_works_is_only_filled(bench: Bench):
    bench.pip_works = True
    assert bench.setup() == ["pip"]


def test_new_pins_fill_it_again(bench: Bench):
    bench.setup()
    bench.pip_works = True
    later = bench.done.stat().st_mtime + 10
    os.utime(bench.root / "requirements-dev.txt", (later, later))
    assert bench.setup() == ["pip"]


@pytest.mark.parametrize("how", [KeyboardInterrupt, None])
def test_after_being_cut_off_it_starts_anew(bench: Bench, how: type[BaseException] | None):
    if how:
        bench.fail = how()
        with pytest.raises(SystemExit, match="cut off"):
            bench.setup()
    else:  # killed: nothing could be tidied up
        bench.lock.write_text("unfinished")
    assert bench.lock.read_text() == "unfinished"
    assert not bench.done.exists()
    bench.fail, bench.pip_works = None, True
    assert bench.setup() == ["venv", "pip"]


def test_a_failure_is_told_and_what_works_is_kept(bench: Bench):
    bench.fail, bench.pip_works = SystemExit("error: no such version"), True
    with pytest.raises(SystemExit, match="no such version"):
        bench.setup()
    assert not bench.done.exists()
    bench.fail = None
    assert bench.setup() == ["pip"]


def test_only_one_runs_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys):
    with bench.lock.open("a+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        real = fcntl.flock

        def flock(file, how: int) -> None:
            if not how & fcntl.LOCK_NB:  # the other one ends, its work done
                bench.done.write_text("")
                real(other, fcntl.LOCK_UN)
            real(file, how)

        monkeypatch.setattr(fcntl, "flock", flock)
        assert bench.setup() == []
    assert capsys.readouterr().out == "Waiting for another setup to end\n"


def test_a_command_that_fails_shows_all_that_it_said(bench: Bench, capfd):
    code = "import sys; print('Downloading x'); print('the reason'); sys.exit(3)"
    with (
        bench.lock.open("a+") as lock,
        pytest.raises(SystemExit, match="error: the setup failed at: "),
    ):
        bench.real_run([sys.executable, "-c", code], lock)
    printed = capfd.readouterr()
    assert printed.out == "  Downloading x\n"
    assert "the reason" in printed.err


def test_an_old_python_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    monkeypatch.setattr(sys, "version", "3.10.4 (main)")
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, this is 3\.10\.4"):
        bench.setup()
