import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from cello.errors import ArgumentError, TrainingError
from cello.train import Event, Options, fit
from cello.train.saved.lock import locked
from tests.train.fakes import ROOT, FakeTask, make_net, process_environment

OPTIONS = Options(epochs=1, accelerator="cpu", log=())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_runs_in_one_folder(tmp_path: Path):
    messages = []

    def another(event: Event) -> None:
        if event.kind == "step" and event.step == 2:
            for resume in (False, True):
                with pytest.raises(ArgumentError) as caught:
                    fit(FakeTask(), make_net(), OPTIONS, tmp_path, resume=resume, progress=False)
                messages.append(str(caught.value))

    fit(FakeTask(), make_net(), OPTIONS, tmp_path, progress=False, on_event=another)
    owner = f"(process {os.getpid()} on {platform.node()})"
    at_work = f"another run is at work in {tmp_path} {owner}: wait until it ends, or train in "
    assert messages == [f"{at_work}another folder"] * 2
    with pytest.raises(ArgumentError, match="holds a run already"):
        fit(FakeTask(), make_net(), OPTIONS, tmp_path, progress=False)
    fit(FakeTask(), make_net(), OPTIONS, tmp_path, resume=True, progress=False)


def test_a_folder_without_a_checkpoint_yet(tmp_path: Path):
    with locked(tmp_path), pytest.raises(ArgumentError, match=r"^another run is at work in "):
        fit(FakeTask(), make_net(), OPTIONS, tmp_path, progress=False)


WAITING = """
import sys, time
from pathlib import Path
from cello.train.saved.lock import locked
with locked(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_run_that_was_killed_holds_nothing(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=process_environment(),
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(ArgumentError, match=rf"\(process {other.pid} on "), locked(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    (tmp_path / "checkpoint" / ".x.unfinished-1").write_text("half")
    with locked(tmp_path):
        assert names(tmp_path / "checkpoint") == ["lock", "owner"]


def test_where_nothing_comes_of_a_run_nothing_is_left(tmp_path: Path):
    with locked(tmp_path / "deep" / "model"):
        pass
    assert names(tmp_path / "deep") == []
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert names(tmp_path / "mine") == []


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(TrainingError, match=r"^cannot write into .*model: "),
        locked(tmp_path / "file" / "model"),
    ):
        pass


def test_where_a_file_that_is_open_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As on Windows: the lock goes once nobody holds it."""
    held, unlink = [], Path.unlink

    def careful(path: Path, missing_ok: bool = False) -> None:
        if path.name == "lock" and held[0].is_locked:
            raise PermissionError(13, "The process cannot access the file", str(path))
        unlink(path, missing_ok)

    class Lock(filelock.FileLock):
        def acquire(self, *args: object, **options: object) -> object:
            held[:] = [self]
            return super().acquire(*args, **options)

    monkeypatch.setattr(filelock, "FileLock", Lock)
    monkeypatch.setattr(Path, "unlink", careful)
    monkeypatch.setattr("cello.train.saved.lock.SYSTEM", "nt")
    with locked(tmp_path / "run"):
        assert names(tmp_path / "run" / "checkpoint") == ["lock", "owner"]
    assert not (tmp_path / "run").exists()
