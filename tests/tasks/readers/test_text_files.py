"""Files and folders as text."""

import re
from pathlib import Path

import pytest

from cello.errors import DataError
from cello.tasks.readers.text_files import CONVERT, read_documents, read_text


def test_byte_order_mark_goes_and_line_ends_stay(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf\xc3\xa9\r\nb\n")
    assert read_text(file) == "é\r\nb\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_not_utf8_names_line_and_byte(tmp_path: Path, mark: bytes):
    file = tmp_path / "a.txt"
    file.write_bytes(mark + b"ab\ncd\xe9f\n")
    message = f"{file}:2: not UTF-8: byte 0xe9 at offset {5 + len(mark)}; {CONVERT}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_text(file)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_known_by_its_mark(tmp_path: Path, encoding: str):
    (tmp_path / "a.txt").write_bytes("\ufeffé\r\nb\n".encode(encoding))
    assert read_text(tmp_path / "a.txt") == "é\r\nb\n"
    assert read_documents([tmp_path]) == [("a.txt", "é\nb\n")]


def test_missing_file_and_folder(tmp_path: Path):
    with pytest.raises(DataError, match=r"nothing\.txt: no such file or folder$"):
        read_text(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match=r": is a folder, expected a file$"):
        read_text(tmp_path)
    with pytest.raises(DataError, match=r"nothing: no such file or folder$"):
        read_documents([tmp_path / "nothing"])


def test_what_the_system_refuses(tmp_path: Path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(DataError, match=r"loop: cannot be read: \S"):
        read_text(loop)


def test_folders_with_all_below_them(tmp_path: Path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep" / "b.txt").write_bytes(b"b\r\n")
    (tmp_path / "deep" / "er" / "a.md").write_text("a")
    (tmp_path / "c.txt").write_text("c")
    (tmp_path / ".git" / "config").write_text("hidden")
    (tmp_path / ".hidden").write_text("hidden")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "zero.bin").write_bytes(b"ab\0cd")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 au lait")
    (tmp_path / "late.txt").write_bytes(b"a" * 9000 + b"\xff")
    message = "passed over 3 files that are not UTF-8 text: late.txt, latin.txt, zero.bin"
    with pytest.warns(UserWarning, match=f"^{re.escape(str(tmp_path))}: {message}$"):
        found = read_documents([tmp_path])
    assert found == [("c.txt", "c"), ("deep/b.txt", "b\n"), ("deep/er/a.md", "a")]
    assert read_documents([tmp_path / "c.txt", tmp_path / "deep"]) == [
        ("c.txt", "c"), ("b.txt", "b\n"), ("er/a.md", "a")
    ]  # fmt: skip


def test_of_many_files_that_are_no_text_some_are_named(tmp_path: Path):
    (tmp_path / "a.txt").write_text("a")
    for number in range(7):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\0")
    message = (
        r"passed over 7 files that are not UTF-8 text: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more"
    )
    with pytest.warns(UserWarning, match=f"{message}$"):
        assert read_documents([tmp_path]) == [("a.txt", "a")]


def test_a_character_cut_by_the_look_is_no_fault(tmp_path: Path):
    text = "a" * 8191 + "é" + "b" * 10
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert read_documents([tmp_path]) == [("a.txt", text)]


def test_a_named_file_must_be_text(tmp_path: Path):
    file = tmp_path / "picture"
    file.write_bytes(b"ab\0")
    message = f"{file}: expected text, found a zero byte: the file is binary"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_documents([file])
    file.write_bytes(b"\xff")
    with pytest.raises(DataError, match=":1: not UTF-8: byte 0xff at offset 0"):
        read_documents([file])


def test_no_text_at_all(tmp_path: Path):
    with pytest.raises(DataError, match=f"^no text found in {re.escape(str(tmp_path))}$"):
        read_documents([tmp_path])
    with pytest.raises(DataError, match=r"^no text found in an empty list$"):
        read_documents([])
