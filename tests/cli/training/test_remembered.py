"""`cello train … --resume` knows the options from the folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cello.cli import cli
from cello.cli.training.chars import command
from cello.train import Options
from cello.train.saved.lock import locked
from tests.cli.running import run, run_json

TEXT = "tick tack " * 60


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of one epoch, begun in another folder with options of every kind."""
    (tmp_path / "text.txt").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    run(
        "train", "chars", "--train", "text.txt", "--network", "gru", "--hidden-size", 4,
        "--batch-size", 2, "--tbptt-steps", 10, "--epochs", 1, "--clip-norm", "none", "--dropout",
        0.1, "--log", "csv", "--accelerator", "cpu", "--quiet", "-o", "model",
    )  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Path("../model")


#: What else a run of characters goes by.
EVERY = {
    "min_count": 2,
    "max_size": None,
    "layers": 1,
    "learning_rate": 5e-3,
    "weight_decay": 0.01,
    "schedule": "constant",
    "warmup_steps": 0,
    "patience": None,
    "seed": 0,
    "checkpoint_steps": None,
    "checkpoint_seconds": 60.0,
    "log_every": 20,
    "devices": 1,
    "nodes": 1,
    "strategy": "auto",
    "precision": None,
}


def kept(model: Path) -> dict:
    return json.loads((model / "options.json").read_text())["options"]


def test_only_the_folder_is_needed(model: Path, tmp_path: Path):
    asked = {
        "train": [str(tmp_path / "text.txt")],
        "batch_size": 2,
        "tbptt_steps": 10,
        "kind": "gru",
        "hidden_size": 4,
        "dropout": 0.1,
        "epochs": 1,
        "clip_norm": None,
        "log": ["csv"],
        "accelerator": "cpu",
    }
    assert kept(model) == EVERY | asked
    result = run("train", "chars", "--resume", "-o", model, "--quiet")
    assert result.stderr == (
        "cello: there was nothing to do: the run in ../model has finished all its epochs (1); to "
        "continue, ask for more: cello train chars -o ../model --quiet --resume --epochs 2\n"
    )
    assert "the best network, of epoch 1, is in ../model" in result.stdout
    result = run("train", "chars", "--resume", "-o", model, "--epochs", 2, "--patience", 7)
    lines = result.stderr.splitlines()
    assert lines[:2] == [
        "cello: --epochs is now 2; it was 1",
        "cello: --patience is now 7; it was none",
    ]
    assert lines[2].startswith("epoch 2/2 ")
    # They stay so.
    assert (kept(model)["epochs"], kept(model)["patience"]) == (2, 7)
    data = run_json("train", "chars", "--resume", "-o", model)
    assert len(data["history"]) == 2


def test_the_same_options_may_be_given_again(model: Path, tmp_path: Path):
    words = ["--train", tmp_path / "text.txt", "--hidden-size", 4, "--batch-size", 2, "--seed", 0]
    (line,) = run("train", "chars", "--resume", "-o", model, *words, "--quiet").stderr.splitlines()
    assert "there was nothing to do" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hidden-size", 5], "--hidden-size is 5, but the run in ../model was begun with 4: "),
        (["--clip-norm", 1], "--clip-norm is 1.0, but the run in ../model was begun with none: "),
        (["--seed", 3], "--seed is 3, but the run in ../model was begun with 0: leave it out"),
        (["--network", "lstm"], "--network is lstm, but the run in ../model was begun with gru: "),
    ],
)
def test_another_run_is_refused(model: Path, words: list, message: str):
    before = kept(model)
    assert message in run("train", "chars", "--resume", "-o", model, *words, code=2).stderr
    assert kept(model) == before


def test_data_are_known_by_what_is_in_them(model: Path, tmp_path: Path):
    (tmp_path / "moved.txt").write_text(TEXT)
    (tmp_path / "other.txt").write_text(TEXT[:300] + "a" + TEXT[301:])
    run("train", "chars", "--resume", "-o", model, "--train", "../moved.txt", "--quiet")
    assert kept(model)["train"] == [str(tmp_path / "moved.txt")]
    result = run("train", "chars", "--resume", "-o", model, "--train", "../other.txt", code=2)
    assert "the training data are not those that the checkpoint was made with" in result.stderr
    (tmp_path / "moved.txt").unlink()
    assert (
        "moved.txt: no such file" in run("train", "chars", "--resume", "-o", model, code=2).stderr
    )


def test_another_command(model: Path):
    result = run("train", "tag", "--resume", "-o", model, code=2)
    assert "the run in ../model is one of cello train chars, not of tag" in result.stderr


@pytest.mark.parametrize("text", ['{"a', "[]", "{}", '{"command": "chars", "options": 3}'])
def test_damaged_options(model: Path, text: str):
    (model / "options.json").write_text(text)
    result = run("train", "chars", "--resume", "-o", model, code=2)
    assert "options.json is damaged: " in result.stderr
    assert "remove it and give the options again" in result.stderr


def test_options_of_a_wrong_kind(model: Path):
    content = json.loads((model / "options.json").read_text())
    content["options"]["epochs"] = "many"
    (model / "options.json").write_text(json.dumps(content))
    result = run("train", "chars", "--resume", "-o", model, code=2)
    assert "options.json is damaged: " in result.stderr
    assert "'many' is not a valid integer" in result.stderr


def test_a_run_that_was_not_begun_by_a_command(model: Path):
    words = ["--train", "../text.txt", *"--network gru --hidden-size 4 --batch-size 2".split()]
    words += "--tbptt-steps 10 --epochs 1 --clip-norm none --dropout 0.1 --accelerator cpu".split()
    (model / "options.json").unlink()
    result = run("train", "chars", "--resume", "-o", model, *words, "--quiet")
    assert "does not tell the options that its run began with" in result.stderr
    assert kept(model)["hidden_size"] == 4


def test_nothing_is_read_where_there_is_nothing_to_resume(tmp_path: Path):
    words = ["--train", tmp_path / "nowhere.txt", "--resume", "-o", tmp_path / "model"]
    assert "there is no run to resume" in run("train", "chars", *words, code=2).stderr
    assert not (tmp_path / "model").exists()


def test_a_default_that_changes_changes_no_run(model: Path, monkeypatch: pytest.MonkeyPatch):
    """All that a run goes by is kept, given or not."""
    context = click.Context(command)
    defaults = {"learning_rate": 0.1, "layers": 3, "schedule": "cosine", "seed": 5, "min_count": 1}
    for option in command.get_params(context):
        if option.name in defaults:
            monkeypatch.setattr(option, "usual", defaults[option.name])
    monkeypatch.setattr(Options, "learning_rate", 0.1)
    before = kept(model)
    words = ["--epochs", 2, "--quiet"]
    run("train", "chars", "--resume", "-o", model, *words)
    assert kept(model) == before | {"epochs": 2}


def test_all_options_of_a_tagger_are_kept(tmp_path: Path, words_file: Path):
    words = ["--train", words_file, "--validation", words_file, "--accelerator", "cpu"]
    words += ["--epochs", 1, "--quiet", "-o", tmp_path / "model", "--parameters", 2000]
    run("train", "tag", *words)
    found = kept(tmp_path / "model")
    asked = {"train": str(words_file), "validation": str(words_file), "kind": "lstm", "epochs": 1}
    asked |= {"parameters": 2000, "accelerator": "cpu", "log": ["csv"], "clip_norm": 1.0}
    asked |= {"batch_size": 32, "dropout": 0.0, "teacher_forcing": 1, "min_count": 2, "window": 3}
    asked |= {
        "token": 0,
        "tag": -1,
        "features": "both",
        "lower": False,
        "max_size": 30_000,
        "crf": False,
        "vectors": None,
    }
    assert found == EVERY | asked | {"projection_size": "auto"}
    again = run("train", "tag", "--resume", "-o", tmp_path / "model", "--epochs", 2, "--quiet")
    assert again.stderr == "cello: --epochs is now 2; it was 1\n"
    result = run("train", "tag", "--resume", "-o", tmp_path / "model", "--hidden-size", 3, code=2)
    assert "network" in result.stderr


def test_a_run_that_stopped_early(tmp_path: Path):
    (tmp_path / "text.txt").write_text(TEXT)
    words = ["--train", tmp_path / "text.txt", "--hidden-size", 2, "--learning-rate", 10, "--quiet"]
    words += ["--batch-size", 2, "--epochs", 30, "--patience", 2, "--accelerator", "cpu"]
    run("train", "chars", *words, "-o", tmp_path / "model")
    result = run("train", "chars", "--resume", "-o", tmp_path / "model", "--quiet")
    assert "stopped early, 2 epochs after its best; to continue, give it mo" in result.stderr
    told = shlex.split(result.stderr.partition("more patience: cello ")[2])
    again = run(*told)
    assert "cello: --patience is now 4; it was 2" in again.stderr
    assert "nothing to do" not in again.stderr


def test_files_where_there_were_none(model: Path):
    content = json.loads((model / "options.json").read_text())
    del content["options"]["train"]
    (model / "options.json").write_text(json.dumps(content))
    words = ["train", "chars", "--resume", "-o", model, "--train", "../text.txt"]
    result = run(*words, code=2)
    assert "--train is given, but the run in ../model was begun without: leave" in result.stderr


def test_a_folder_in_which_another_run_is_at_work(model: Path):
    with locked(model):
        for words in ((), ("--resume",)):
            result = run("train", "chars", "--train", "nowhere", "-o", model, *words, code=2)
            assert "another run is at work in ../model (process " in result.stderr


def test_fewer_epochs_than_are_done_are_refused_before_anything_is_written(model: Path):
    run("train", "chars", "--resume", model, "--epochs", 3, "--quiet")
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    words = ["train", "chars", "--resume", str(model), "--epochs", "2", "--quiet"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "error: --epochs must be at least 3, for so many are done, got 2" in result.stderr
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


def test_resume_names_the_folder_itself(model: Path):
    result = run("train", "chars", "--resume", model, "--quiet")
    assert "there was nothing to do: the run in ../model has finished all" in result.stderr
    run("train", "chars", "--resume", model, "-o", model, "--quiet")
    result = run("train", "chars", "--resume", model, "-o", "other", code=2)
    assert "--resume names ../model, and --output other: leave one out" in result.stderr
    assert "Missing option '-o'" in run("train", "chars", "--resume", code=2).stderr
    result = run("train", "chars", "--resume", model, "--hidden-size", 5, code=2)
    assert "--hidden-size is 5, but the run in ../model was begun with 4" in result.stderr


def test_the_card_tells_the_command(model: Path):
    assert (
        "\ncello train chars --train text.txt --tbptt-steps 10 --batch-size 2 --network gru "
        "--hidden-size 4 --dropout 0.1 --epochs 1 --clip-norm none --accelerator cpu -o model\n"
    ) in (model / "README.md").read_text()
