"""Vectors of words that others have trained, from a text file: a word and its numbers a line.

The formats of word2vec, GloVe and fastText: the same lines, for word2vec and fastText below a first
one that says how many words and numbers there are.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cello.errors import DataError
from cello.tasks.readers.text_files import check_there

__all__ = ["Vectors", "read_vectors"]

#: No vector is longer, nor a line: a file with longer ones is no file of vectors.
_MOST_NUMBERS, _LONGEST = 100_000, 2**21


class Vectors(NamedTuple):
    """Words and their vectors, [N, D]; a word that is only there in lower case has that vector."""

    words: list[str]
    table: Tensor

    @property
    def size(self) -> int:
        """How many numbers a word has."""
        return self.table.shape[1]


def read_vectors(path: str | Path, wanted: Iterable[str], most: int | None = None) -> Vectors:
    r"""The vectors of some words, and of the first words of the file beside them.

    Args:
        path: the file. Tokens may hold spaces, as some of GloVe's do. Of a word that stands there
            twice, the first vector counts.
        wanted: the words.
        most: so many words at most; all of the file if None. Wanted ones come first.

    Raises:
        DataError: the file cannot be read, or a line (it is named) has not as many numbers as
            others, or what is no number, is empty or too long; of words that are not taken, only
            how many numbers there are is looked at.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "x.vec"
    ...     _ = file.write_text("3 2\nto 0 1\nof 1 0\nrome 5 6\n")
    ...     vectors = read_vectors(file, ["Rome", "Oslo"], most=3)
    >>> vectors.words, vectors.table.tolist()
    (['Rome', 'rome', 'to'], [[5.0, 6.0], [5.0, 6.0], [0.0, 1.0]])
    """
    check_there([path])
    names = list(dict.fromkeys(wanted))
    lower = {name.lower(): name for name in names}
    ours = {*names, *lower}
    rows: dict[str, array[float]] = {}
    others: list[str] = []
    for number, word, fields in _lines(path):
        if word in rows or (word not in ours and most is not None and len(others) >= most):
            continue
        rows[word] = _numbers(path, number, fields)
        if word not in ours:
            others.append(word)
    found = {name: rows[name if name in rows else name.lower()] for name in names
             if name in rows or name.lower() in rows}  # fmt: skip
    for word in [*(word for word in rows if word in ours), *others]:
        if most is None or len(found) < most:
            found.setdefault(word, rows[word])
    if not found:
        raise DataError(f"{path}: has a vector for none of the words of the training data")
    flat = array("f")
    for values in found.values():
        flat.extend(values)
    table = torch.frombuffer(flat, dtype=torch.float32).clone().view(len(found), -1)
    return Vectors(list(found), table)


def _lines(path: str | Path) -> Iterator[tuple[int, str, list[bytes]]]:
    """The number, word and numbers of each line."""
    size = count = None
    number = words = 0
    with open(path, "rb") as file:
        while line := file.readline(_LONGEST + 1):
            number += 1
            if len(line) > _LONGEST:
                raise DataError(f"{path}:{number}: the line has no end: this is no text of vectors")
            parts = line.rstrip(b" \t\r\n").replace(b"\t", b" ").split(b" ")
            if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                count, size = (int(part[:12]) for part in parts)
                _check_size(path, number, size)
                continue
            if size is None:
                size = len(parts) - 1
                _check_size(path, number, size)
            # A token may hold spaces; what is a number before the last D is one too many.
            if len(parts) <= size or (len(parts) > size + 1 and _is_number(parts[-size - 1])):
                raise DataError(
                    f"{path}:{number}: expected a word and {size} numbers, as "
                    f"{'the first line says' if count is not None else 'on the first line'}, "
                    f"found {len(parts) - 1}"
                )
            word = b" ".join(parts[:-size])
            if not word:
                raise DataError(f"{path}:{number}: expected a word before the numbers")
            words += 1
            yield number, word.decode("utf-8", "replace"), parts[-size:]
    if not words:
        raise DataError(f"{path}: holds no vectors: expected a word and its numbers a line")
    if count is not None and words < count:
        raise DataError(
            f"{path}:{number}: the file ends after {words:,} words; its first line says {count:,}"
        )


def _check_size(path: str | Path, number: int, size: int) -> None:
    if not 1 <= size <= _MOST_NUMBERS:
        raise DataError(
            f"{path}:{number}: expected a word and its numbers, or how many words there are and "
            f"how many numbers each has (up to {_MOST_NUMBERS:,})"
        )


def _is_number(part: bytes) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return True


def _numbers(path: str | Path, number: int, fields: list[bytes]) -> array[float]:
    for field in fields:
        if not _is_number(field) or not abs(float(field)) < 3e38 or math.isnan(float(field)):
            shown = field[:30].decode("utf-8", "replace")
            raise DataError(f"{path}:{number}: expected numbers, found {shown!r}")
    return array("f", map(float, fields))
