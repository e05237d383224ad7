"""Tables as spreadsheets, databases and messages have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cello.errors import DataError
from cello.tasks.readers.tables import read_table


def written(folder: Path, text: str, name: str = "a.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("text,label\ngood,pos,0\nbad,neg,1\n", 1),
        ("text,label\nhello, world,neg\ngood,pos\n", 1),
        ("text;label\na;b;\nc;d;e\n", 2),
    ],
)
def test_rows_with_more_fields_than_columns_are_refused(tmp_path: Path, text: str, row: int):
    says = f"row {row} has 3 fields, the first row names 2 columns: where a comma"
    with pytest.raises(DataError, match=says):
        read_table(written(tmp_path, text))


def test_a_separator_at_the_end_of_each_row_is_no_field(tmp_path: Path):
    found = read_table(written(tmp_path, "day;y\n2024-01-01;1,5;\n2024-01-02;2,5;\n"))
    assert found.to_dict("list") == {"day": ["2024-01-01", "2024-01-02"], "y": [1.5, 2.5]}


def test_a_quotation_mark_in_lines_of_tabs_is_a_sign(tmp_path: Path):
    text = 'label\ttext\nham\t"Keep\nspam\twin\nham\tyours" he said\n'
    found = read_table(written(tmp_path, text, "a.tsv"))
    assert found["text"].tolist() == ['"Keep', "win", 'yours" he said']


def test_lines_within_quotation_marks_stay_together(tmp_path: Path):
    text = 'label\ttext\nham\t"one\ntwo"\nspam\twin\n'
    assert read_table(written(tmp_path, text, "a.tsv"))["text"].tolist() == ["one\ntwo", "win"]


def test_commas_between_thousands(tmp_path: Path):
    found = read_table(written(tmp_path, 'y,z,word\n"1,000.63","1,000","a,000.5"\n999.5,2,b\n'))
    assert found["y"].tolist() == [1000.63, 999.5]
    assert found["z"].tolist() == ["1,000", "2"]  # it may be a decimal comma
    assert found["word"].tolist() == ["a,000.5", "b"]
