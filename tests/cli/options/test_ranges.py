"""Options whose names are in the table of ranges: the range is that of what the option takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cello.cli.parameter_types import ColumnType
from cello.cli.training.options import OrWord
from cello.ranges import RANGES
from tests.cli.running import run
from tests.cli.test_main import ALL


def options() -> Iterator[tuple[str, click.Option]]:
    for path, command in ALL.items():
        for option in command.params:
            if isinstance(option, click.Option) and option.name in RANGES:
                yield path, option


def words_of(option: click.Option) -> tuple[str, ...]:
    """Words that an option takes."""
    if isinstance(option.type, OrWord):
        return option.type.words
    return ("Zeit",) if isinstance(option.type, (ColumnType, click.types.StringParamType)) else ()


WORDS = [
    (path, option.opts[-1], word)
    for path, option in options()
    if path.startswith("cello train ")
    for word in words_of(option)
]


def test_the_usual_value_of_an_option_is_in_its_range():
    seen = 0
    for _, option in options():
        usual: Any = getattr(option, "usual", option.default)
        if isinstance(usual, (bool, int, float, list)):
            RANGES[str(option.name)].check(option.opts[-1], usual)
            seen += 1
    assert seen > 50


def test_there_are_options_that_take_words_where_others_of_that_name_take_numbers():
    assert ("cello train classify", "--order", "Zeit") in WORDS
    assert ("cello train tag", "--token", "Zeit") in WORDS


@pytest.mark.parametrize(("path", "flag", "word"), WORDS)
def test_no_word_that_an_option_takes_meets_a_range_of_numbers(
    path: str, flag: str, word: str, tmp_path: Path
):
    (tmp_path / "none").mkdir()
    command = path.split()[1:]
    result = run(*command, "--train", tmp_path / "none", flag, word, "-o", tmp_path / "m", code=2)
    assert "must be a whole number" not in result.stderr
    assert "must be a finite number" not in result.stderr
    assert not (tmp_path / "m").exists()
