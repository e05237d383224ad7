"""Documents keep in step with their translations, and their links lead somewhere.

That their code runs and prints what they show is tested in test_docs.py.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.test_docs import DOCUMENTS, ROOT

TRANSLATED = sorted(ROOT.glob("**/*.zh-CN.md"))
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def test_the_readme_and_these_pages_are_translated():
    pages = ("README", "c", "course", "interchange")
    assert [path.name for path in TRANSLATED] == [f"{page}.zh-CN.md" for page in pages]


def original_of(path: Path) -> Path:
    return path.with_name(path.name.replace(".zh-CN", ""))


def same_in_all_languages(language: str, source: str) -> str:
    """What must not differ: comments and docstrings may."""
    if language == "python" and not source.startswith(">>>"):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
        return ast.unparse(tree)
    if language == "sh":
        return re.sub(r"\s*#.*", "", source)
    return source if language else ""


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.name)
def test_a_translation_has_the_same_code_and_output(path: Path):
    ours, theirs = (
        [(language, same_in_all_languages(language, source)) for language, source in found]
        for found in (BLOCK.findall(p.read_text("utf-8")) for p in (path, original_of(path)))
    )
    assert ours == theirs


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.name)
def test_a_translation_has_the_same_sections_and_tables(path: Path):
    def outline(document: Path) -> list[str]:
        lines = BLOCK.sub("", document.read_text("utf-8")).splitlines()
        marks = (re.match(r"#+ (?:\d+\.)?|(?=\|)|- ", line) for line in lines)
        return [
            f"row of {line.count('|')}" if line.startswith("|") else mark[0]
            for mark, line in zip(marks, lines, strict=True)
            if mark
        ]

    assert outline(path) == outline(original_of(path))


def anchors_of(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", document.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path):
    wrong = []
    for link in LINK.findall(BLOCK.sub("", path.read_text("utf-8"))):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.is_file() or (anchor and anchor not in anchors_of(target)):
            wrong.append(link)
    assert wrong == []
