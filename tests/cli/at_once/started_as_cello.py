"""A script that a test calls `cello`: answers that need no tensor, and what is imported for them.

Its argument is a file, which gets a JSON list of what was imported that is no part of Python, ours
or click: the words of the command, the package, and the line of ours that imports it.
"""

from __future__ import annotations

import importlib.abc
import json
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import FrameType

NO_HARM = {*sys.stdlib_module_names, "cello", "click", "colorama", "coverage"}

found: list[tuple[str, str, str]] = []
words: list[str] = []


class Watch(importlib.abc.MetaPathFinder):
    """Finds nothing; sees what is looked for."""

    def find_spec(self, name: str, *_: object) -> None:
        frame: FrameType | None = sys._getframe()
        while frame and "/cello/" not in frame.f_code.co_filename.replace("\\", "/"):
            frame = frame.f_back
        if frame and name not in NO_HARM and "." not in name and PathFinder.find_spec(name):
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            found.append((" ".join(words), name, where))


sys.meta_path.insert(0, Watch())

import click  # noqa: E402
from click.shell_completion import ShellComplete  # noqa: E402

from cello.cli import cli  # noqa: E402
from cello.cli.command import Group  # noqa: E402


def answer(*given: str) -> None:
    words[:] = given
    try:
        cli.main(list(given))
    except SystemExit:
        return


def answer_all(group: Group, *path: str) -> None:
    """Its help, that of its commands, mistakes in them, and what a shell asks to complete."""
    for incomplete in ("", "-"):
        words[:] = [*path, "TAB"]
        ShellComplete(cli, {}, "cello", "_CELLO_COMPLETE").get_completions([*path], incomplete)
    answer(*path, "--help")
    answer(*path, "nonsense")
    for name in group.list_commands(click.Context(group)):
        words[:] = [*path, name]
        command = group.get_command(click.Context(group), name)
        if isinstance(command, Group):
            answer_all(command, *path, name)
            continue
        for last in ("--help", "--nonsense"):
            answer(*path, name, last)
        for incomplete in ("", "--"):
            words[:] = [*path, name, "TAB"]
            completer = ShellComplete(cli, {}, "cello", "_CELLO_COMPLETE")
            completer.get_completions([*path, name], incomplete)


answer("--version")
answer_all(cli)
answer("train", "chars", "-o", "model", "--epochs", "0")
answer("train", "tag", "-o", "model", "--hidden-size", "3", "--parameters", "100")
answer("run", "nowhere.toml")
answer("example", "nonsense")
NO_HARM.add("rich")  # how wide a character is, for a table
answer("example")
Path(sys.argv[1]).write_text(json.dumps(found))
