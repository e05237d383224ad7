"""Columns by name, on every way from a file to words and tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from cello.errors import DataError
from cello.tasks import Tagging
from cello.tasks.readers.column_names import CONLL_U, column_numbers
from cello.tasks.readers.conll import read_conll

ROW = "\t".join(["1", "go", "go", "VERB", *"______"])
FORMS = {
    "CoNLL-U": (f"# text = go\n{ROW}\n", (), (1, 3)),
    "with a contraction first": ("1-2\tgo\t" + "\t".join("_" * 8) + f"\n{ROW}\n", (), (1, 3)),
    "its own head": ("# global.columns = UPOS FORM\r\nVERB\tgo\r\n", (), (1, 0)),
    "given": ("VERB go x\n", ("upos", "Form", "rest"), (1, 0)),
    "given against its head": ("# global.columns = A B\nVERB\tgo\n", ("upos", "form"), (1, 0)),
}


#: That comments are left out is told.
told = pytest.mark.filterwarnings("ignore:.*left out .* (as comments|of CoNLL-U)")


@told
@pytest.mark.parametrize(("text", "names", "numbers"), FORMS.values(), ids=FORMS)
def test_names_are_found(tmp_path: Path, text: str, names: tuple, numbers: tuple):
    file = tmp_path / "x.txt"
    file.write_bytes(text.encode())
    assert column_numbers(file, ["form", "UPOS"], names) == numbers
    assert column_numbers(file, [-1, 0], names) == (-1, 0)
    if not names:
        (found,) = read_conll(file, token="form", tag="upos")
        assert found == (("go",), ("VERB",))


def test_capitals_count_where_they_must(tmp_path: Path):
    file = tmp_path / "x.txt"
    file.write_text("a b c\n")
    assert column_numbers(file, ["tag", "TAG"], ("word", "TAG", "tag")) == (2, 1)
    with pytest.raises(DataError, match="has 2 columns called 'Tag'; its columns are word, TAG, "):
        column_numbers(file, ["Tag"], ("word", "TAG", "tag"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("go VERB\n", "x.txt: has no column called 'upos'; it does not tell how its columns are"),
        ("# global.columns =\ngo\tVERB\n", "it does not tell how its columns are called"),
        ("# global.columns = FORM XPOS\ngo\tVERB\n", "'upos'; its columns are FORM, XPOS"),
        ("", "it does not tell how its columns are called"),
    ],
)
def test_names_that_are_not_there(tmp_path: Path, text: str, message: str):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(DataError) as error:
        read_conll(tmp_path / "x.txt", token=0, tag="upos")
    assert message in str(error.value)


@told
def test_each_file_by_its_own_head_and_the_model_by_numbers(tmp_path: Path):
    (tmp_path / "train.txt").write_text("# global.columns = TAG X WORD\n" + "A\t_\tgo\n\n" * 4)
    (tmp_path / "dev.txt").write_text("# global.columns = WORD TAG\ngo\tB\n")
    task = Tagging.from_conll(
        tmp_path / "train.txt", tmp_path / "dev.txt", token="word", tag="tag", min_count=1
    )
    assert (task.tags, task.unseen, task.columns) == (("A",), ("B",), (2, 0))
    assert task.config()["columns"] == [2, 0]
    assert len(CONLL_U) == 10
