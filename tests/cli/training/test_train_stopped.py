"""A training that stops: Ctrl-C, --resume, output that nobody reads."""

from __future__ import annotations

import csv
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cli.running import ENVIRONMENT, run, run_json
from tests.cli.training.test_train import QUICK, weights
from tests.patience import LIMIT, until

# ------------------------------------------------------------ stopping and going on


def test_a_run_goes_on(text: Path, tmp_path: Path):
    words = ["--train", text, *QUICK, "--tbptt-steps", 10, "--quiet"]
    run("train", "chars", *words, "--epochs", 1, "-o", tmp_path / "a")
    again = run("train", "chars", *words, "--epochs", 2, "-o", tmp_path / "a", code=2)
    assert "holds a run already" in again.stderr
    run("train", "chars", *words, "--epochs", 2, "-o", tmp_path / "a", "--resume")
    run("train", "chars", *words, "--epochs", 2, "-o", tmp_path / "b")
    first, second = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in second)
    other = run("train", "chars", *words, "--seed", 3, "-o", tmp_path / "a", "--resume", code=2)
    assert "--seed is 3, but the run in " in other.stderr
    assert "was begun with 0: leave it out, or train in another folder" in other.stderr


def test_ctrl_c_says_how_to_go_on(text: Path, tmp_path: Path, ctrl_c: None):
    words = ["--train", str(text), *map(str, QUICK), "--tbptt-steps", "10", "--epochs", "1000000"]
    command = [sys.executable, "-m", "cello", "train", "chars", *words, "-o", "model"]
    with subprocess.Popen(
        command, env=ENVIRONMENT, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as running:
        log = tmp_path / "model" / "log" / "metrics.csv"
        until(lambda: log.is_file() or running.poll() is not None)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=LIMIT)
    assert running.returncode == 130
    last = errors.splitlines()[-1]
    assert last.startswith("cello: stopped at step ")
    _, _, told = last.partition("; to continue: ")
    assert shlex.split(told) == ["cello", "train", "chars", "-o", "model", "--resume"]
    assert "Traceback" not in errors


# ------------------------------------------------------------ output that goes away


def epochs_done(model: Path) -> int:
    with open(model / "log" / "metrics.csv", newline="") as file:
        return max(int(row["epoch"] or 0) for row in csv.DictReader(file))


@pytest.fixture
def training(text: Path, tmp_path: Path) -> list[str]:
    words = ["--train", str(text), *map(str, QUICK), "--tbptt-steps", "10", "--epochs", "3"]
    return [sys.executable, "-m", "cello", "train", "chars", *words, "-o", str(tmp_path / "model")]


@pytest.mark.parametrize("redirect", [">&- 2>&- <&-", ">&- 2>/dev/full"])
def test_nowhere_to_print(training: list[str], redirect: str, tmp_path: Path):
    if sys.platform != "linux":
        pytest.skip("the shell and /dev/full of Linux")
    command = f"{shlex.join(training)} {redirect}"
    assert subprocess.run(command, shell=True, env=ENVIRONMENT).returncode == 0
    assert epochs_done(tmp_path / "model") == 3


def test_a_reader_of_progress_that_goes_away(training: list[str], tmp_path: Path):
    with subprocess.Popen(
        training, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("epoch 1/3 ")
        running.stdout.close()
        assert running.wait(timeout=LIMIT) == 0
    assert epochs_done(tmp_path / "model") == 3


def test_files_that_are_no_text_are_named(tmp_path: Path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("tick tack " * 60)
    (tmp_path / "texts" / "latin.txt").write_bytes(b"caf\xe9")
    words = ["--train", tmp_path / "texts", *QUICK, "--epochs", 1, "-o", tmp_path / "model"]
    with pytest.warns(UserWarning, match="passed over 1 file that is not UTF-8 text: latin.txt"):
        run("train", "chars", *words)


def test_with_a_test_text_alone_a_tenth_is_for_validation(text: Path, tmp_path: Path):
    words = ["--train", text, "--test", text, *QUICK, "--tbptt-steps", 10, "--epochs", 1]
    data = run_json("train", "chars", *words, "-o", tmp_path / "model")
    assert set(data["validation"]) == set(data["test"]) != set()
