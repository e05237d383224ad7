"""Documents keep in step with their translations, their links lead somewhere, nothing is left out.

That their code runs and prints what they show is tested in test_docs.py: that of a translation is
the same code, which is tested here, and does not run again.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cello
from cello import see, tasks, train
from tests.docs_checker import FILE_NAME, PICTURE
from tests.test_docs import DOCUMENTS, ROOT, TRANSLATED

BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def test_the_readme_every_tutorial_every_how_to_page_and_these_are_translated():
    docs = ("c", "course", "index", "interchange", "others", "seeing", "speed")
    originals = {ROOT / "README.md", *(ROOT / "docs" / f"{page}.md" for page in docs)}
    originals |= {path for path in DOCUMENTS if path.parent.name in ("tutorials", "how-to")}
    originals -= set(TRANSLATED)
    assert {original_of(path) for path in TRANSLATED} == originals


def original_of(path: Path) -> Path:
    return path.with_name(path.name.replace(".zh-CN", ""))


def same_in_all_languages(language: str, source: str) -> str:
    """What must not differ: comments and docstrings may."""
    if language == "python" and not source.startswith(">>>"):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
        file = FILE_NAME.match(source)
        return (file[0] if file else "") + ast.unparse(tree)
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
    pictures = [PICTURE.findall(p.read_text("utf-8")) for p in (path, original_of(path))]
    assert pictures[0] == pictures[1]


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


# ------------------------------------------------------------ the manual


def test_the_reference_names_all_that_is_public():
    """A line `::: NAME` of a page is what Cello's docstring of that name becomes there."""
    named = []
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for name in re.findall(r"^::: cello\.([\w.]+)$", page.read_text("utf-8"), re.MULTILINE):
            thing: object = cello
            for part in name.split("."):
                thing = getattr(thing, part)
            inside = getattr(thing, "__all__", None)
            named += [getattr(thing, part) for part in inside] if inside else [thing]
    public = [
        getattr(module, name)
        for module in (cello, cello.zoo, cello.errors, see, tasks, train)
        for name in module.__all__
        if name not in ("__version__", "errors", "zoo")
    ]
    shown = {id(thing) for thing in named}
    assert [thing for thing in public if id(thing) not in shown] == []
    assert len(named) >= len(shown) > 100
