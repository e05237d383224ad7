"""CoNLL files: what is read, what is written, and what is wrong with a line."""

import re
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cello.errors import ArgumentError, DataError
from cello.tasks.readers.conll import TaggedSequence, format_rows, read_conll, read_rows
from cello.tasks.readers.text_files import CONVERT

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


FROM_LAST = (
    "column -1 is counted from the last, which needs equally many in each line (one counted from 0 "
    "does not)"
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "a b c O\n\nd e O\n",
            f":3: expected 4 columns as on line 1, found 3: 'd e O'; {FROM_LAST}",
        ),
        (
            "# by hand\n\na b O\nc O\n",
            f":4: expected 3 columns as on line 3, found 2: 'c O'; {FROM_LAST}",
        ),
        ("a\nb O\n", f":2: expected 1 column as on line 1, found 2: 'b O'; {FROM_LAST}"),
        ("a\tO\r\nb\t\r\n", r":2: column 1, counted from 0, is empty: 'b\t'"),
        ("", ": holds no tokens: expected one token a line, with a blank line between sequences"),
        (
            "\n\n-DOCSTART- O\n",
            ": holds no tokens: expected one token a line, with a blank line between sequences",
        ),
        (
            b"a O\nb\xff O\n",
            f":2: not UTF-8: byte 0xff at offset 5; {CONVERT}",
        ),
        (
            "\na\nb\n",
            ":2: expected the token and its tag in two columns, found both in column 0, counted "
            "from 0; the line has 1 column",
        ),
    ],
)
def test_what_is_wrong_and_where(tmp_path: Path, data: str | bytes, message: str):
    file = write(tmp_path, data)
    with pytest.raises(DataError, match=f"^{re.escape(f'{file}{message}')}$"):
        read_conll(file)


def test_long_lines_are_shown_in_part(tmp_path: Path):
    file = write(tmp_path, "a O\n" + "x" * 100 + "\n")
    with pytest.raises(DataError, match=f"found 1: '{'x' * 60}…'; "):
        read_conll(file)


def test_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"nothing: no such file or folder$"):
        read_conll(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tag": 3}, ":1: there is no column 3 for the tag: the line has 3 columns"),
        ({"token": -4}, ":1: there is no column -4 for the token: the line has 3 columns"),
        ({"token": 2}, ":1: expected the token and its tag in two columns, found both in column 2"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, columns: dict[str, int], message: str):
    file = write(tmp_path, LECTURE)
    with pytest.raises(DataError, match=f"^{re.escape(f'{file}{message}')}"):
        read_conll(file, **columns)


# ------------------------------------------------------------ rows of different lengths

#: One more column for each predicate of a sentence, as in CoNLL-2005 and 2009.
ROLES = """\
# by hand
the DT O - (A0* *
cat NN B sit *) *
sat VBD O - (V*) *

# a comment
rain NN B - *
# SYM O - *
stops VBZ O stop (V*)
and CC O - *
"""


@pytest.mark.filterwarnings("ignore:.*(# is a token there|as comments)")
def test_one_column_for_each_predicate(tmp_path: Path):
    file = write(tmp_path, ROLES)
    assert read_conll(file, token=0, tag=2) == [
        (("the", "cat", "sat"), ("O", "B", "O")),
        (("rain", "#", "stops", "and"), ("B", "O", "O", "O")),
    ]
    assert read_conll(file, token=1, tag=None)[1].tokens == ("NN", "SYM", "VBZ", "CC")
    assert [len(rows[0]) for rows in read_rows(file)] == [6, 5]
    for columns in ({}, {"token": -2, "tag": 0}, {"token": -2, "tag": None}):
        with pytest.raises(
            DataError, match=r":7: expected 6 columns as on line 2, found 5: 'rain "
        ):
            read_conll(file, **columns)
    with pytest.raises(
        DataError,
        match=r":7: there is no column 5 for the tag: the line has 5 columns, counted from 0: 'r",
    ):
        read_conll(file, tag=5)


def test_blank_columns(tmp_path: Path):
    file = write(tmp_path, "a\tX\t\t\nb\tY\n\nc\t\tZ\t\nd\tX\t\tnote\n")
    assert [s.tokens for s in read_conll(file, tag=None)] == [("a", "b"), ("c", "d")]
    with pytest.raises(DataError, match=r":4: column 1, counted from 0, is empty: 'c\\t\\tZ\\t'"):
        read_conll(file, tag=1)
    with pytest.raises(
        DataError, match=r":1: there is no column 2 for the tag: the line has 2 col"
    ):
        read_conll(file, tag=2)
    file = write(tmp_path, "a\tX\t\t\nb\tY\n\nc\tZ\t\n")
    assert read_conll(file) == [(("a", "b"), ("X", "Y")), (("c",), ("Z",))]


def test_a_token_that_spaces_cut_is_told(tmp_path: Path):
    file = write(tmp_path, "in O\nNew York B\n\nto Taipei B\nO O O\n\nNew Delhi B\n")
    with pytest.warns(UserWarning, match=r":2: has not as many columns as other lines of its seq"):
        assert read_conll(file, tag=1)[0] == (("in", "New"), ("O", "York"))


# ------------------------------------------------------------ comments, and CoNLL-U

CONLLU = """\
# newdoc
# sent_id = 1
# text = Vámonos al mar
1-2	Vámonos	_	_	_	_	_	_	_	_
1	Vamos	ir	VERB	_	_	0	root	_	_
2	nos	nosotros	PRON	_	_	1	obj	_	_
3-4	al	_	_	_	_	_	_	_	_
3	a	a	ADP	_	_	5	case	_	_
4	el	el	DET	_	_	5	det	_	_
5	mar	mar	NOUN	_	_	1	obl	_	_

# sent_id = 2
1	Sue	Sue	PROPN	_	_	2	nsubj	_	_
2	likes	like	VERB	_	_	0	root	_	_
2.1	likes	like	VERB	_	_	_	_	_	_
"""


def test_conllu(tmp_path: Path):
    file = write(tmp_path, CONLLU)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = read_conll(file, token=1, tag=3)
    assert found == [
        (("Vamos", "nos", "a", "el", "mar"), ("VERB", "PRON", "ADP", "DET", "NOUN")),
        (("Sue", "likes"), ("PROPN", "VERB")),
    ]
    assert [str(warning.message) for warning in warned] == [
        f"{file}: left out 4 of the lines that begin with #, as comments: they do not have "
        "as many columns as the others",
        f"{file}: left out 3 rows of contracted words (1-2) and empty nodes (5.1) of CoNLL-U",
    ]


def test_the_numbers_of_conllu_are_no_tokens(tmp_path: Path):
    file = write(tmp_path, CONLLU)
    message = r":4: column 0 holds the numbers of the words, as in CoNLL-U: .*\(--token 1\)"
    with pytest.raises(DataError, match=message):
        read_conll(file)


def test_numbers_that_are_tokens(tmp_path: Path):
    """5.1 and 1-2 are tokens, unless column 0 counts."""
    file = write(tmp_path, "a\tx\tO\n5.1\tx\tO\n1-2\tx\tO\n")
    assert read_conll(file)[0].tokens == ("a", "5.1", "1-2")
    file = write(tmp_path, "1 x O\n2 x O\n5.1 x O\n")
    assert read_conll(file)[0].tokens == ("1", "2", "5.1")


def test_a_hash_is_a_token_where_it_has_a_tag(tmp_path: Path):
    file = write(tmp_path, "# a comment of many words\n# NN\nhash O\n# O\n#tag O\n#\n")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert read_conll(file)[0] == (("#", "hash", "#", "#tag"), ("NN", "O", "O", "O"))
    assert [str(warning.message).partition(": ")[2] for warning in warned] == [
        "left out 2 of the lines that begin with #, as comments: they do not have as many columns "
        "as the others",
        "2 of the lines that begin with # have as many columns as the others: # is a token there",
    ]


@pytest.mark.filterwarnings("ignore:.*# is a token there")
def test_hashes_alone_are_tokens(tmp_path: Path):
    assert read_conll(write(tmp_path, "# O\n#a O\n"))[0].tokens == ("#", "#a")
    assert read_rows(write(tmp_path, "#a\n#\n\nb\n")) == [[("#a",), ("#",)], [("b",)]]


def test_a_hash_is_counted_by_tabs_where_there_are_some(tmp_path: Path):
    file = write(tmp_path, "# two words\n#\tO\nNew York\tB\n")
    with pytest.warns(UserWarning, match="left out 1 of|1 of the lines"):
        assert read_conll(file)[0].tokens == ("#", "New York")


def columns_of(separator: str, width: int) -> st.SearchStrategy[str]:
    forbidden = "\n\r\t" + ("" if separator == "\t" and width > 1 else " ")
    alphabet = st.characters(codec="utf-8", exclude_characters=forbidden + "\ufeff")
    return (st.just("#") | st.text(alphabet, min_size=1, max_size=6)).filter(
        lambda text: text.strip(" ") and not text.lstrip(" ").startswith("-DOCSTART-")
    )


@pytest.mark.filterwarnings("ignore:.*# is a token there")
@given(data=st.data(), separator=st.sampled_from(" \t"), width=st.integers(1, 4))
def test_what_is_written_is_read_back(tmp_path: Path, data, separator: str, width: int):
    column = columns_of(separator, width)
    some = column | st.just("") if separator == "\t" else column
    row = st.tuples(*[some] * (width - 1), column).filter(
        lambda row: not "".join(row).lstrip(" ").startswith("-DOCSTART-")
    )
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
        ([[("", "O")]], " ", "columns must not be empty or hold line ends or separators, got ''"),
        ([[("a", "")]], "\t", "columns must not be empty or hold line ends or separators, got ''"),
        ([[("", "-DOCSTART-")]], "\t", "the first column must not begin with -DOCSTART-, got "),
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
