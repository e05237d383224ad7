"""Files of one token and its columns a line, a blank line between sequences: the CoNLL form."""

from __future__ import annotations

import re
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cello.errors import ArgumentError, DataError
from cello.tasks.readers.column_names import column_numbers
from cello.tasks.readers.text_files import read_text

__all__ = [
    "TaggedSequence",
    "format_rows",
    "read_columns",
    "read_conll",
    "read_rows",
    "separator_of",
]

Row = tuple[str, ...]

_DOCUMENT_START = "-DOCSTART-"


class TaggedSequence(NamedTuple):
    """Tokens and their tags, equally many; `tags` is empty where a file has none."""

    tokens: Row
    tags: Row


def read_conll(
    path: str | Path, *, token: int | str = 0, tag: int | str | None = -1, tagless: bool = False
) -> list[TaggedSequence]:
    """The sequences of a CoNLL file: one column as tokens, one as tags.

    Args:
        path: the file; see `read_rows` for its form.
        token: index of the column that holds the tokens, counted from 0; negative ones count from
            the last; or its name, see `column_numbers`.
        tag: index of the column that holds the tags, or None to read tokens alone.
        tagless: whether a file is read too whose first row has no column for the tags, or that of
            the tokens alone.

    With both counted from 0, rows may have any number of columns, such as one for each predicate
    of a sentence, as long as each has these. A column that is counted from the last means one
    column only where all rows have equally many; blank ones at their end do not count. Where there
    are tokens alone and spaces separate columns, rows of one sequence have equally many: anything
    else is running text.

    Raises:
        DataError: as `read_rows`; or a row (the line is named) has no such column, or it is blank;
            or rows differ where a column is counted from the last; or, with `tag` given, the token
            and the tag are the same column; or the token is the number of a word in CoNLL-U.
    """
    found = read_columns(path, token=token, tag=tag, tagless=tagless)
    return [TaggedSequence(tokens, *(tags or [()])) for tokens, *tags in found]


def read_columns(
    path: str | Path,
    *,
    token: int | str,
    tag: int | str | None,
    names: Sequence[str] = (),
    tagless: bool = False,
) -> Iterator[tuple[Row, ...]]:
    """As `read_conll`, one sequence after the other: its tokens and, with `tag`, its tags.

    Equal texts are one object, so that a large file takes little memory.
    """
    token, *told = column_numbers(path, [token] if tag is None else [token, tag], names)
    tag = told[0] if told else None
    text = read_text(path)
    form = _form(path, text)
    if tagless and tag is not None and _lacks(form, token, tag):
        tag = None
    asked = {name: i for name, i in (("token", token), ("tag", tag)) if i is not None}
    from_last = next((index for index in asked.values() if index < 0), None)
    if problem := _problem(form, token, tag):
        if from_last is not None:  # a line that is wrong is told first
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                deque(_sequences(path, text, form, from_last=from_last), maxlen=0)
        raise DataError(f"{path}:{form.first_line}: {problem}")
    columns = {name: index % form.columns if index < 0 else index for name, index in asked.items()}
    same: dict[str, str] = {}
    for rows in _sequences(path, text, form, columns, from_last):
        yield tuple(tuple(same.setdefault(r[i], r[i]) for r in rows) for i in columns.values())


def _lacks(form: _Form, token: int, tag: int) -> bool:
    """Whether there is no column for the tags beside that of the tokens."""
    return not -form.columns <= tag < form.columns or tag % form.columns == token % form.columns


def _problem(form: _Form, token: int, tag: int | None) -> str | None:
    """Why these columns cannot be read."""
    count = form.columns
    for name, index in (("token", token), ("tag", tag)):
        if index is not None and not -count <= index < count:
            return _no_column(name, index, count)
    if tag is not None and token % count == tag % count:
        return (
            "expected the token and its tag in two columns, found both in column "
            f"{token % count}, counted from 0; the line has {_columns(count)}"
        )
    if form.numbered and token % count == 0:
        return (
            "column 0 holds the numbers of the words, as in CoNLL-U: take another one for the "
            "token, such as 1 (--token 1), and for the tag such as 3 (--tag 3)"
        )
    return None


def _no_column(name: str, index: int, count: int) -> str:
    return (
        f"there is no column {index} for the {name}: the line has {_columns(count)}, counted from 0"
    )


def read_rows(path: str | Path) -> list[list[Row]]:
    """The sequences of a CoNLL file, each a list of rows with all their columns.

    UTF-8, with or without a byte order mark; lines end in LF or CRLF. If the first row holds a
    tab, columns are what stands between single tabs, and may hold spaces or be blank; if not, they
    are separated by any run of spaces and tabs. Lines that begin with `-DOCSTART-` end a sequence
    and are left out, as is usual in training.

    A line that begins with `#` is a row if it has as many columns as others of its sequence, else a
    comment, and left out. In CoNLL-U, where column 0 counts the words, so are the rows of
    contracted words (`1-2`) and empty nodes (`5.1`). Warnings say how many there are, and where
    lines of a sequence differ in columns that spaces separate: a token may hold one.

    Raises:
        DataError: the file cannot be read, is not UTF-8 (names the byte), or holds no row.
    """
    text = read_text(path)
    return list(_sequences(path, text, _form(path, text)))


def separator_of(path: str | Path) -> str:
    """What separates the columns of a file: a tab, or a space.

    Raises:
        DataError: as `read_rows`.
    """
    return "\t" if _form(path, read_text(path)).tabs else " "


def format_rows(sequences: Iterable[Sequence[Sequence[str]]], *, separator: str = " ") -> str:
    """The text of a CoNLL file that `read_rows` reads back as `sequences`.

    Args:
        sequences: none empty, each a list of rows, all with the same number of columns.
        separator: a space or a tab; with a tab, columns may hold spaces, and all but the last may
            be empty.

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
    tabs = separator == "\t" and columns > 1
    forbidden = "\n\r\t" + ("" if tabs else " ")
    for place, column in enumerate(row, start=1):
        may_be_empty = tabs and place < columns and not column
        blank = not column.strip(" ") and not may_be_empty
        if blank or any(character in column for character in forbidden):
            raise ArgumentError(
                f"columns must not be empty or hold line ends or separators, got {column!r}"
            )
    if "".join(row).lstrip(" ").startswith(_DOCUMENT_START):
        raise ArgumentError(f"the first column must not begin with {_DOCUMENT_START}, got {row!r}")
    if first and row[0].startswith("\ufeff"):
        raise ArgumentError(f"the first column must not begin with a byte order mark, got {row!r}")


class _Form(NamedTuple):
    """How a file is written: as its first row and sequence are."""

    columns: int
    first_line: int
    tabs: bool
    numbered: bool  # column 0 counts the words of a sequence: CoNLL-U


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """The number of each line, the line, and the line without spaces around it."""
    start, number = 0, 0
    while start <= len(text):  # one line at a time: all of them take ten times the text's memory
        end = text.find("\n", start)
        end, number = len(text) if end < 0 else end, number + 1
        line = text[start:end].removesuffix("\r")
        yield number, line, line.strip(" \t")
        start = end + 1


def _split(line: str, tabs: bool) -> Row:
    return tuple(line.split("\t")) if tabs else tuple(re.split(r"[ \t]+", line.strip(" \t")))


def _width(row: Row) -> int:
    """How many columns a row has, but for blank ones at its end."""
    count = len(row)
    while count and not row[count - 1].strip(" "):
        count -= 1
    return count


def _ends_sequence(stripped: str) -> bool:
    return not stripped or stripped.startswith(_DOCUMENT_START)


def _form(path: str | Path, text: str) -> _Form:
    """The form of a file, by its first row that is surely no comment."""
    first = None
    for number, line, stripped in _lines(text):
        if _ends_sequence(stripped):
            continue
        if first is None or not stripped.startswith("#"):
            first = number, line
        if not stripped.startswith("#"):
            break
    if first is None:
        raise DataError(
            f"{path}: holds no tokens: expected one token a line, with a blank line between "
            "sequences"
        )
    number, line = first
    tabs = "\t" in line
    return _Form(_width(_split(line, tabs)), number, tabs, tabs and _is_numbered(text, number))


def _is_numbered(text: str, first_line: int) -> bool:
    """Whether column 0 of the first sequence counts 1, 2, 3 …, but for what stands between."""
    expected = 1
    for number, line, stripped in _lines(text):
        if number < first_line or stripped.startswith("#"):
            continue
        if _ends_sequence(stripped):
            break
        row = _split(line, True)
        if len(row) >= 3 and _BETWEEN.fullmatch(row[0]):
            continue
        if len(row) < 3 or row[0] != str(expected):
            return False
        expected += 1
    return expected > 1


def _sequences(
    path: str | Path,
    text: str,
    form: _Form,
    columns: Mapping[str, int] | None = None,
    from_last: int | None = None,
) -> Iterator[list[Row]]:
    """The rows of each sequence; at the end, warnings say what was left out.

    Args:
        path: for what is said.
        text: of the file.
        form: of the text.
        columns: what each row must have, counted from 0.
        from_last: a column that is counted from the last, for which all rows must be alike.
    """
    found: Counter[str] = Counter()
    uneven: list[int] = []
    for lines in _groups(text):
        split = [(number, line, _split(line, form.tabs)) for number, line in lines]
        hashes = [line.lstrip(" \t").startswith("#") for _, line in lines]
        widths = {_width(row) for (_, _, row), h in zip(split, hashes, strict=True) if not h}
        rows = []
        for (number, line, row), is_hash in zip(split, hashes, strict=True):
            width = _width(row)
            if is_hash and width not in (widths or {form.columns}):
                found["comments"] += 1
                continue
            if problem := _row_problem(row, width, form, columns or {}, from_last):
                raise DataError(f"{path}:{number}: {problem.format(line=repr(_shortened(line)))}")
            if form.numbered and _BETWEEN.fullmatch(row[0]):
                found["between"] += 1
                continue
            found["hashes"] += row[0] == "#"
            rows.append(row)
        if len(widths) > 1 and not form.tabs:
            number, line, row = next(one for one in split if len(one[2]) != len(rows[0]))
            if columns is not None and "tag" not in columns:
                raise DataError(
                    f"{path}:{number}: expected {_columns(len(rows[0]))} as on other lines of its "
                    f"sequence, found {len(row)}: {_shortened(line)!r}; where spaces separate "
                    "columns, a token cannot hold one, and running text cannot be read: put each "
                    "token on a line of its own"
                )
            uneven.append(number)
        if rows:
            yield rows
    for what, told in _TOLD.items():
        if found[what]:
            warnings.warn(f"{path}: {told.format(n=found[what])}", stacklevel=4)
    if uneven:
        warnings.warn(
            f"{path}:{uneven[0]}: has not as many columns as other lines of its sequence, and so "
            f"in {len(uneven):,} sequences: where spaces separate columns, a token cannot hold one",
            stacklevel=4,
        )


def _row_problem(
    row: Row, width: int, form: _Form, columns: Mapping[str, int], from_last: int | None
) -> str | None:
    """What is wrong with a row; `{line}` stands for it."""
    blank = [i for i in columns.values() if i < len(row) and not row[i].strip(" ")]
    if blank:
        return f"column {blank[0]}, counted from 0, is empty: {{line}}"
    if from_last is not None and width != form.columns:
        return (
            f"expected {_columns(form.columns)} as on line {form.first_line}, found {width}: "
            f"{{line}}; column {from_last} is counted from the last, which needs equally many in "
            "each line (one counted from 0 does not)"
        )
    for name, index in columns.items():
        if index >= len(row):
            return f"{_no_column(name, index, width)}: {{line}}"
    return None


def _groups(text: str) -> Iterator[list[tuple[int, str]]]:
    """The lines of each sequence, comments among them, with their numbers."""
    lines: list[tuple[int, str]] = []
    for number, line, stripped in _lines(text):
        if not _ends_sequence(stripped):
            lines.append((number, line))
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


#: The number of a row that is no word of its own in CoNLL-U.
_BETWEEN = re.compile(r"\d+-\d+|\d+\.\d+")
_TOLD = {
    "comments": "left out {n:,} of the lines that begin with #, as comments: they do not have "
    "as many columns as the others",
    "hashes": "{n:,} of the lines that begin with # have as many columns as the others: # is a "
    "token there",
    "between": "left out {n:,} rows of contracted words (1-2) and empty nodes (5.1) of CoNLL-U",
}


def _columns(count: int) -> str:
    return f"{count} column" if count == 1 else f"{count} columns"


def _shortened(line: str, longest: int = 60) -> str:
    return line if len(line) <= longest else line[:longest] + "…"
