"""Columns of CoNLL files by name: those of CoNLL-U, of the file's own head, or given ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cello.errors import DataError
from cello.ranges import shown
from cello.tasks.readers.text_files import read_text

__all__ = ["CONLL_U", "column_numbers"]

#: https://universaldependencies.org/format.html
CONLL_U = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")

#: In CoNLL-U Plus, the first line names the columns.
_HEAD = "global.columns"


def column_numbers(
    path: str | Path, columns: Sequence[int | str], names: Sequence[str] = ()
) -> tuple[int, ...]:
    r"""The numbers of columns, counted from 0, of which some are told by name.

    Args:
        path: the file.
        columns: numbers, which stay as they are, and names, in capitals or not.
        names: of the file's columns, in their order. Unless given, they are those in its line
            `# global.columns = …`; else, if it is CoNLL-U (10 columns with tabs between, the first
            of them counting), that format's.

    Raises:
        DataError: the file has no such column, or does not tell how its columns are called.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "x.conllup"
    ...     _ = file.write_text("# global.columns = ID FORM UPOS\n1\tgo\tVERB\n")
    ...     column_numbers(file, ["form", -1])
    (1, -1)
    """
    if not any(isinstance(column, str) for column in columns):
        return tuple(int(column) for column in columns)
    known = tuple(names) or _names_of(read_text(path))
    numbers = []
    for column in columns:
        if isinstance(column, str):
            alike = [i for i, name in enumerate(known) if name.casefold() == column.casefold()]
            exact = [i for i in alike if known[i] == column]
            found = exact or alike
            if len(found) != 1:
                told = f"its columns are {', '.join(known)}" if known else (
                    "it does not tell how its columns are called: give a number, counted from 0, "
                    "or their names (--columns)"
                )  # fmt: skip
                many = "no column" if not found else f"{len(found)} columns"
                raise DataError(f"{path}: has {many} called {shown(column)}; {told}")
            column = found[0]
        numbers.append(column)
    return tuple(numbers)


def _names_of(text: str) -> tuple[str, ...]:
    """What a file itself says of its columns; nothing if it does not."""
    for line in _lines(text):
        if line.startswith("#"):
            name, sign, told = line[1:].partition("=")
            if sign and name.strip() == _HEAD and told.split():
                return tuple(told.split())
        elif line.strip():
            row = line.split("\t")
            first = row[0].strip()
            counts = len(row) == len(CONLL_U) and first in ("1", "1-2", "0.1")
            return CONLL_U if counts else ()
    return ()


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end].removesuffix("\r")
        start = end + 1
