"""Notebooks are made of the pages: the same code, in order, and text that stands alone."""

from __future__ import annotations

import ast
import contextlib
import io
from pathlib import Path

import pytest

from tests.docs_checker import ROOT
from tools.manual import notebooks


def code_of(page: str) -> list[str]:
    made = notebooks.notebook(page)["cells"]
    return [cell["source"] for cell in made if cell["cell_type"] == "code"]


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda path: path.stem)
def test_a_notebook_has_all_code_of_its_page(page: Path):
    text = page.read_text("utf-8")
    book = notebooks.notebook(text)
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    code = code_of(text)
    for source in code:
        ast.parse(source)
    blocks = [
        source.rstrip("\n")
        for language, source in notebooks.FENCED.findall(text)
        if language == "python" and not source.startswith(">>>")
    ]
    assert blocks == [source for source in code if source in blocks]
    shown = [cell["source"] for cell in book["cells"] if cell["cell_type"] == "markdown"]
    assert not any(".md)" in source or "](images/" in source for source in shown)


def test_a_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a kernel does: cell after cell, in one namespace; what they print is what is shown."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "tutorials" / "first-cell.md").read_text("utf-8")
    known: dict[str, object] = {"__name__": "__main__"}
    for cell in notebooks.notebook(page)["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(cell["source"], "cell", "exec"), known)
            assert printed.getvalue() == "".join(output["text"] for output in cell["outputs"])


def test_commands_and_doctests_become_python(capfd: pytest.CaptureFixture[str]):
    page = """A [link](other.md), ![drawn](images/a.svg) and ![not](../images/b.png).

```console
$ echo one \\
    two
one two
```

```python
>>> x = [
...     1]
>>> x[1]
Traceback (most recent call last):
    ...
IndexError: list index out of range
```

```python
draw("a.svg")
```
"""
    text, shell, command, tried, drawn = notebooks.notebook(page)["cells"]
    assert text["source"] == "A link, ![drawn](a.svg) and *not*."
    assert command["outputs"][0]["text"] == "$ echo one \\\n    two\none two\n"
    known: dict[str, object] = {}
    for cell in (shell, command, tried):
        exec(cell["source"], known)
    assert capfd.readouterr().out == "one two\n\nIndexError: list index out of range\n"
    assert drawn["source"] == 'draw("a.svg")'
