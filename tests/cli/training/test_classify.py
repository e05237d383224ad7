"""`cello train classify`, and what other commands make of such a model."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from torch import nn

from cello.cli.answers.classes import print_confusion
from cello.tasks import Classification
from tests.cli.running import run

SMALL = ("--hidden-size", 4, "--epochs", 1, "--quiet")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    rows = {"text": ["good film", "bad film"] * 10, "label": ["pos", "neg"] * 10}
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "m"
    words = ("--train", file, "--test", file, "--pool", "mean", "--learning-rate", 0.1)
    run("train", "classify", *words, "--hidden-size", 4, "--epochs", 8, "--quiet", "-o", folder)
    return folder


def test_a_table_of_labels_and_their_probabilities(model: Path, file: Path):
    head, *rows = run("predict", model, file).stdout.splitlines()
    assert head == "sequence,label,neg,pos"
    assert [row.split(",")[:2] for row in rows[:2]] == [["0", "pos"], ["1", "neg"]]
    told = json.loads(run("predict", model, file, "--json").stdout)
    assert told[0]["label"] == "pos"
    assert sum(told[0]["probabilities"].values()) == pytest.approx(1)


def test_what_is_confused_is_shown(model: Path, file: Path):
    shown = run("evaluate", model, file).stdout
    assert "accuracy" in shown
    assert "macro f1" in shown
    assert [line.split() for line in shown.splitlines()[-2:]] == [["neg", "10"], ["pos", "10"]]
    assert "majority" in shown
    assert "| test | 1.0000 | 1.0000 |" in (model / "README.md").read_text(encoding="utf-8")


def test_of_many_labels_those_are_shown_that_are_most_often_confused(
    capsys: pytest.CaptureFixture[str],
):
    class Words(Classification):
        splits = ("test",)

        def __init__(self) -> None:
            self.classes = tuple(f"word{number}" for number in range(25))

        def confusion(self, net: nn.Module, split: str) -> dict[str, dict[str, int]]:
            rows = {name: dict.fromkeys(self.classes, 0) | {name: 9} for name in self.classes}
            rows["word3"]["word7"], rows["word8"]["word1"] = 2, 1_004
            return rows

    print_confusion(Words(), nn.Identity())
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.split() == ["word8", "word1", "1,004"]
    assert second.split() == ["word3", "word7", "2"]


def test_other_commands_know_such_a_model(model: Path, file: Path, tmp_path: Path):
    assert "labels: neg, pos" in run("show", model).stdout
    assert "findings" in run("diagnose", model, file).stdout
    run("record", model, file, "-o", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert "gives each text a label" in (model / "README.md").read_text(encoding="utf-8")
    assert "use cello predict" in run("sample", model, code=2).stderr


def test_it_becomes_onnx(model: Path, tmp_path: Path):
    assert "cells: " in run("export", model, tmp_path / "net.onnx").stdout
    assert (tmp_path / "net.onnx").exists()
    assert "makes one vector" in run("export", model, "--c", tmp_path / "c", code=1).stderr


def test_going_on_needs_no_options(model: Path):
    assert "--epochs is now 9" in run("train", "classify", "--resume", model, "--epochs", 9).stderr


def test_rows_and_arrays(tmp_path: Path):
    table = pd.DataFrame({"id": [0, 0, 1, 1], "a": [1.0, 2, 3, 4], "label": ["x", "x", "y", "y"]})
    table.to_parquet(tmp_path / "rows.parquet")
    rows = tmp_path / "rows.parquet"
    words = ("--train", rows, "--validation", rows, "--test", rows, "--by", "id")
    shown = run("train", "classify", *words, *SMALL, "-o", tmp_path / "m").stdout
    assert "sequences by their label (rows) and the one they were given (columns):" in shown
    head, *rows = run("predict", tmp_path / "m", tmp_path / "rows.parquet").stdout.splitlines()
    assert head == "id,label,x,y"
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--label", "kind"), "--label needs --train FILE"),
        (("--train", "FILE", "--columns", "a"), "--columns needs --by"),
        (("--train", "FILE", "--by", "id", "--lower"), "--lower is for texts"),
        (("--train", "FILE", "--pool", "sum"), "'sum' is not one of 'last'"),
    ],
)
def test_options_that_do_not_go_together(words: tuple, says: str, file: Path, tmp_path: Path):
    words = tuple(file if word == "FILE" else word for word in words)
    assert says in run("train", "classify", *words, "-o", tmp_path / "m", code=2).stderr
    assert not (tmp_path / "m").exists()


def test_the_steps_of_a_sequence_stand_in_the_order_of_a_column(tmp_path: Path):
    rows = {"ID": [0, 0, 1, 1], "Zeit": [2, 1, 1, 2], "a": [1.0, 2, 3, 4], "class": [*"xxyy"]}
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    files = ("--train", tmp_path / "rows.csv", "--validation", tmp_path / "rows.csv")
    words = ("--by", "ID", "--label", "class", "--order", "Zeit")
    run("train", "classify", *files, *words, *SMALL, "-o", tmp_path / "m")
    kept = json.loads((tmp_path / "m" / "options.json").read_text())["options"]
    assert kept["order"] == "Zeit"
    run("train", "classify", "--resume", tmp_path / "m", "--epochs", 2, "--quiet")
