"""Two processes on one machine give what one gives, and can be stopped and resumed."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.patience import LIMIT
from tests.train.fakes import ROOT, process_environment
from tests.train.two_processes import train, train_real


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("two")
    environment = process_environment()
    for name in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    result = subprocess.run(
        [sys.executable, "-m", "tests.train.two_processes", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=LIMIT,
    )
    assert result.returncode == 0, result.stderr
    return folder, load_file(folder / "results.safetensors"), result


def losses(folder: Path) -> tuple[list[str], list[float]]:
    """Steps and losses of the rows of a log."""
    with open(folder / "log" / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    return [row["step"] for row in rows], [float(row["loss"]) for row in rows]


def test_two_processes_give_the_weights_of_one(run, tmp_path: Path):
    folder, two, _ = run
    one = train(tmp_path, 0.0, accelerator="cpu")
    difference = (two["plain.last"] - one["last"]).abs().max().item()
    print(f"largest difference of a weight after 24 steps: {difference:.1e}")
    assert difference < 1e-14
    assert (two["plain.best"] - one["best"]).abs().max() < 1e-14
    assert two["plain.history"].tolist() == pytest.approx(one["history"], rel=1e-12)
    steps, means = losses(tmp_path)
    assert steps == ["4", "8", "12", "16", "20", "24"]
    assert losses(folder / "plain") == (steps, pytest.approx(means, rel=1e-12))


@pytest.mark.parametrize("name", ["chars", "tag"])
def test_so_it_is_with_carried_state_and_with_rows_of_different_lengths(run, tmp_path, name: str):
    _, two, _ = run
    one = train_real(name, tmp_path, accelerator="cpu")
    difference = (two[f"{name}.best"] - one["best"]).abs().max().item()
    print(f"largest difference of a weight: {difference:.1e}")
    assert difference < 1e-14
    assert two[f"{name}.history"].tolist() == pytest.approx(one["history"], rel=1e-12)


def test_stopped_and_resumed_they_give_the_same_bits(run):
    _, results, _ = run
    for name in ("last", "best", "history"):
        assert torch.equal(results[f"parts.{name}"], results[f"whole.{name}"])
    assert not torch.equal(results["whole.last"], results["plain.last"])  # dropout


def test_both_stop_at_the_same_step(run):
    *_, result = run
    # Ctrl-C came to the first of them after step 13; once in ten steps they agree.
    lines = sorted(result.stderr.splitlines())
    expected = [f"rank {rank}: stopped at step 20 (epoch 3); the checkpoint" for rank in (0, 1)]
    assert [line[: len(expected[0])] for line in lines] == expected


def test_nothing_else_is_printed(run):
    *_, result = run
    assert result.stdout == ""


def test_stopped_and_resumed_they_log_the_same(run):
    folder, _, _ = run
    assert losses(folder / "parts") == losses(folder / "whole")
