"""Text out of files and folders, with errors that say what is wrong and where."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cello.errors import DataError
from cello.tasks.corpus import Document

__all__ = ["read_documents", "read_text"]

#: How much of a file is looked at to tell whether it is text.
_LOOK = 8192


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; line ends stay as they are.

    Raises:
        DataError: there is no such file, it cannot be read, or is not UTF-8 (names the byte and
            the line).
    """
    data = _read_bytes(Path(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts from the end of the byte order mark.
        at = error.start + (len(data) - len(error.object))
        line = data.count(b"\n", 0, at) + 1
        raise DataError(
            f"{path}:{line}: not UTF-8: byte 0x{data[at]:02x} at offset {at}; convert the file to "
            "UTF-8 first"
        ) from error


def read_documents(paths: Iterable[str | Path]) -> list[Document]:
    """The text files among `paths`, folders with all that is below them, in order of their names.

    In folders, files that are not UTF-8 text (with a zero byte or an invalid one in their first
    8,192 bytes), empty files and names that begin with a dot are passed over; a file that is named
    itself must be text. Line ends become LF. A document's name is the path inside the folder.

    Raises:
        DataError: a path does not exist or cannot be read, a named file is no text, or nothing
            is left.
    """
    places = [Path(path) for path in paths]
    documents: list[Document] = []
    for path in places:
        if path.is_dir():
            for file in _files_below(path):
                if _looks_like_text(file):
                    documents.append(_document(file, file.relative_to(path).as_posix()))
        else:
            if b"\0" in _read_bytes(path)[:_LOOK]:
                raise DataError(f"{path}: expected text, found a zero byte: the file is binary")
            documents.append(_document(path, path.name))
    documents = [document for document in documents if document.text]
    if not documents:
        raise DataError(f"no text found in {', '.join(map(str, places)) or 'an empty list'}")
    return documents


def _document(file: Path, name: str) -> Document:
    return Document(name, read_text(file).replace("\r\n", "\n"))


def _files_below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )


def _looks_like_text(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_LOOK)
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the piece cuts in two is no fault of the file.
        return b"\0" not in start and error.end == len(start) == _LOOK
    return b"\0" not in start


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder, expected a file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
