"""The text that is on every machine that runs Cello: the source of Python's standard library."""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cello.errors import ArgumentError, DataError

__all__ = ["SPLITS", "Document", "split_documents", "standard_library"]

#: The names of the parts that `split_documents` makes.
SPLITS = ("train", "validation", "test")

#: Fewer modules than this are not the standard library but what is left of it.
_FEWEST_MODULES = 20


class Document(NamedTuple):
    """A named text; `name` is relative ("argparse.py"), never a path of this machine."""

    name: str
    text: str


@functools.cache
def standard_library(folder: str | None = None) -> tuple[Document, ...]:
    """The top-level modules of Python's standard library as text, sorted by name.

    Args:
        folder: where to look; the running Python's own standard library unless given.

    Raises:
        DataError: the source is not there, as in some stripped installations of Python.

    >>> documents = standard_library()
    >>> "argparse.py" in [document.name for document in documents]
    True
    """
    root = Path(folder if folder is not None else sysconfig.get_path("stdlib"))
    # Only modules that Python itself names: the folder also holds files of this installation.
    paths = sorted(p for p in root.glob("*.py") if p.stem in sys.stdlib_module_names)
    if len(paths) < _FEWEST_MODULES:
        raise DataError(
            "the source of Python's standard library, which is the default data, is not on this "
            f"machine: expected at least {_FEWEST_MODULES} modules (*.py), found {len(paths)}; "
            "give files of your own, or use a Python that comes with its source"
        )
    return tuple(Document(path.name, _read_source(path)) for path in paths)


def _read_source(path: Path) -> str:
    try:
        with tokenize.open(path) as file:  # knows the encoding line and makes every line end \n
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        # The error's own words may name this machine's folders.
        reason = error.strerror if isinstance(error, OSError) else "not in the encoding it declares"
        raise DataError(f"{path.name}: cannot be read as Python source: {reason}") from error


def split_documents(
    documents: Sequence[Document], *, validation: float = 0.1, test: float = 0.1
) -> dict[str, list[Document]]:
    """Split by document into train, validation and test.

    The documents are put in the order of a hash of their names, which is the same everywhere;
    the first of them, up to the share `test` of all characters, are the test part, the next are
    for validation, and the others for training. Each part gets at least one document.

    Args:
        documents: at least three, with distinct names.
        validation: the share of the characters for validation, between 0 and 1.
        test: the share of the characters for the test, between 0 and 1.

    Raises:
        ArgumentError: a share is not between 0 and 1, or the two leave nothing for training.
        DataError: fewer than three documents.

    >>> parts = split_documents([Document(f"{i}.txt", "text") for i in range(10)])
    >>> [len(parts[name]) for name in ("train", "validation", "test")]
    [8, 1, 1]
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise ArgumentError(f"must be a share between 0 and 1, got {share}", argument=name)
    if validation + test >= 1:
        raise ArgumentError(
            f"validation and test must leave something for training, got {validation} + {test}"
        )
    if len(documents) < len(SPLITS):
        raise DataError(
            "expected at least 3 documents to split into train, validation and test, "
            f"found {len(documents)}; give each part its own files"
        )
    order = sorted(documents, key=lambda d: (hashlib.sha256(d.name.encode()).digest(), d.name))
    total = sum(len(document.text) for document in order)
    parts: dict[str, list[Document]] = {name: [] for name in SPLITS}
    rest = order
    for name, share in (("test", test), ("validation", validation)):
        later = len(SPLITS) - 1 if name == "test" else 1  # documents that the others need
        size = 0
        while len(rest) > later:
            middle = size + len(rest[0].text) / 2
            if parts[name] and middle > share * total:
                break
            size += len(rest[0].text)
            parts[name].append(rest[0])
            rest = rest[1:]
    parts["train"] = rest
    return {name: sorted(parts[name]) for name in SPLITS}
