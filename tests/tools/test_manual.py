"""The manual's builder: links are laid for the site, and those that lead nowhere are found."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs_checker import ROOT
from tests.test_docs_text import anchors_of


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", ROOT / "tools" / "manual" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "link", "laid"),
    [
        ("README.md", "[a](docs/speed.md#threads)", "[a](speed.md#threads)"),
        ("README.md", "![a](docs/images/gru.svg)", "![a](images/gru.svg)"),
        ("README.md", "[a](README.zh-CN.md)", "[a](zh/overview.html)"),
        ("docs/speed.md", "[a](../benchmarks/NOTES.md)", "[a](benchmarks.md)"),
        ("docs/how-to/ddp.md", "[a](../speed.md#threads)", "[a](../speed.md#threads)"),
        ("docs/course.zh-CN.md", "[a](how-to/ddp.md)", "[a](../how-to/ddp.html)"),
        ("docs/course.zh-CN.md", "[a](c.zh-CN.md) ![b](images/gru.svg)", None),
        ("docs/course.md", "[a](#part) [b](https://a.b/c.md)", "[a](#part) [b](https://a.b/c.md)"),
    ],
)
def test_a_link_leads_to_the_same_page(build, source: str, link: str, laid: str | None):
    names = build.pages()
    text = build.relinked(ROOT / source, names[ROOT / source], names, link)
    assert text == (laid or "[a](c.md) ![b](images/gru.svg)")


def test_links_that_lead_nowhere_are_found(build, tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text('<h1 id="a"></h1><a href="../one.html#b">x</a>')
    (tmp_path / "one.html").write_text(
        '<p id="b"><a href="sub/#a">1</a> <a href="sub/#c">2</a> <a href="no.html">3</a>'
        '<a href="https://elsewhere.org/x">4</a> <img src="sub/no.png"> <a href="#b">5</a>'
    )
    wrong = ["one.html: no.html", "one.html: sub/#c", "one.html: sub/no.png"]
    assert build.broken_links(tmp_path) == wrong


def test_what_is_loaded_from_elsewhere_is_found(build, tmp_path: Path):
    shim = '<script src="https://unpkg.com/iframe-worker/shim" type="text/javascript"></script>'
    links = '<a href="https://a.b/c">1</a><link rel="stylesheet" href="//a.b/c.css">'
    (tmp_path / "one.html").write_text(shim + links)
    assert build.broken_links(tmp_path) == [
        "one.html loads //a.b/c.css", "one.html loads https://unpkg.com/iframe-worker/shim"
    ]  # fmt: skip
    assert build.SHIM.sub("", shim + links) == links


@pytest.mark.parametrize(("language", "folder"), [("en", "en"), ("zh-CN", "zh")])
def test_every_page_stands_once_in_the_navigation(build, language: str, folder: str):
    settings = (ROOT / "tools" / "manual" / f"{language}.yml").read_text("utf-8")
    shown = re.findall(r"^ +- .*: ([\w./-]+\.md)$", settings, re.MULTILINE)
    laid = [build.place(name) for name in build.pages().values()]
    of_this = [path for path in laid if path.is_relative_to(build.STAGE / folder)]
    names = [path.relative_to(build.STAGE / folder).as_posix() for path in of_this]
    assert sorted(shown) == sorted([*names, "examples.md"])


@pytest.mark.parametrize(("language", "ending"), [("en", ".md"), ("zh", ".zh-CN.md")])
def test_the_list_of_examples_leads_to_a_section(build, language: str, ending: str):
    ((page, anchor),) = re.findall(r"\]\(([\w-]+)\.md#([^)]+)\)", build.LIST[language])
    assert anchor in anchors_of(ROOT / "docs" / f"{page}{ending}")
