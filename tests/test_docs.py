"""Every block of code in README, docs and docstrings runs, and prints what is shown."""

from __future__ import annotations

import doctest
import importlib
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from sybil.example import SybilFailure

import cello
from tests import docs_checker

ROOT = docs_checker.ROOT
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
TRANSLATED = [path for path in DOCUMENTS if path.name.endswith(".zh-CN.md")]
MODULES = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "src" / "cello").rglob("*.py")
    if path.name != "__main__.py"
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if path not in TRANSLATED],  # see test_docs_text.py
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_document(path: Path):
    docs_checker.check(path)
    changed = [
        name
        for name in docs_checker.drawings(path)
        if not docs_checker.is_alike(Path(name), ROOT / "docs" / "images" / name)
    ]
    assert changed == [], "run `make pictures`, and look at what changed"


def test_every_drawing_is_shown_somewhere():
    shown = {name for path in DOCUMENTS for name in docs_checker.drawings(path)}
    shown.add("explorer.png")  # a screenshot of the page
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == shown


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str):
    """Docstrings know what their module knows, and `torch`, `nn` and `cello`."""
    module = importlib.import_module(name)
    known = {"torch": torch, "nn": torch.nn, "cello": cello} | vars(module)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=docs_checker.FLAGS)
    for test in doctest.DocTestFinder().find(module, name, globs=known):
        torch.manual_seed(0)
        runner.run(test, out=report.write)
    assert runner.failures == 0, report.getvalue()


# ------------------------------------------------------------ the checker itself


def test_pictures_are_compared(tmp_path: Path):
    def picture(name: str, size: tuple[int, int], grey: int) -> Path:
        Image.new("RGB", size, (grey, grey, grey)).save(tmp_path / name)
        return tmp_path / name

    one = picture("one.png", (9, 9), 100)
    assert docs_checker.is_alike(one, picture("rounded.png", (9, 9), 101))
    assert not docs_checker.is_alike(one, picture("other.png", (9, 9), 105))
    assert not docs_checker.is_alike(one, picture("larger.png", (10, 9), 100))
    a, b = tmp_path / "a.svg", tmp_path / "b.svg"
    a.write_text("<svg/>"), b.write_text("<svg />")
    assert docs_checker.is_alike(a, a)
    assert not docs_checker.is_alike(a, b)


def check_text(text: str) -> int:
    path = Path("document.md")
    path.write_text(text, encoding="utf-8")
    return docs_checker.check(path)


def test_right_output_passes():
    assert check_text("```python\nx = 3\nprint(x)\n```\n\nPrints:\n\n```text\n3\n```\n") == 2


def test_wrong_output_fails():
    with pytest.raises(SybilFailure, match=r"line 6[\s\S]*- 4\s+\+ 3"):
        check_text("```python\nx = 3\nprint(x)\n```\n\n```text\n4\n```\n")


def test_blocks_share_their_names_in_order():
    assert check_text("```python\nx = 3\n```\n\n```python\n>>> x + 1\n4\n>>> y = 5\n```\n") == 2
    assert check_text("```python\n>>> y = 5\n```\n```python\nprint(y)\n```\n```text\n5\n```\n") == 3
    with pytest.raises(NameError, match="x"):
        check_text("```python\nprint(x)\n```\n\n```python\nx = 3\n```\n")


def test_an_ellipsis_stands_for_anything():
    check_text("```python\nprint('one\\ntwo\\nthree')\n```\n```text\none\n...\nthree\n```\n")
    with pytest.raises(SybilFailure, match="four"):
        check_text("```python\nprint('one\\ntwo\\nthree')\n```\n```text\none\n...\nfour\n```\n")


def test_a_wrong_doctest_fails():
    with pytest.raises(SybilFailure, match=r"1 \+ 1[\s\S]*- 3\s+\+ 2"):
        check_text("```python\n>>> 1 + 1\n3\n```\n")


def test_an_error_names_the_line_of_the_document():
    with pytest.raises(ZeroDivisionError) as caught:
        check_text("One.\n\nTwo.\n\n```python\nx = 1\nx / 0\n```\n")
    assert caught.traceback[-1].lineno + 1 == 7


def test_output_needs_code_before_it():
    with pytest.raises(SybilFailure, match="there is no such block"):
        check_text("```text\n3\n```\n")
    with pytest.raises(SybilFailure, match="there is no such block"):
        check_text("```python\nprint(3)\n```\n```text\n3\n```\n```text\n3\n```\n")


@pytest.mark.parametrize("language", ["py", "python3", "pycon", "bash", "python no-run"])
def test_code_cannot_hide_behind_another_language(language: str):
    with pytest.raises(SybilFailure, match=f"unknown language '{language}'"):
        check_text(f"```{language}\nprint(3)\n```\n")


def test_console_runs_commands_and_compares():
    check_text("```console\n$ echo one \\\n   two\none two\n$ true\n$ echo three\nthree\n```\n")
    with pytest.raises(SybilFailure, match=r"\$ echo three[\s\S]*- four\s+\+ three"):
        check_text("```console\n$ echo one\none\n$ echo three\nfour\n```\n")


def test_console_without_output_must_succeed():
    check_text("```console\n$ echo not compared\n```\n")
    with pytest.raises(SybilFailure, match="exit code 1"):
        check_text("```console\n$ false\n```\n")


def test_a_block_can_be_a_file():
    check_text("```toml\n# file: a.toml\nx = 3\n```\n\n```console\n$ cat a.toml\nx = 3\n```\n")


def test_the_command_line_is_run_in_this_process():
    check_text("```console\n$ cello --version\ncello, version ...\n```\n")
    with pytest.raises(SybilFailure, match="exit code 2"):
        check_text("```console\n$ cello no-such-command\n```\n")


def test_commands_that_are_only_shown_exist():
    check_text(
        "```sh\nmake demo\ncello train tag --train FILE -o MODEL  # minutes\ncello info\n```\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cello no-such-command FILE", "there is no such command"),
        ("cello tain tag -o MODEL", "there is no such command"),
        ("cello train tag --no-such-option", "there is no option --no-such-option"),
    ],
)
def test_commands_that_do_not_exist_fail(line: str, message: str):
    with pytest.raises(SybilFailure, match=message):
        check_text(f"```sh\n{line}\n```\n")
