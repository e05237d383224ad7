"""The options of a run, kept in its folder, so that `--resume` needs none of them again."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cello._version import __version__
from cello.cli.training.options import NONE, UNKNOWN, Usual
from cello.errors import ArgumentError, ModelError, TrainingError
from cello.files import replace

__all__ = ["command_of", "recalled", "remember", "words_of"]

_FILE = "options.json"

#: Options that are not of the run but of how it is called.
_NOT_KEPT = frozenset({"folder", "resume", "quiet", "as_json"})


def recalled(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values of all options of a run that is resumed; those given now replace those kept.

    Args:
        values: the values of this command's options.

    Returns:
        The values to train with, and what is to be said about those that differ from before.

    Raises:
        ArgumentError: the folder's run is of another command, or an option that is given makes
            another run of it.
        ModelError: what the folder keeps is damaged.
    """
    context = click.get_current_context()
    kept = _read(values["folder"], str(context.info_name))
    if kept is None:
        return values, [
            f"{values['folder']} does not tell the options that its run began with: those given "
            "now count"
        ]
    options = {option.name: option for option in context.command.params if option.name}
    result, notes = dict(values), []
    for name, option in options.items():
        if name in _NOT_KEPT:
            continue
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            if name == "train" and not kept.get(name):
                raise ArgumentError(
                    f"--train is given, but the run in {values['folder']} was begun without: leave "
                    "it out, or train in another folder"
                )
            old = kept.get(name, _usual(option))
            if (note := _compared(option, old, _plain(values[name]), values["folder"])) is not None:
                notes.append(note)
        elif name in kept:
            result[name] = _typed(option, kept[name], values["folder"])
    return result, notes


def remember(values: Mapping[str, Any]) -> None:
    """Keep `values` in the folder.

    Raises:
        TrainingError: it cannot be written.
    """
    context = click.get_current_context()
    given = {
        option.name: _plain(values[option.name])
        for option in context.command.params
        if option.name not in _NOT_KEPT and values.get(option.name or "") not in (None, ())
    }
    content = {"cello": __version__, "command": context.info_name, "options": given}
    path = Path(values["folder"]) / _FILE
    try:
        replace(path, json.dumps(content, indent=1, ensure_ascii=False).encode())
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error}") from error


def command_of(values: Mapping[str, Any]) -> str:
    """The command that makes this run, with what is not usual, and files by their names alone."""
    context = click.get_current_context()
    options = [
        option
        for option in context.command.params
        if option.name not in _NOT_KEPT
        and _plain(values.get(str(option.name))) not in (_usual(option), False)
    ]
    words = words_of(options, values, lambda path: path.name)
    folder = Path(values["folder"]).resolve().name
    return shlex.join(["cello", "train", str(context.info_name), *words, "-o", folder])


def words_of(
    options: Iterable[click.Parameter],
    values: Mapping[str, Any],
    path: Callable[[Path], str] = os.path.abspath,
) -> list[str]:
    """Options as words of the command line; none for those without a value.

    Args:
        options: of the command.
        values: by their names.
        path: how files and folders are written.
    """
    words: list[str] = []
    for option in options:
        value, flag = values.get(str(option.name)), max(option.opts, key=len)
        if value is True:
            words.append(flag)
        elif value not in (None, (), False):
            for part in value if isinstance(value, tuple) else (value,):
                shown = path(part) if isinstance(part, Path) else _said(_plain(part))
                words += [flag, shown]
    return words


def _compared(option: click.Parameter, old: Any, new: Any, folder: Path) -> str | None:
    """What to say where a value differs from the one before, if it may.

    Raises:
        ArgumentError: it may not.
    """
    from cello.train.options import FREE

    if old == new or old is UNKNOWN:  # then the run itself finds what differs
        return None
    flag = max(option.opts, key=len)
    if isinstance(option.type, click.Path):
        return None  # what is in the files counts, not where they are
    if option.name in FREE:
        return f"{flag} is now {_said(new)}; it was {_said(old)}"
    raise ArgumentError(
        f"{flag} is {_said(new)}, but the run in {folder} was begun with {_said(old)}: leave it "
        "out, or train in another folder"
    )


def _usual(option: click.Parameter) -> Any:
    if isinstance(option, Usual):
        return option.usual
    # That there is none is None or, from click 8.3 on, a sign of its own.
    return option.default if isinstance(option.default, (str, int, float)) else UNKNOWN


def _said(value: Any) -> str:
    return "none" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _plain(value: Any) -> Any:
    """A value as JSON; null stands for the word "none"."""
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, Path):
        return os.path.abspath(value)  # the run may be resumed from another folder
    return None if value is NONE else value


def _typed(option: click.Parameter, value: Any, folder: Path) -> Any:
    """The value of an option from its JSON: the inverse of `_plain`."""
    if value is None:
        return NONE
    try:
        return option.type_cast_value(click.get_current_context(), value)
    except click.UsageError as error:
        raise ModelError(f"{folder / _FILE} is damaged: {error.format_message()}") from error


def _read(folder: Path, command: str) -> dict[str, Any] | None:
    path = folder / _FILE
    try:
        content = json.loads(path.read_bytes())
        kept, of = content["options"], content["command"]
        if not isinstance(kept, dict):
            raise TypeError("options is no table")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(
            f"{path} is damaged: {error}; remove it and give the options again"
        ) from error
    if of != command:
        raise ArgumentError(f"the run in {folder} is one of cello train {of}, not of {command}")
    return kept
