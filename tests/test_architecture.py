"""`docs/architecture.md` names files; each of them is there, and every room says what it is for."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:src|tests|docs)/[\w./-]+)`", PAGE)))
ROOMS = sorted(path.parent for path in (ROOT / "src" / "cello").rglob("__init__.py"))


TESTED = sorted({path.parent for path in (ROOT / "tests").rglob("test_*.py")} - {ROOT / "tests"})


def test_the_page_names_files():
    assert len(NAMED) > 40


@pytest.mark.parametrize("path", NAMED)
def test_a_named_file_is_there(path: str):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT / "src")))
def test_a_room_says_what_it_is_for_and_holds_few_files(room: Path):
    face = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert face
    assert "import" in face.lower() or room.name == "cello"  # who may, and what it does
    assert len(list(room.glob("*.py"))) - 1 <= 16


def test_no_file_name_stands_three_times_and_no_class_name_for_two_things():
    files = [path for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"]
    names = Counter(path.name for path in files)
    assert [name for name, count in names.items() if count > 2] == []
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files)
    nodes = (node for tree in trees for node in ast.walk(tree))
    classes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert [name for name, count in classes.items() if count > 1] == []


@pytest.mark.parametrize("room", TESTED, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_of_tests_holds_few_files(room: Path):
    assert len(list(room.glob("*.py"))) - 1 <= 16
