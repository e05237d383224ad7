"""Paths that commands are given: an empty one, a folder for a file, a file for a folder."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from cello.cli.parameter_types import FilePath
from tests.cli.running import run
from tests.cli.test_main import ALL

PARAMETERS = [
    (path, parameter)
    for path, command in ALL.items()
    for parameter in command.params
    if isinstance(parameter.type, click.Path)
]


def test_all_paths_are_of_one_type():
    assert len(PARAMETERS) > 30
    assert [(path, one.name) for path, one in PARAMETERS if type(one.type) is not FilePath] == []


def words_before(path: str, parameter: click.Parameter) -> list[str]:
    """What stands before the word that is a path: the arguments before it."""
    command = path.split()[1:]
    if isinstance(parameter, click.Option):
        return [*command, parameter.opts[-1]]
    arguments = [one for one in ALL[path].params if isinstance(one, click.Argument)]
    return [*command, *["some"] * arguments.index(parameter)]


@pytest.mark.parametrize(
    ("path", "parameter"), PARAMETERS, ids=lambda one: getattr(one, "name", one)
)
def test_an_empty_name_is_refused(
    path: str, parameter: click.Parameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    said = run(*words_before(path, parameter), "", code=2).stderr
    assert "expected the name of a file or folder, got an empty one" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("example", "lstm", "--html"),
        ("example", "lstm", "--copy"),
        ("run", "some.toml", "--html"),
        ("record", "model", "data", "-o"),
        ("predict", "model", "data", "--plot"),
        ("export", "model", "net.onnx", "--test-vector"),
        ("export", "model"),
    ],
)
def test_a_folder_is_no_file_to_be_written(words: tuple[str, ...], tmp_path: Path):
    for folder in (tmp_path, "."):
        assert "is a directory" in run(*words, folder, code=2).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("export", "model", "--c"),
        ("import", "net.onnx", "-o"),
        ("train", "tag", "-o"),
        ("demo", "-o"),
    ],
)
def test_a_file_is_no_folder_to_be_written(words: tuple[str, ...], tmp_path: Path):
    (tmp_path / "bin").write_bytes(b"mine")
    assert "is a file" in run(*words, tmp_path / "bin", code=2).stderr
    assert (tmp_path / "bin").read_bytes() == b"mine"
