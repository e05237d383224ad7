"""`cello tune`: trials that are trained, remembered, gone on with, and the best one's model."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from cello.cli import cli
from cello.convert import load_model
from cello.tasks import Characters
from tests.cli.running import run, run_json

WORDS = "--batch-size 2 --tbptt-steps 30 --epochs 1 --accelerator cpu".split()
SEARCH = ("--search", "hidden-size=2..40", "--search", "learning-rate=0.001..0.1:log")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    (folder / "text.txt").write_text("tick tack " * 40)
    words = ["--train", folder / "text.txt", *WORDS, *SEARCH]
    result = run("tune", "chars", *words, "--trials", 2, "-o", folder / "study")
    assert [line.split()[1] for line in result.stderr.splitlines()] == ["1/2", "2/2"]
    assert "best so far" in result.stderr.splitlines()[0]
    assert f"is in {folder / 'study'}" in result.stdout
    return folder


@pytest.fixture
def study(begun: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(begun / "study", tmp_path / "study")
    return tmp_path / "study"


def table(study: Path) -> list[dict[str, str]]:
    with open(study / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_best_model_is_kept(study: Path):
    best, other = table(study)
    assert float(best["bits per character"]) <= float(other["bits per character"])
    net = load_model(study)
    assert best["parameters"] == str(sum(p.numel() for p in net.parameters()))
    assert f"--hidden-size {best['hidden-size']} " in (study / "README.md").read_text()
    assert "load_model('study')" in (study / "README.md").read_text()
    assert (study / "curves.svg").is_file()
    assert run("sample", study, "--prompt", "tick", "--length", 3).stdout


def test_a_study_goes_on_with_the_options_that_it_began_with(study: Path):
    before = {row["trial"]: row for row in table(study)}
    data = run_json("tune", "chars", "--resume", study, "--trials", 3)
    assert sorted(row["trial"] for row in data["trials"]) == ["0", "1", "2"]
    assert before.items() <= {row["trial"]: row for row in table(study)}.items()
    # Nothing is left to do, but the table is shown.
    result = run("tune", "chars", "--resume", study, "--trials", 3)
    assert result.stderr == ""
    assert "the best model, of trial" in result.stdout


def test_what_is_cut_off_goes_on(study: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: None):
    evaluate = Characters.evaluate

    def stop(*args: object, **options: object) -> dict[str, float]:
        monkeypatch.setattr(Characters, "evaluate", evaluate)
        signal.raise_signal(signal.SIGINT)
        return evaluate(*args, **options)

    monkeypatch.setattr(Characters, "evaluate", stop)
    words = ["tune", "chars", "--resume", str(study), "--trials", "3"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 130
    assert (
        "stopped; finished trials (2) are kept, and so is the one that was cut off" in result.stderr
    )
    assert f"to continue: cello tune chars --resume {study}" in result.stderr
    (trial,) = (study / "trials" / "2").iterdir()
    before = json.loads((trial / "options.json").read_text())
    result = run(*words)
    assert "trial 3/3" in result.stderr
    assert sorted(row["trial"] for row in table(study)) == ["0", "1", "2"]
    assert all(row["ended"] == "" for row in table(study))
    assert json.loads((trial / "options.json").read_text()) == before  # it, and no other one


def test_a_trial_that_is_worse_than_others_is_stopped(study: Path, monkeypatch: pytest.MonkeyPatch):
    import optuna

    monkeypatch.setattr(optuna.pruners.MedianPruner, "prune", lambda *args: True)
    result = run("tune", "chars", "--resume", study, "--trials", 3)
    assert "stopped: worse than others" in result.stderr
    assert table(study)[-1]["ended"] == "worse than others"


def test_what_was_tried_is_not_tried_again(begun: Path, tmp_path: Path):
    words = ["--train", begun / "text.txt", *WORDS, "--search", "network=gru,elman"]
    run("tune", "chars", *words, "--hidden-size", 2, "--trials", 5, "-o", tmp_path / "study")
    trained = list((tmp_path / "study" / "trials").glob("*/study/config.json"))
    assert len(trained) <= 2
    assert len(table(tmp_path / "study")) == 5


def test_the_wrong_study(begun: Path, study: Path, tmp_path: Path):
    words = ["tune", "chars", "--train", begun / "text.txt", *WORDS]
    result = run(*words, "-o", study, code=2)
    assert f"{study} holds a study already: --resume {study} goes on with it" in result.stderr
    result = run(*words, "--layers", 2, "--resume", study, code=2)
    assert "was begun with other options: --train" in result.stderr
    assert (
        "searches other options"
        in run("tune", "chars", "--resume", study, "--search", "layers=1..2", code=2).stderr
    )
    result = run("tune", "tag", "--resume", study, code=2)
    assert "is of chars, not of tag" in result.stderr
    assert "there is no study in" in run("tune", "chars", "--resume", tmp_path, code=2).stderr
    assert "Missing option '-o'" in run(*words, code=2).stderr
    (study / "study.log").write_text("{")
    assert "study.log" in run("tune", "chars", "--resume", study, code=2).stderr


def test_an_option_that_is_wrong_ends_the_study(tmp_path: Path):
    words = ["tune", "chars", "--train", tmp_path / "nowhere.txt", *WORDS]
    assert "no such file" in run(*words, "-o", tmp_path / "study", code=2).stderr


def test_a_folder_with_a_run(begun: Path, tmp_path: Path):
    (best, *_) = (begun / "study" / "trials" / "0").iterdir()
    shutil.copytree(best, tmp_path / "model")
    words = ["tune", "chars", "--train", begun / "text.txt", *WORDS, "-o", tmp_path / "model"]
    assert "holds a run of cello train: tune in another folder" in run(*words, code=2).stderr
