"""`cello train … --resume` knows the options from the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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


def kept(model: Path) -> dict:
    return json.loads((model / "options.json").read_text())["options"]


def test_only_the_folder_is_needed(model: Path, tmp_path: Path):
    assert kept(model) == {
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
    result = run("train", "chars", "--resume", "-o", model, "--quiet")
    assert result.stderr == ""
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
    assert run("train", "chars", "--resume", "-o", model, *words, "--quiet").stderr == ""


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
