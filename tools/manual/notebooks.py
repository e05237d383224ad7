"""The course and the tutorials as notebooks: `make notebooks` writes and runs them all.

A notebook is made of its page of docs/, and kept nowhere: text becomes cells of text, Python
becomes code, with what the page shows below it as the output until it is run. Commands of a shell
and doctests become Python that does the same, so that Jupyter and marimo take the same cells.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.glob("course*.md")),
    *sorted(DOCS.glob("seeing*.md")),
    *sorted(DOCS.glob("tutorials/*.md")),
]
FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[([^\]]*)\]\((?:\.\./)?images/([^)]+)\)")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:)[^)]*\)")
SHELL = '''import subprocess, sys

def shell(commands):
    """What the commands print, with the cello of this Python."""
    cello = f'cello() {{ "{sys.executable}" -m cello "$@"; }}\\n'
    done = subprocess.run(["bash", "-c", cello + commands], capture_output=True, text=True)
    print(done.stdout + done.stderr)
'''


def cells(page: str) -> Iterator[tuple[str, str, str]]:
    """Each cell of the notebook of a page: its kind, its text, and what it prints."""
    parts = FENCED.split(page)  # text, language, source, text, language, source, ..., text
    waiting: tuple[str, str] | None = None  # code whose output may come
    knows_shell = False
    for text, language, source in zip(
        parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True
    ):
        if waiting and (text.strip() or language != "text"):
            yield "code", *waiting
            waiting = None
        if text.strip():
            yield "markdown", written(text, page), ""
        if language == "text" and waiting:
            yield "code", waiting[0], source
            waiting = None
        elif language == "python":
            waiting = (tried(source) if source.startswith(">>>") else source, "")
        elif language == "console":
            if not knows_shell:
                yield "code", SHELL, ""
                knows_shell = True
            commands = re.findall(r"^\$ ((?:.*\\\n)*.*)", source, re.MULTILINE)
            waiting = 'shell(r"""\n' + "\n".join(commands) + '\n""")\n', source
        elif language or source:
            yield "markdown", f"```{language}\n{source}```\n", ""
    if waiting:
        yield "code", *waiting


def written(text: str, page: str) -> str:
    """Text of a page, as it stands alone: with the pictures that its code saves, without links."""

    def picture(match: re.Match[str]) -> str:
        return f"![{match[1]}]({match[2]})" if f'"{match[2]}"' in page else f"*{match[1]}*"

    return LINK.sub(r"\1", PICTURE.sub(picture, text)).strip() + "\n"


def tried(doctest: str) -> str:
    """A doctest as plain code; an error that it expects is printed."""
    code = re.sub(r"^(?:>>>|\.\.\.) ?", "", "\n".join(
        line for line in doctest.splitlines() if re.match(r">>>|\.\.\.( |$)", line)
    ), flags=re.MULTILINE)  # fmt: skip
    if "Traceback" not in doctest:
        return code + "\n"
    inside = "".join(f"    {line}\n" for line in code.splitlines())
    caught = "except Exception as error:\n    print(f'{type(error).__name__}: {error}')\n"
    return f"try:\n{inside}{caught}"


def notebook(page: str) -> dict[str, Any]:
    """The notebook of a page, in Jupyter's format 4.5."""
    made = []
    for number, (kind, text, printed) in enumerate(cells(page)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = text.rstrip("\n")
        if kind == "code":
            stream = {"output_type": "stream", "name": "stdout", "text": printed}
            cell |= {"execution_count": None, "outputs": [stream] if printed else []}
        made.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def write(page: Path, folder: Path) -> Path:
    """Write the notebook of a page into a folder, for Jupyter and for marimo."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{page.stem}.ipynb"
    path.write_text(json.dumps(notebook(page.read_text("utf-8")), indent=1, ensure_ascii=False))
    command = [sys.executable, "-m", "marimo", "convert", path.name, "-o", f"{page.stem}.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return path


def main() -> None:
    """Write all, and run each in English from top to bottom, in a kernel and as marimo's script."""
    import nbclient
    import nbformat

    folder = ROOT / "build" / "notebooks"
    for page in PAGES:
        path = write(page, folder / page.stem)
        if page.name.endswith(".zh-CN.md"):  # the same code: tests compare it
            continue
        book = nbformat.read(path, as_version=4)
        nbformat.validate(book)
        nbclient.NotebookClient(book, resources={"metadata": {"path": path.parent}}).execute()
        nbformat.write(book, path)
        command = [sys.executable, f"{page.stem}.py"]
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{page.stem}.py\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        print(path.relative_to(ROOT), "and", f"{page.stem}.py", flush=True)


if __name__ == "__main__":
    main()
