"""Files of one token and its columns a line, a blank line between sequences: the CoNLL form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cello.errors import ArgumentError, DataError
from cello.tasks.text_files import read_text

__all__ = ["TaggedSequence", "format_rows", "read_conll", "read_rows"]

Row = tuple[str, ...]

_DOCUMENT_START = "-DOCSTART-"


class TaggedSequence(NamedTuple):
    """Tokens and their tags, equally many; `tags` is empty where a file has none."""

    tokens: Row
    tags: Row


def read_conll(path: str | Path, *, token: int = 0, tag: int | None = -1) -> list[TaggedSequence]:
    """The sequences of a CoNLL file: one column as tokens, one as tags.

    Args:
        path: the file; see `read_rows` for its form.
        token: index of the column that holds the tokens; negative ones count from the last.
        tag: index of the column that holds the tags, or None to read tokens alone.

    Raises:
        DataError: as `read_rows`; or there is no such column; or, with `tag` given, the token and
            the tag are the same column.
    """
    sequences, first_line = _read(path)
    columns = len(sequences[0][0])
    for name, index in (("token", token), ("tag", tag)):
        if index is not None and not -columns <= index < columns:
            raise DataError(
                f"{path}:{first_line}: there is no column {index} for the {name}: "
                f"the line has {_columns(columns)}"
            )
    if tag is None:
        return [TaggedSequence(tuple(row[token] for row in rows), ()) for rows in sequences]
    if token % columns == tag % columns:
        raise DataError(
            f"{path}:{first_line}: expected the token and its tag in two columns, found both in "
            f"column {token % columns + 1} of {columns}"
        )
    return [
        TaggedSequence(tuple(row[token] for row in rows), tuple(row[tag] for row in rows))
        for rows in sequences
    ]


def read_rows(path: str | Path) -> list[list[Row]]:
    """The sequences of a CoNLL file, each a list of rows with all their columns.

    UTF-8, with or without a byte order mark; lines end in LF or CRLF. If the first row holds a
    tab, columns are what stands between single tabs and may hold spaces; if not, they are
    separated by any run of spaces and tabs. Lines that begin with `-DOCSTART-` end a sequence and
    are left out, as is usual in training.

    Raises:
        DataError: the file cannot be read, is not UTF-8 (names the byte), holds no row, or a row
            has an empty column or not as many columns as the first one (names the line).
    """
    return _read(path)[0]


def format_rows(sequences: Iterable[Sequence[Sequence[str]]], *, separator: str = " ") -> str:
    """The text of a CoNLL file that `read_rows` reads back as `sequences`.

    Args:
        sequences: none empty, each a list of rows, all with the same number of columns.
        separator: a space or a tab; with a tab, columns may hold spaces.

    Raises:
        ArgumentError: the rows could not be read back: a column is empty, or holds a line end or
            the separator, or the rows differ in length.

    >>> print(format_rows([[("Taipei", "B-to")], [("on", "O"), ("Monday", "B-time")]]), end="")
    Taipei B-to
    <BLANKLINE>
    on O
    Monday B-time
    <BLANKLINE>
    """
    if separator not in (" ", "\t"):
        raise ArgumentError(f"separator must be a space or a tab, got {separator!r}")
    columns: int | None = None
    parts: list[str] = []
    for rows in sequences:
        if not rows:
            raise ArgumentError("sequences must not be empty, got one without rows")
        for row in rows:
            columns = len(row) if columns is None else columns
            _check_row(row, columns, separator, first=not parts)
            parts.append(separator.join(row) + "\n")
        parts.append("\n")
    return "".join(parts)


def _check_row(row: Sequence[str], columns: int, separator: str, *, first: bool) -> None:
    if not row or len(row) != columns:
        raise ArgumentError(f"rows must have {_columns(columns or 1)}, got {tuple(row)!r}")
    # A lone column cannot hold spaces: without a tab in it, the line would be split at them.
    forbidden = "\n\r\t" + ("" if separator == "\t" and columns > 1 else " ")
    for column in row:
        if not column.strip(" ") or any(character in column for character in forbidden):
            raise ArgumentError(
                f"columns must not be empty or hold line ends or separators, got {column!r}"
            )
    if row[0].lstrip(" ").startswith(_DOCUMENT_START):
        raise ArgumentError(f"the first column must not begin with {_DOCUMENT_START}, got {row!r}")
    if first and row[0].startswith("\ufeff"):
        raise ArgumentError(f"the first column must not begin with a byte order mark, got {row!r}")


def _read(path: str | Path) -> tuple[list[list[Row]], int]:
    """The sequences, and the number of the line that holds the first row."""
    sequences: list[list[Row]] = [[]]
    columns = first_line = 0
    tabs = False
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.removesuffix("\r")
        stripped = line.strip(" \t")
        if not stripped or stripped.startswith(_DOCUMENT_START):
            if sequences[-1]:
                sequences.append([])
            continue
        if not columns:
            tabs = "\t" in line
        row = tuple(line.split("\t")) if tabs else tuple(re.split(r"[ \t]+", stripped))
        if not columns:
            columns, first_line = len(row), number
        if len(row) != columns:
            raise DataError(
                f"{path}:{number}: expected {_columns(columns)} as on the first line, "
                f"found {len(row)}: {_shortened(line)!r}"
            )
        if "" in row:
            raise DataError(
                f"{path}:{number}: column {row.index('') + 1} is empty: {_shortened(line)!r}"
            )
        sequences[-1].append(row)
    if not sequences[-1]:
        sequences.pop()
    if not sequences:
        raise DataError(
            f"{path}: holds no tokens: expected one token a line, with a blank line between "
            "sequences"
        )
    return sequences, first_line


def _columns(count: int) -> str:
    return f"{count} column" if count == 1 else f"{count} columns"


def _shortened(line: str, longest: int = 60) -> str:
    return line if len(line) <= longest else line[:longest] + "…"
