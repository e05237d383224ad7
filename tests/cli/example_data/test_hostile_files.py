"""Data files of `cello run` that are damaged, or meant to do harm."""

from __future__ import annotations

import random
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cello
from cello.cli.example_data.datafile import data_file_of, example_files, read_data_file
from cello.cli.example_data.report import report
from cello.cli.example_data.texts import report_as_json
from cello.errors import CelloError, DataError
from tests.cli.running import process
from tests.hostile import Largest, mutated

#: The largest tensor that the examples' small networks may make, in bytes.
BOUND = 1_000_000

EXAMPLES = {name: file.read_bytes().decode() for name, file in example_files().items()}


def runs_or_says(what: dict[str, Any] | Path) -> None:
    with Largest() as largest, warnings.catch_warnings(), cello.engine("reference"):
        warnings.filterwarnings("ignore", category=UserWarning)
        try:
            file = read_data_file(what) if isinstance(what, Path) else data_file_of(what, "x.toml")
            report_as_json(file, report(file))
        except CelloError:
            pass
    assert largest.bytes < BOUND


@given(seed=st.integers(0, 2**32 - 1), times=st.integers(1, 2))
@pytest.mark.parametrize("name", EXAMPLES)
def test_any_change_of_the_data_runs_or_is_told(name: str, seed: int, times: int):
    chance = random.Random(seed)
    data = tomllib.loads(EXAMPLES[name])
    for _ in range(times):
        data = mutated(data, chance)
    runs_or_says(data)


@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_any_change_of_the_text_runs_or_is_told(name: str, seed: int, tmp_path: Path):
    chance = random.Random(seed)
    text = bytearray(EXAMPLES[name].encode())
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(text))
        text[place : place + chance.randint(0, 4)] = chance.choice(
            (b"", b"[", b"}", b'"', b"-", b"e9", b"0e99999", b"9" * 30, b"\xff", b"=", b",", b"nan")
        )
    path = tmp_path / "x.toml"
    path.write_bytes(text)
    runs_or_says(path)


NET = '[[net]]\ntype = "Recurrent"\n'
CELL = 'cell = {type = "ElmanCell", input_size = 2, hidden_size = %s}\n'
RUN = "[[run]]\ninputs = [[1, 0]]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seed = 0x" + "f" * 30 + "\n" + NET + CELL % 3 + RUN,
            "seed must be a whole number from 0",
        ),
        ("seed = 0x" + "f" * 5000 + "\n" + NET + CELL % 3, "got a number of more than 60 digits"),
        ("seed = " + "9" * 5000, "is not TOML: Exceeds the limit"),
        ("a = " + "[" * 5000, "is not TOML: maximum recursion depth exceeded"),
        (
            NET + CELL % 40_000,
            "net has 1,600,120,000 weights, expected at most 10,000,000: this is",
        ),
        (
            NET + CELL % "1e9",
            "hidden_size must be a whole number from 1 to 2,147,483,647, got 1000",
        ),
        (NET + CELL % "nan", "hidden_size must be a whole number from 1 to 2,147,483,647, got nan"),
        (
            "seed = 0\n" + NET + CELL % 2 + "[[run]]\ninputs = [[0x1%s, 0]]" % ("0" * 400),
            "inputs: ",
        ),
        (
            'seed = 0\n[[net]]\ntype = "OneHot"\nsize = 1000000000\n' + NET + CELL % 2 + "[[run]]\n"
            "inputs = [1]",
            "net[0] (OneHot) gives 1,000,000,000 numbers, net[1] (Recurrent) takes 2",
        ),
        (
            NET + CELL % 1 + 'weights = {"cell.W" = [[true, 1]]}',
            "weight cell.W must be numbers in nested lists [1, 2]: got [[True, 1]]",
        ),
    ],
)
def test_what_a_hostile_file_is_told(text: str, message: str, tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with Largest() as largest, pytest.raises(DataError) as caught:
        read_data_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert largest.bytes < BOUND


def test_a_stated_value_with_a_huge_exponent(tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_text("seed = 0\n" + NET + CELL % 1 + RUN + 'stated = {"h" = [[0e999999]]}')
    done = process("run", path)
    assert (done.returncode, done.stderr) == (0, "")
