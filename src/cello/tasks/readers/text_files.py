"""Text out of files and folders, with errors that say what is wrong and where."""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cello.errors import DataError
from cello.tasks.readers.corpus import Document

__all__ = ["CONVERT", "check_there", "encoding_of", "read_documents", "read_text"]

#: What to do with a file in another encoding.
CONVERT = "convert the file to UTF-8 first, such as by iconv -f cp1252 -t utf-8 FILE > NEW"

#: How much of a file is looked at to tell whether it is text.
_LOOK = 8192

#: So many names of files are told.
_SHOWN = 5


def check_there(paths: Iterable[str | Path], *, folders: bool = False) -> None:
    """Check that all files can be read, before time is spent on reading the first one.

    Args:
        paths: of files.
        folders: whether folders are wanted too.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    for path in map(Path, paths):
        if not (folders and path.is_dir()):
            with _telling(path), open(path, "rb"):
                pass


def encoding_of(start: bytes) -> str:
    """The encoding of a text that begins so: what its byte order mark says, else UTF-8.

    >>> encoding_of(b"plain"), encoding_of("plain".encode("utf-16"))
    ('utf-8-sig', 'utf-16')
    """
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if wide and not start.startswith(codecs.BOM_UTF32_LE) else "utf-8-sig"


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its byte order mark. Line ends stay.

    Raises:
        DataError: there is no such file, it cannot be read, or is not UTF-8 (names the byte and
            the line).
    """
    return _decoded(path, _read_bytes(Path(path)))


def _decoded(path: str | Path, data: bytes) -> str:
    try:
        return data.decode(encoding_of(data))
    except UnicodeDecodeError as error:
        # The decoder counts from the end of the byte order mark.
        at = error.start + (len(data) - len(error.object))
        line = data.count(b"\n", 0, at) + 1
        raise _NoTextError(
            f"{path}:{line}: not UTF-8: byte 0x{data[at]:02x} at offset {at}; {CONVERT}"
        ) from error


def read_documents(paths: Iterable[str | Path]) -> list[Document]:
    """The text files among `paths`, folders with all that is below them, in order of their names.

    In folders, empty files and names that begin with a dot are passed over, and so are files that
    are not UTF-8 text, which a warning names; a file that is named itself must be text. Line ends
    become LF. A document's name is the path inside the folder.

    Raises:
        DataError: a path does not exist or cannot be read, a named file is no text, or nothing
            is left.
    """
    places = [Path(path) for path in paths]
    documents: list[Document] = []
    for path in places:
        if path.is_dir():
            documents.extend(_documents_below(path))
        else:
            documents.append(_document(path, path.name))
    documents = [document for document in documents if document.text]
    if not documents:
        raise DataError(f"no text found in {', '.join(map(str, places)) or 'an empty list'}")
    return documents


class _NoTextError(DataError):
    """A file is not UTF-8 text."""


def _documents_below(folder: Path) -> list[Document]:
    found, passed_over = [], []
    for file in _files_below(folder):
        name = file.relative_to(folder).as_posix()
        try:
            found.append(_document(file, name))
        except _NoTextError:
            passed_over.append(name)
    if passed_over:
        count, shown = len(passed_over), ", ".join(passed_over[:_SHOWN])
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        files = "1 file that is" if count == 1 else f"{count} files that are"
        warnings.warn(f"{folder}: passed over {files} not UTF-8 text: {shown}{more}", stacklevel=3)
    return found


def _document(file: Path, name: str) -> Document:
    data = _read_bytes(file)
    if b"\0" in data[:_LOOK] and encoding_of(data) != "utf-16":
        raise _NoTextError(f"{file}: expected text, found a zero byte: the file is binary")
    return Document(name, _decoded(file, data).replace("\r\n", "\n"))


def _files_below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )


def _read_bytes(path: Path) -> bytes:
    with _telling(path):
        return path.read_bytes()


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors say why a file cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder, expected a file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
