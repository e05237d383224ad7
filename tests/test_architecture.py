"""`docs/architecture.md` names files; each of them is there, and every room says what it is for."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
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


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT / "src")))
def test_who_imports_a_room_does(room: Path):
    face = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    own = ".".join(room.relative_to(ROOT / "src").parts)
    for clause in re.findall(r"([^;]*?)\bimports? it\b", face.replace("\n", " ")):
        for name in re.findall(r"`([\w.]+)`", re.split(r"[.;] ", clause)[-1]):
            places = _places(name)
            assert places, f"{own}: there is no {name}"
            assert any(own in _imports(file) for file in places), (
                f"{own}: {name} does not import it"
            )


def _places(name: str) -> list[Path]:
    """The files of a module or room, named by the end of its path."""
    end = Path(*name.removeprefix("cello.").split("."))
    root = ROOT / "src" / "cello"
    files = [*root.rglob(f"{end}.py")]
    return files + [file for folder in root.rglob(str(end)) for file in folder.rglob("*.py")]


@cache
def _imports(file: Path) -> set[str]:
    """The modules that a file imports, with the rooms in which they are."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.rsplit(".", count)[0] for name in found for count in range(name.count(".") + 1)}


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
