"""Runs the code of a Markdown file and compares what it prints with what the file shows.

What the language after the three backticks means:

``python``
    is run. All blocks of a file share their names, in order. With ``>>>`` it is a doctest.
``text``
    is what the block before it printed, exactly; ``...`` stands for anything.
``console``
    lines with ``$ `` are run by a shell in a folder of the document's own, ``cello`` in this
    process; the lines below each are what it printed (``...`` as above), or none to not compare.
``sh``
    is not run: for what sets up a machine or takes minutes. A ``cello`` command in it must exist
    and have the options that it is given.
``toml``, ``json``, ``conll``, ``latex``, ``mermaid``, ``c``, or nothing
    is only shown.

A block whose first line is a comment ``# file: NAME`` is also written to that file, for the
commands after it.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from PIL import Image, ImageChops, ImageStat
from sybil import Document, Example, Region
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).resolve().parent.parent
SHOWN_ONLY = {"", "c", "conll", "json", "latex", "mermaid", "toml"}
FLAGS = doctest.ELLIPSIS | doctest.REPORT_NDIFF
PICTURE = re.compile(r"!\[[^\]]*\]\((?:\.\./)?images/([\w-]+\.(?:svg|png))\)")
FILE_NAME = re.compile(r"(?:#|//|%)\s*file:\s*(\S+)\s*\n")
ENVIRONMENT = {
    "COLUMNS": "100",
    "LANGUAGE": "en",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "PYTHONWARNINGS": "error",
}


def blocks(document: Document) -> Iterator[Region]:
    """All fenced blocks, as regions that run or compare."""
    before: Region | None = None
    for region in RawFencedCodeBlockLexer(re.compile(r"(?P<language>[^\n]*)\n"))(document):
        language = region.lexemes["language"].strip()
        source = region.lexemes["source"]
        region.parsed = (language, source)
        region.evaluator = evaluate
        if language == "text":
            if before is None:
                region.evaluator = nothing_printed_this
            before = None
        elif language in ("python", "console"):
            before = region
        yield region


def drawings(path: Path) -> list[str]:
    """The names of the pictures of docs/images that a document shows and its code saves."""
    text = path.read_text(encoding="utf-8")
    return sorted(name for name in set(PICTURE.findall(text)) if f'"{name}"' in text)


def is_alike(made: Path, shown: Path) -> bool:
    """Whether two pictures are the same; of a PNG, but for what fonts and roundings do to it."""
    if made.suffix == ".svg":
        return made.read_bytes() == shown.read_bytes()
    with Image.open(made) as one, Image.open(shown) as other:
        one, other = one.convert("RGB"), other.convert("RGB")
        if one.size != other.size:
            return False
        return max(ImageStat.Stat(ImageChops.difference(one, other)).mean) < 2  # of 255


def nothing_printed_this(example: Example) -> str:
    return "a text block shows what the block before it printed, but there is no such block"


def evaluate(example: Example) -> str | None:
    """Run one block; return what is wrong with it."""
    language, source = example.parsed
    if named := FILE_NAME.match(source):
        Path(named[1]).write_text(source[named.end() :], encoding="utf-8")
    if language == "python":
        run = run_doctest if source.lstrip().startswith(">>>") else run_python
        return run(source, example)
    if language == "text":
        return difference(source, example.namespace.pop("__printed__"))
    if language == "console":
        return run_console(source, example)
    if language == "sh":
        return check_commands(source)
    if language not in SHOWN_ONLY:
        return f"unknown language {language!r}; see {Path(__file__).name}"
    return None


def run_python(source: str, example: Example) -> None:
    # Empty lines in front give tracebacks the line numbers of the document.
    code = compile("\n" * example.line + source, example.path, "exec", dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, example.namespace)
    example.namespace["__printed__"] = printed.getvalue()


def run_doctest(source: str, example: Example) -> str | None:
    report = io.StringIO()
    test = doctest.DocTestParser().get_doctest(
        source, example.namespace, example.path, example.path, example.line
    )
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=report.write, clear_globs=False)
    example.namespace.update(test.globs)  # the runner worked on a copy
    example.namespace["__printed__"] = ""
    return report.getvalue() or None


def run_console(source: str, example: Example) -> str | None:
    everything = ""
    for command, shown in commands(source):
        code, printed = run_command(command)
        everything += printed
        if shown.strip():
            if wrong := difference(shown, printed):
                return f"$ {command}\n{wrong}"
        elif code != 0:
            return f"$ {command}\nended with exit code {code}:\n{printed}"
    example.namespace["__printed__"] = everything
    return None


def commands(source: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output shown below it."""
    for part in re.split(r"^\$ ", source, flags=re.MULTILINE)[1:]:
        command, shown = re.match(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", part, re.DOTALL).groups()
        yield command.replace("\\\n", " "), shown


def run_command(command: str) -> tuple[int, str]:
    """Run one command line; return its exit code and all that it printed."""
    if command.startswith("cello") and not re.search(r"[|<>&;$`]", command):
        return run_cello(shlex.split(command)[1:])
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src")}
    prelude = f'cello() {{ {shlex.quote(sys.executable)} -m cello "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", prelude + command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def run_cello(arguments: list[str]) -> tuple[int, str]:
    """Call the command line in this process, which saves importing torch again."""
    from cello.cli import main

    code: object = 0
    with (
        contextlib.redirect_stdout(io.StringIO()) as printed,
        contextlib.redirect_stderr(printed),
        mock.patch.object(sys, "argv", ["cello", *arguments]),
        mock.patch.dict(os.environ, ENVIRONMENT),
    ):
        try:
            code = main()
        except SystemExit as end:
            code = end.code
    return (code if isinstance(code, int) else int(code is not None)), printed.getvalue()


def check_commands(source: str) -> str | None:
    """Whether each `cello` command that is shown but not run exists with its options."""
    for line in source.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["cello"]:
            continue
        names = []
        for word in words[1:]:
            if not re.fullmatch(r"[a-z]+", word):
                break
            names.append(word)
        code, text = run_cello([*names, "--help"])
        while code != 0 and names:  # the last words may be arguments
            names.pop()
            code, text = run_cello([*names, "--help"])
        if not names and len(words) > 1 and not words[1].startswith("-"):
            return f"$ {line}\nthere is no such command"
        known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
        for word in words:
            if word.startswith("-") and word != "-" and word.split("=")[0] not in known:
                return f"$ {line}\nthere is no option {word}"
    return None


def difference(shown: str, printed: str) -> str | None:
    """What differs, or None; spaces at the ends of lines and empty lines at the end don't count."""
    want, got = (
        "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"
        for text in (shown, printed)
    )
    checker = doctest.OutputChecker()
    flags = FLAGS | doctest.DONT_ACCEPT_BLANKLINE
    if checker.check_output(want, got, flags):
        return None
    return checker.output_difference(doctest.Example("", want), got, flags)


def check(path: Path) -> int:
    """Run all blocks of a file in the current folder; return how many there were."""
    document = Document.parse(str(path), blocks)
    document.namespace["__name__"] = "__main__"
    count = 0
    for example in document.examples():
        example.evaluate()
        count += 1
    return count
