"""`cello evaluate`, and the tables of scores."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest
import torch

from cello.cli.answers.scores import print_scores
from cello.cli.models import open_model
from cello.convert import save_model
from cello.tasks import Tagging, build_network
from cello.tasks.readers.python_source import character_kinds
from tests.cli.conftest import SOURCE, WORDS
from tests.cli.running import process, run, run_json


def test_words(words_model: Path, words_file: Path):
    found = run_json("evaluate", words_model, words_file)
    opened = open_model(words_model)
    assert isinstance(opened.task, Tagging)
    task = Tagging.from_conll(
        words_file, words_file, words_file, features="both", min_count=1, window=1
    )
    assert found == {
        "file": str(words_file),
        "metrics": task.evaluate(opened.net, "test"),
        "scheme": "IOB",
        "unseen_tags": [],
    }
    output = run("evaluate", words_model, words_file, "--batch-size", 1).stdout
    assert "words.txt" in output
    assert f"{found['metrics']['span_f1']:.4f}" in output
    lines = output.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("IOB spans"))
    assert [line.split()[0] for line in lines[head + 2 :]] == ["time", "from", "to"]
    assert run("evaluate", words_model, "-", stdin=WORDS).stdout.startswith(" ")


def test_columns_and_tags_that_the_model_does_not_know(words_model: Path, tmp_path: Path):
    file = tmp_path / "x.txt"
    file.write_text("arrive x O\nParis y B-to\nEarth z B-planet\n")
    result = run("evaluate", words_model, file)
    assert "tags that the model does not know, so that they count as errors: B-pl" in result.stderr
    found = run_json("evaluate", words_model, file)
    assert found["unseen_tags"] == ["B-planet"]
    assert found["metrics"]["span_f1/planet"] == 0
    assert found["metrics"]["span_count/planet"] == 1
    assert run_json("evaluate", words_model, file, "--tag", 2) == found
    error = run("evaluate", words_model, file, "--token", 2, code=2).stderr
    assert "found both in column 2, counted from 0; the line has 3 columns" in error


def test_kinds_of_characters(kinds_model: Path, tmp_path: Path):
    file = tmp_path / "some.py"
    file.write_text(SOURCE)
    metrics = run_json("evaluate", kinds_model, file)["metrics"]
    opened = open_model(kinds_model)
    assert isinstance(opened.task, Tagging)
    (tags,) = opened.task.predict(opened.net, [SOURCE])
    kinds = character_kinds(SOURCE)
    right = sum(one == other for one, other in zip(tags, kinds, strict=True))
    assert metrics["accuracy"] == right / len(SOURCE)
    assert "accuracy/comment" in metrics
    output = run("evaluate", kinds_model, file).stdout
    assert "memory accuracy" in output
    assert "comment" in output
    file.write_text("(")
    assert "some.py:" in run("evaluate", kinds_model, file, code=2).stderr
    assert "holds no text" in run("evaluate", kinds_model, "-", stdin="", code=2).stderr


def test_characters(chars_model: Path, tmp_path: Path):
    (tmp_path / "a.txt").write_text("def f(x): return 東" * 5)
    metrics = run_json("evaluate", chars_model, tmp_path)["metrics"]
    assert sorted(metrics) == ["accuracy", "bits_per_character", "other_share"]
    assert metrics["other_share"] == pytest.approx(1 / 18)
    output = run("evaluate", chars_model, tmp_path / "a.txt").stdout
    assert output.splitlines()[0].split() == "bits per character accuracy other share".split()
    error = run("evaluate", chars_model, tmp_path, "--batch-size", 0, code=2).stderr
    assert "--batch-size must be a whole number from 1 to 1,000,000, got 0" in error


def test_a_file_that_is_not_utf8(chars_model: Path, words_model: Path, tmp_path: Path):
    (tmp_path / "x").write_bytes(b"a O\nb \xff\n")
    for model in (chars_model, words_model):
        error = run("evaluate", model, tmp_path / "x", code=2).stderr
        assert "x:2: not UTF-8: byte 0xff at offset 6" in error


def test_a_model_without_a_task(words_file: Path, tmp_path: Path):
    save_model(torch.nn.Linear(2, 2), tmp_path / "bare")
    error = run("evaluate", tmp_path / "bare", words_file, code=2).stderr
    assert "has no task, so it is not known what its answers mean" in error


def test_conllu_is_told(tmp_path: Path):
    row = "\t_" * 6
    file = tmp_path / "x.conllu"
    file.write_text(f"# text = al\n1-2\tal\t_\t_{row}\n1\ta\ta\tADP{row}\n2\tel\tel\tDET{row}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = Tagging.from_conll(file, file, token=1, tag=3, min_count=1)
    net = build_network("gru", task.features.encoder(), 3, task.output_size)
    save_model(net, tmp_path / "m", task=task.config())
    words = ("evaluate", tmp_path / "m", file, "--token", "1", "--tag", "3")
    done = process(*words, env={"PYTHONWARNINGS": "default"})
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"cello: warning: {file}: left out 1 of the lines that begin with #")
    assert told[1].startswith(f"cello: warning: {file}: left out 1 rows of contracted words")
    assert "ADP" in done.stdout


def test_the_table_at_the_end_of_training_is_short(capsys: pytest.CaptureFixture[str]):
    metrics = {"accuracy": 0.5, "span_f1": 0.25}
    for number in range(12):
        metrics |= {f"span_f1/t{number}": number / 12, f"span_count/t{number}": 100.0 + number}
    print_scores({"validation": metrics, "test": {}}, "BILOU", most=10)
    output = capsys.readouterr().out
    assert "BILOU spans" in output
    assert re.search(r"^t11 +0\.9167 +111$", output, re.M)
    assert "t1 " not in output
    assert output.endswith("… and 2 more types: cello evaluate MODEL FILE\n")
    print_scores({"validation": metrics}, "BILOU")
    assert "t1 " in capsys.readouterr().out
    print_scores({"validation": {}, "test": {}}, None)
    assert capsys.readouterr().out == ""


def test_the_columns_of_the_training_data_are_known(tmp_path: Path):
    """A model that was trained on other columns reads them again without being told."""
    rows = [line.split() for line in WORDS.splitlines()]
    text = "\n".join(" ".join(["7", row[0], row[1], "x"]) if row else "" for row in rows)
    (tmp_path / "other.txt").write_text(text)
    file = tmp_path / "other.txt"
    task = Tagging.from_conll(file, file, token=1, tag=2, features="both", min_count=1, window=1)
    torch.manual_seed(0)
    net = build_network("elman", task.features.encoder(), 6, task.output_size)
    save_model(net, tmp_path / "model", task=task.config())
    kept = open_model(tmp_path / "model").task
    assert isinstance(kept, Tagging)
    assert kept.columns == (1, 2)
    found = run_json("evaluate", tmp_path / "model", file)
    assert found["unseen_tags"] == []
    assert found == run_json("evaluate", tmp_path / "model", file, "--token", 1, "--tag", 2)
    assert found != run_json("evaluate", tmp_path / "model", file, "--token", 0)
    tokens = [row["tokens"] for row in run_json("predict", tmp_path / "model", file)]
    assert tokens[0] == ["arrive", "Taipei", "on", "November", "2nd"]
    (first, *_) = run_json("predict", tmp_path / "model", file, "--color", "h")["sequences"]
    assert first["tokens"] == tokens[0]
    run("record", tmp_path / "model", file, "-o", tmp_path / "a.html")
    assert "Taipei" in (tmp_path / "a.html").read_text()


def test_the_usual_columns_are_not_written_down(words_model: Path):
    assert "columns" not in open_model(words_model).config["task"]


@pytest.mark.parametrize("columns", [3, [1], [1, 1], [1, "2"], [True, 2], None])
def test_columns_that_are_none(columns: object, words_model: Path, tmp_path: Path):
    config = json.loads((words_model / "config.json").read_text())
    config["task"]["columns"] = columns
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "weights.safetensors").write_bytes(
        (words_model / "weights.safetensors").read_bytes()
    )
    error = run("evaluate", tmp_path, tmp_path, code=2).stderr
    assert "task.columns must be a list of two columns" in error
