"""`cello diagnose`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cello
from cello.cli.commands.diagnose import _pieces
from cello.convert import load_model, read_config, save_model
from tests.cli.conftest import SOURCE
from tests.cli.running import run, run_json


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    path = tmp_path / "some.py"
    path.write_text(SOURCE * 40)
    return path


def test_a_model_of_characters(kinds_model: Path, chars_model: Path, source_file: Path):
    lines = run("diagnose", kinds_model, source_file).stdout.splitlines()
    assert lines[0] == "no findings in 2,280 steps of 12 sequences"
    data = run_json("diagnose", chars_model, source_file, "--sequences", 3, "--steps", 30)
    assert data["seen"] == "90 steps of 3 sequences"
    assert list(data["gradients"]["1.0"]) == ["1", "3", "10", "30"]


def test_a_model_of_words_from_standard_input(words_model: Path, words_file: Path):
    stdout = run("diagnose", words_model, "-", stdin=words_file.read_text()).stdout
    assert "in 9 steps of 2 sequences" in stdout
    assert "1.forward.state  1: " in stdout


def test_a_sick_model(kinds_model: Path, source_file: Path, tmp_path: Path):
    net = load_model(kinds_model)
    with torch.no_grad():
        net[1].bias_ih_l0[6:12] -= 10  # the forget gates
    sick = tmp_path / "sick"
    save_model(net, sick, task=read_config(kinds_model)["task"])
    findings = run_json("diagnose", sick, source_file)["findings"]
    (found,) = [finding for finding in findings if finding["kind"] == "forgets at once"]
    assert found["where"] == "1.0.c"
    assert "forget_bias" in found["helps"]
    assert (
        "1.0.c: forgets at once\n  seen: of what a unit"
        in run("diagnose", sick, source_file).stdout
    )


def test_what_cannot_be_diagnosed(kinds_model: Path, tmp_path: Path):
    empty = tmp_path / "empty.py"
    empty.write_text("")
    assert "holds no text" in run("diagnose", kinds_model, empty, code=2).stderr
    save_model(cello.GRU(2, 3), tmp_path / "bare")
    stderr = run("diagnose", tmp_path / "bare", empty, code=2).stderr
    assert "the model has no task" in stderr


def test_pieces_are_spread_over_the_data():
    text = [tuple("abcdefghijk")]
    assert _pieces(text, 2, 3) == [("a", "b", "c"), ("g", "h", "i")]
    assert [len(piece) for piece in _pieces(text, 9, 3)] == [3, 3, 3, 2]
    assert _pieces([("a",), ("b",), ("c",)], 2, 3) == [("a",), ("c",)]
