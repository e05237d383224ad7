"""Options that would do nothing are refused: beside another one, or for this model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import cello
from cello.convert import save_model
from cello.errors import ArgumentError
from tests.cli.running import run
from tests.cli.test_main import ALL

#: Commands that take columns of words, of a model without any.
COLUMNS = [
    (path.split()[1], option.opts[-1])
    for path, command in ALL.items()
    for option in command.params
    if option.name in ("token", "tag") and path.split()[1] not in ("train", "tune")
]


@pytest.fixture
def numbers(tmp_path: Path) -> tuple[Path, Path]:
    """A net that reads numbers, and a sequence of them."""
    torch.manual_seed(0)
    save_model(cello.Stack(cello.LSTM(3, 4), nn.Linear(4, 2)), tmp_path / "model")
    np.save(tmp_path / "x.npy", np.zeros((5, 3), np.float32))
    return tmp_path / "model", tmp_path / "x.npy"


def test_the_commands_with_columns():
    assert len(COLUMNS) == 5


@pytest.mark.parametrize(("command", "flag"), COLUMNS)
def test_a_model_without_columns_takes_none(command: str, flag: str, numbers, chars_model: Path):
    model, data = (chars_model, __file__) if command == "evaluate" else numbers
    run(command, model, data)
    said = run(command, model, data, flag, 3, code=2).stderr
    assert f"{flag} is for models that read columns" in said


def test_nor_does_one_that_tells_kinds_of_characters(kinds_model: Path):
    assert "--token is for" in run("predict", kinds_model, __file__, "--token", 0, code=2).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--html", "NEW", "--step", 1), "--html goes without --step"),
        (("--html", "NEW", "--json"), "--html goes without --json"),
        (("--html", "NEW", "--step", 1, "--json"), "--html goes without --step and --json"),
    ],
)
def test_a_page_shows_all(words: tuple, says: str, tmp_path: Path):
    run("example", "lstm", "--copy", tmp_path / "own.toml")
    words = tuple(tmp_path / "new" if word == "NEW" else word for word in words)
    for command in (("example", "lstm"), ("run", tmp_path / "own.toml")):
        assert says in run(*command, *words, code=2).stderr
    assert not (tmp_path / "new").exists()


def test_a_copy_is_a_copy_only(tmp_path: Path):
    new = tmp_path / "new"
    for words in (("--json",), ("--step", 1), ("--html", tmp_path / "page.html")):
        said = run("example", "lstm", "--copy", new, *words, code=2).stderr
        assert f"--copy goes without {words[0]}" in said
    assert not list(tmp_path.iterdir())


def test_colours_are_no_picture(numbers, tmp_path: Path):
    words = (*numbers, "--color", "c", "--plot", tmp_path / "a.svg")
    assert "--color goes without --plot" in run("predict", *words, code=2).stderr


def test_options_of_c(numbers, tmp_path: Path):
    model, _ = numbers
    for ids in (-1, 3):
        said = run("export", model, "--c", tmp_path / "c", "--ids", ids, code=2).stderr
        assert f"--ids must be left out, for the net reads no ids, got {ids}" in said
    said = run("export", model, tmp_path / "net.onnx", "--name", "amp", code=2).stderr
    assert "--name, --ids, --int8 and --libm go with --c" in said
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize("name", ["tv.txt", "net.onnx", "tv"])
def test_a_test_vector_is_a_file_of_its_own(name: str, numbers, tmp_path: Path):
    words = (tmp_path / "net.onnx", "--test-vector", tmp_path / name)
    said = run("export", numbers[0], *words, code=2).stderr
    assert f"--test-vector must end in .npz, got {tmp_path / name}" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "x.npy"]


def test_a_net_and_its_vector_are_two_files(tmp_path: Path):
    file = tmp_path / "net.npz"
    (tmp_path / "link.npz").symlink_to(file)
    for vector in (file, tmp_path / "link.npz", tmp_path / "x" / ".." / "net.npz"):
        with pytest.raises(ArgumentError, match="must not be the file of the net"):
            cello.to_onnx(cello.LSTM(3, 4), file, test_vector=vector)
    assert not file.exists()
