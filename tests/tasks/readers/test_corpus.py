"""The default text: found on this machine, split by file, the same everywhere."""

import random
import re
import sysconfig
from pathlib import Path

import pytest

from cello.errors import ArgumentError, DataError
from cello.tasks.readers.corpus import SPLITS, Document, split_documents, standard_library


def documents(count: int, size: int = 100) -> list[Document]:
    return [Document(f"file{number}.py", "x" * size) for number in range(count)]


def test_standard_library_is_there_and_names_no_path():
    found = standard_library()
    names = [document.name for document in found]
    assert len(names) > 100
    assert names == sorted(set(names))
    assert {"argparse.py", "ast.py", "typing.py"} <= set(names)
    assert not any("/" in name or "\\" in name for name in names)
    assert sum(len(document.text) for document in found) > 3_000_000


def test_files_of_this_installation_are_not_part_of_it():
    """The folder also holds the settings with which this Python was built, paths included."""
    here = sysconfig.get_path("stdlib")
    texts = [document.text for document in standard_library()]
    assert not any(document.name.startswith("_sysconfigdata") for document in standard_library())
    assert not any(sysconfig.get_config_var("CONFIG_ARGS") in text for text in texts)
    assert not any(f'"{here}"' in text or f"'{here}'" in text for text in texts)


def test_a_python_without_its_source_is_a_clear_error(tmp_path: Path):
    (tmp_path / "argparse.py").write_text("x = 1\n")
    (tmp_path / "mine.py").write_text("x = 1\n")
    with pytest.raises(DataError) as caught:
        standard_library(str(tmp_path))
    assert str(caught.value) == (
        "the source of Python's standard library, which is the default data, is not on this "
        "machine: expected at least 20 modules (*.py), found 1; give files of your own, or use a "
        "Python that comes with its source"
    )


def test_a_broken_module_is_named_without_its_path(tmp_path: Path):
    for document in standard_library()[:30]:
        (tmp_path / document.name).write_text(document.text, encoding="utf-8")
    (tmp_path / "ast.py").write_bytes(b"# \xff\n")
    with pytest.raises(
        DataError,
        match=r"^ast\.py: cannot be read as Python source: not in the encoding it declares$",
    ):
        standard_library(str(tmp_path))


def test_encoding_lines_and_line_ends_are_honoured(tmp_path: Path):
    for document in standard_library()[:30]:
        (tmp_path / document.name).write_text(document.text, encoding="utf-8")
    (tmp_path / "ast.py").write_bytes(b"# coding: latin-1\r\n# \xe9\r\n")
    found = {document.name: document.text for document in standard_library(str(tmp_path))}
    assert found["ast.py"] == "# coding: latin-1\n# é\n"


def test_split_holds_each_document_once_and_keeps_the_shares():
    parts = split_documents(standard_library())
    assert tuple(parts) == SPLITS
    assert sorted(d for part in parts.values() for d in part) == list(standard_library())
    total = sum(len(d.text) for d in standard_library())
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert sum(len(d.text) for d in parts[name]) / total == pytest.approx(share, abs=0.02)


def test_split_depends_on_names_alone():
    found = documents(40)
    shuffled = random.Random(1).sample(found, len(found))
    assert split_documents(found) == split_documents(shuffled)
    assert [d.name for d in split_documents(found)["test"]] == [
        d.name for d in split_documents([Document(d.name, "y" * 100) for d in found])["test"]
    ]


def test_no_part_is_empty_however_the_sizes_are():
    for sizes in ((1, 1, 1), (1000, 1, 1), (1, 1000, 1), (1, 1, 1000), (5, 1000, 1000, 1)):
        found = [Document(f"{number}", "x" * size) for number, size in enumerate(sizes)]
        assert all(split_documents(found).values()), sizes


def test_split_of_too_few_documents():
    with pytest.raises(
        DataError,
        match=re.escape(
            "expected at least 3 documents to split into train, validation and test, found 2; "
            "give each part its own files"
        ),
    ):
        split_documents(documents(2))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"test": 0.0}, "test must be a share between 0 and 1, got 0.0"),
        ({"validation": 1.5}, "validation must be a share between 0 and 1, got 1.5"),
        (
            {"validation": 0.5, "test": 0.5},
            "validation and test must leave something for training, got 0.5 + 0.5",
        ),
    ],
)
def test_shares_out_of_range(shares: dict[str, float], message: str):
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        split_documents(documents(5), **shares)
