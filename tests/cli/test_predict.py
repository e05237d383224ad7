from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import cello
from cello.convert import load_model, read_config, save_model
from cello.tasks import Tagging, task_from_config
from tests.cli.conftest import SOURCE, WORDS
from tests.cli.running import process, run, run_json


def predicted(model: Path, sequences: list) -> list[list[str]]:
    task = task_from_config(read_config(model)["task"])
    assert isinstance(task, Tagging)
    return task.predict(load_model(model), sequences)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "some.py"
    path.write_text(SOURCE)
    return path


# ------------------------------------------------------------ tags


def test_text_in_stretches_of_one_tag(kinds_model: Path, source: Path):
    (tags,) = predicted(kinds_model, [SOURCE])
    lines = [line.split("\t") for line in run("predict", kinds_model, source).stdout.splitlines()]
    assert "".join(json.loads(text) for _, text in lines) == SOURCE
    assert [tag for tag, text in lines for _ in json.loads(text)] == tags
    assert all(a != b for (a, _), (b, _) in pairwise(lines))
    runs = run_json("predict", kinds_model, source)
    assert [[piece["tag"], json.dumps(piece["text"])] for piece in runs] == lines
    assert [piece["text"] for piece in runs] == [SOURCE[p["start"] : p["end"]] for p in runs]


def test_standard_input(kinds_model: Path, source: Path):
    expected = run("predict", kinds_model, source).stdout
    assert run("predict", kinds_model, "-", stdin=SOURCE).stdout == expected


def test_words_get_a_column(words_model: Path, words_file: Path):
    sequences = [
        [line.split()[0] for line in part.split("\n") if line] for part in WORDS.split("\n\n")
    ]
    tags = predicted(words_model, sequences)
    output = run("predict", words_model, words_file).stdout
    assert output.endswith("\n\n")
    rows = [[line.split(" ") for line in part.split("\n")] for part in output.strip().split("\n\n")]
    assert [[row[0] for row in part] for part in rows] == sequences
    assert [[row[2] for row in part] for part in rows] == tags
    assert "\n".join(f"{a} {b}" for a, b, _ in rows[0]) == WORDS.partition("\n\n")[0]
    as_json = run_json("predict", words_model, words_file)
    assert as_json == [{"tokens": t, "tags": g} for t, g in zip(sequences, tags, strict=True)]


def test_tokens_may_hold_spaces(words_model: Path):
    output = run("predict", words_model, "-", stdin="New York\tx\non\ty\n").stdout
    assert [line.split("\t")[:2] for line in output.strip().split("\n")] == [
        ["New York", "x"],
        ["on", "y"],
    ]


def test_the_column_of_the_words(words_model: Path):
    (row,) = run_json("predict", words_model, "-", "--token", 1, stdin="1 Taipei\n2 on\n")
    assert row["tokens"] == ["Taipei", "on"]


def test_lines_of_different_length(words_model: Path):
    """The tags are the last column of all: what is printed can be read back."""
    output = run("predict", words_model, "-", stdin="to a b\non\tc d\n\nTaipei e\n").stdout
    rows = [line.split("\t") for line in output.split("\n") if line]
    assert [row[:-1] for row in rows] == [["to", "a", "b"], ["on", "c", "d"], ["Taipei", "e", ""]]
    tags = [row["tags"] for row in run_json("predict", words_model, "-", stdin=output)]
    assert tags == [[rows[0][-1], rows[1][-1]], [rows[2][-1]]]
    scores = run_json("evaluate", words_model, "-", stdin=output)
    assert scores["metrics"]["accuracy"] == 1


def test_tabs_stay_tabs(words_model: Path):
    output = run("predict", words_model, "-", stdin="to\tx\r\non\ty\r\n").stdout
    assert [line.split("\t")[:2] for line in output.splitlines()[:2]] == [["to", "x"], ["on", "y"]]


def test_running_text_is_refused(words_model: Path):
    text = "the page shows\nevery value of every step\n"
    result = run("predict", words_model, "-", stdin=text, code=2)
    assert "standard input:2: expected 3 columns as on other lines of its seq" in result.stderr
    assert "put each token on a line of its own" in result.stderr


def test_one_line_of_running_text_is_told(words_model: Path):
    told = "^standard input: each sequence is one line, and one word of it is the token"
    with pytest.warns(UserWarning, match=told):
        output = run("predict", words_model, "-", stdin="the page shows every value\n").stdout
    assert output.startswith("the page shows every value ")
    for conll in ("the\n\npage\n", "New York\tx\n", "to O\non O\n\nto O\n"):
        run("predict", words_model, "-", stdin=conll)  # without a word: warnings are errors here


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_what_is_told_of_standard_input_names_it(command: str, words_model: Path):
    """What is read is a copy in a folder that nobody gave."""
    with pytest.warns(UserWarning, match="^standard input: 1 of the lines that begin with # have"):
        run(command, words_model, "-", stdin="# O\non O\n")


# ------------------------------------------------------------ colours


def test_text_coloured_by_a_memory(kinds_model: Path, source: Path):
    output = run("predict", kinds_model, source, "--color", "c:2").stdout
    legend, *lines = output.splitlines()
    assert legend.startswith("1.0.c unit 2  -")
    assert [line.rstrip() for line in lines[::2]] == SOURCE.splitlines()
    digits = "".join(lines[1::2])  # there is no terminal, so digits stand for colours
    task, net = task_from_config(read_config(kinds_model)["task"]), load_model(kinds_model)
    rec = cello.record(net, task.features.encode(SOURCE).unsqueeze(1))
    values = rec["1.0.c"][:, 0, 2].double()
    size = values.abs().max()
    assert [int(d) for d in digits] == ((values + size) / (2 * size) * 9).round().int().tolist()


def test_a_gate_goes_from_0_to_1(kinds_model: Path, source: Path):
    legend = run("predict", kinds_model, source, "--color", "1.0.f:0").stdout.splitlines()[0]
    assert legend.startswith("1.0.f unit 0 (1 remembers, 0 forgets)  0.00 ")
    assert legend.endswith(" 1.00")


def test_colours_on_a_terminal(kinds_model: Path, source: Path):
    output = run(
        "predict", kinds_model, source, "--color", "c:2", FORCE_COLOR="1", COLORTERM="truecolor"
    ).stdout
    assert ";48;2;" in output  # 24 bits of colour


def test_the_unit_that_varies_most(kinds_model: Path, source: Path):
    found = run_json("predict", kinds_model, source, "--color", "c")
    values = [
        run_json("predict", kinds_model, source, "--color", f"c:{unit}")["sequences"][0]["values"]
        for unit in range(6)
    ]
    spread = torch.tensor(values, dtype=torch.float64).var(1)
    assert found["unit"] == int(spread.argmax())
    assert found["sequences"][0]["values"] == values[found["unit"]]
    assert found["sequences"][0]["tokens"] == list(SOURCE)
    legend = run("predict", kinds_model, source, "--color", "c").stdout.splitlines()[0]
    assert legend.startswith(f"1.0.c unit {found['unit']}, which varies most here  ")


def test_words_are_coloured_too(words_model: Path, words_file: Path):
    legend, *lines = run(
        "predict", words_model, words_file, "--color", "backward.h:1"
    ).stdout.splitlines()
    assert legend.startswith("1.backward.h unit 1")
    assert lines[0].rstrip() == "arrive Taipei on November 2nd"
    assert lines[2].rstrip() == "leave Taipei on Monday"


def test_a_model_of_characters_can_be_coloured(chars_model: Path, source: Path):
    legend = run("predict", chars_model, source, "--color", "z:0").stdout.splitlines()[0]
    assert legend.startswith("1.0.z unit 0 (1 keeps the old state, 0 takes the new)  0.00")


# ------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        ("q", "nothing is named 'q'; "),
        ("c:6", "1.0.c has no unit 6: its units go from 0 to 5"),
        ("c:x", "--color must be NAME or NAME:UNIT, such as c:12, got 'c:x'"),
        ("c:-1", "--color must be NAME or NAME:UNIT"),
    ],
)
def test_a_wrong_memory(memory: str, message: str, kinds_model: Path, source: Path):
    assert message in run("predict", kinds_model, source, "--color", memory, code=2).stderr


def test_an_ambiguous_memory(words_model: Path, words_file: Path):
    result = run("predict", words_model, words_file, "--color", "h", code=2)
    assert "'h' could be '1.forward.h', '1.backward.h'" in result.stderr


def test_wrong_columns_name_the_line(words_model: Path, tmp_path: Path):
    (tmp_path / "x.txt").write_text("a O\nb O\nc\n")
    lacks = "there is no column 1 for the token: the line has 1 column, counted from 0: 'c'"
    result = run("predict", words_model, tmp_path / "x.txt", "--token", 1, code=2)
    assert f"x.txt:3: {lacks}" in result.stderr
    result = run("predict", words_model, "-", "--token", 1, stdin="a O\nc\n", code=2)
    assert f"cello: error: standard input:2: {lacks}" in result.stderr
    result = run("predict", words_model, "-", "--token", -1, stdin="a O\nc\n", code=2)
    assert "standard input:2: expected 2 columns as on line 1, found 1: 'c'" in result.stderr


def test_a_file_that_is_not_there(kinds_model: Path):
    assert "no such file" in run("predict", kinds_model, "nowhere.py", code=2).stderr


def test_a_file_that_is_no_text(kinds_model: Path):
    assert (
        "standard input:1: not UTF-8"
        in run("predict", kinds_model, "-", stdin=b"\xff", code=2).stderr
    )


def test_nothing_to_colour(kinds_model: Path):
    result = run("predict", kinds_model, "-", "--color", "c", stdin="", code=2)
    assert "standard input: holds no text" in result.stderr
    assert run("predict", kinds_model, "-", stdin="").stdout == ""


def test_a_model_for_another_task(chars_model: Path, source: Path, tmp_path: Path):
    result = run("predict", chars_model, source, code=2)
    assert "predicts characters: use cello sample" in result.stderr
    save_model(cello.GRU(2, 3), tmp_path / "bare")
    assert "has no task" in run("predict", tmp_path / "bare", source, code=2).stderr
    result = run("predict", tmp_path / "bare", source, "--color", "h", code=2)
    assert "has no task, so it is not known how it reads text" in result.stderr


def test_a_corrupt_model(kinds_model: Path, source: Path, tmp_path: Path):
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((kinds_model / name).read_bytes())
    (tmp_path / "weights.safetensors").write_bytes(b"\x00" * 100)
    result = process("predict", tmp_path, source)
    assert result.returncode == 2
    assert "weights.safetensors is damaged: it has 100 bytes instead of" in result.stderr
    assert result.stderr.count("\n") == 1
    config = json.loads((tmp_path / "config.json").read_bytes())
    del config["task"]["features"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = run("predict", tmp_path, source, code=2)
    assert "config.json: task.features is missing" in result.stderr
    assert "is no saved model: it has no config.json" in run("predict", ".", source, code=2).stderr


def test_standard_input_that_cannot_be_kept(words_model: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    error = run("predict", words_model, "-", stdin="on\n", code=2).stderr
    assert "standard input is kept in a temporary file, and " in error
    assert "cannot take it: No space left on device; set TMPDIR to a folder with room" in error
