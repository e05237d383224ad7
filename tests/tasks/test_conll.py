"""CoNLL files: what is read, what is written, and what is wrong with a line."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cello.errors import ArgumentError, DataError
from cello.tasks.conll import TaggedSequence, format_rows, read_conll, read_rows

LECTURE = """\
arrive VB O
Taipei NNP B-to
on IN O
November NNP B-time
2nd CD I-time

leave VB O
Taipei NNP B-from
"""


def write(folder: Path, data: str | bytes) -> Path:
    file = folder / "data.conll"
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


def test_first_and_last_column_by_default(tmp_path: Path):
    first, second = read_conll(write(tmp_path, LECTURE))
    assert first.tokens == ("arrive", "Taipei", "on", "November", "2nd")
    assert first.tags == ("O", "B-to", "O", "B-time", "I-time")
    assert second == TaggedSequence(("leave", "Taipei"), ("O", "B-from"))


def test_other_columns(tmp_path: Path):
    file = write(tmp_path, LECTURE)
    assert read_conll(file, tag=1)[1].tags == ("VB", "NNP")
    assert read_conll(file, token=-2, tag=0)[1] == (("VB", "NNP"), ("leave", "Taipei"))
    assert read_conll(file, tag=None)[1] == (("leave", "Taipei"), ())
    assert read_rows(file)[1] == [("leave", "VB", "O"), ("Taipei", "NNP", "B-from")]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfa X\nb Y\n\nc X\n",
        b"a X\r\nb Y\r\n\r\nc X\r\n",
        b"\n\na X\nb Y\n \n\t\n\nc X",
        b"a\tX\nb\tY\n\nc\tX\n",
        b"a   X\nb \tY\n\n  c X  \n",
        b"-DOCSTART- -X- O O\n\na X\nb Y\n-DOCSTART-\nc X\n-DOCSTART- O\n",
    ],
)
def test_forms_of_the_same_file(tmp_path: Path, data: bytes):
    file = write(tmp_path, data)
    assert read_conll(file) == [(("a", "b"), ("X", "Y")), (("c",), ("X",))]


def test_with_tabs_columns_hold_spaces(tmp_path: Path):
    file = write(tmp_path, "New York\tB-to\n at \tO\n")
    assert read_conll(file) == [(("New York", " at "), ("B-to", "O"))]


def test_only_spaces_and_tabs_separate(tmp_path: Path):
    """Other white space of Unicode, and its line separators, belong to the token."""
    text = "10\u00a0000\u3000x\u2028y\u0085z\x0c O\n"
    assert read_conll(write(tmp_path, text)) == [
        (("10\u00a0000\u3000x\u2028y\u0085z\x0c",), ("O",))
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "a b c O\n\nd e O\n",
            ":3: expected 4 columns as on the first line, found 3: 'd e O'",
        ),
        ("a\nb O\n", ":2: expected 1 column as on the first line, found 2: 'b O'"),
        ("a\tO\r\nb\t\r\n", r":2: column 2 is empty: 'b\t'"),
        ("", ": holds no tokens: expected one token a line, with a blank line between sequences"),
        (
            "\n\n-DOCSTART- O\n",
            ": holds no tokens: expected one token a line, with a blank line between sequences",
        ),
        (
            b"a O\nb\xff O\n",
            ":2: not UTF-8: byte 0xff at offset 5; convert the file to UTF-8 first",
        ),
        (
            "\na\nb\n",
            ":2: expected the token and its tag in two columns, found both in column 1 of 1",
        ),
    ],
)
def test_what_is_wrong_and_where(tmp_path: Path, data: str | bytes, message: str):
    file = write(tmp_path, data)
    with pytest.raises(DataError, match=f"^{re.escape(f'{file}{message}')}$"):
        read_conll(file)


def test_long_lines_are_shown_in_part(tmp_path: Path):
    file = write(tmp_path, "a O\n" + "x" * 100 + "\n")
    with pytest.raises(DataError, match=f"found 1: '{'x' * 60}…'$"):
        read_conll(file)


def test_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"nothing: no such file or folder$"):
        read_conll(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tag": 3}, ":1: there is no column 3 for the tag: the line has 3 columns"),
        ({"token": -4}, ":1: there is no column -4 for the token: the line has 3 columns"),
        ({"token": 2}, ":1: expected the token and its tag in two columns, found both in column 3"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, columns: dict[str, int], message: str):
    file = write(tmp_path, LECTURE)
    with pytest.raises(DataError, match=f"^{re.escape(f'{file}{message}')}"):
        read_conll(file, **columns)


def columns_of(separator: str, width: int) -> st.SearchStrategy[str]:
    forbidden = "\n\r\t" + ("" if separator == "\t" and width > 1 else " ")
    alphabet = st.characters(codec="utf-8", exclude_characters=forbidden + "\ufeff")
    return st.text(alphabet, min_size=1, max_size=6).filter(
        lambda text: text.strip(" ") and not text.lstrip(" ").startswith("-DOCSTART-")
    )


@given(data=st.data(), separator=st.sampled_from(" \t"), width=st.integers(1, 4))
def test_what_is_written_is_read_back(tmp_path: Path, data, separator: str, width: int):
    row = st.tuples(*[columns_of(separator, width)] * width)
    sequences = data.draw(st.lists(st.lists(row, min_size=1, max_size=4), min_size=1, max_size=4))
    file = write(tmp_path, format_rows(sequences, separator=separator))
    assert read_rows(file) == sequences
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_rows(file) == sequences


@pytest.mark.parametrize(
    ("sequences", "separator", "message"),
    [
        ([[("a b", "O")]], " ", "columns must not be empty or hold line ends or separators, got "),
        ([[("a\n", "O")]], "\t", "columns must not be empty or hold line ends or separators, got "),
        ([[("a", "")]], " ", "columns must not be empty or hold line ends or separators, got ''"),
        ([[("a b",)]], "\t", "columns must not be empty or hold line ends or separators, got "),
        ([[("a", "O"), ("b",)]], " ", "rows must have 2 columns, got ('b',)"),
        ([[()]], " ", "rows must have 1 column, got ()"),
        ([[]], " ", "sequences must not be empty, got one without rows"),
        ([[("-DOCSTART-", "O")]], " ", "the first column must not begin with -DOCSTART-, got "),
        ([[("\ufeffa", "O")]], " ", "the first column must not begin with a byte order mark, got "),
        ([[("a", "O")]], ",", "separator must be a space or a tab, got ','"),
    ],
)  # fmt: skip
def test_what_could_not_be_read_back_is_not_written(sequences, separator: str, message: str):
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}"):
        format_rows(sequences, separator=separator)
