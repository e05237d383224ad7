"""Options of commands, made from the arguments of functions: one for each, of the same name.

Defaults are the functions' own, read from their source. An option that is not given is not passed
on.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import click

from cello.cli.source_constants import default_of

__all__ = [
    "NONE",
    "UNKNOWN",
    "Help",
    "OrWord",
    "Usual",
    "filled",
    "given",
    "options_of",
]

#: The value of an option that the user gave as "none".
NONE = object()

#: The default of an option whose default depends on other options.
UNKNOWN = object()


class OrWord(click.ParamType):
    """A number, or one of some words; the word "none" stands for None.

    Args:
        kind: int or float.
        *words: such as "none" and "auto".
    """

    def __init__(self, kind: type[int] | type[float], *words: str) -> None:
        self.kind, self.words = kind, words
        self.name = "|".join(["integer" if kind is int else "float", *words])

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The number, the word, or `NONE`, which `given` turns into None."""
        if value == "none" and "none" in self.words:
            return NONE
        if not isinstance(value, str) or value in self.words:
            return value
        try:
            return self.kind(value)
        except ValueError:
            expected = "a whole number" if self.kind is int else "a number"
            self.fail(f"{value!r} is not {' or '.join([expected, *self.words])}", param, ctx)


class Help(NamedTuple):
    """What an option means; its type where the default does not say it; the default in words."""

    text: str
    type: Any = None
    multiple: bool = False
    default: str | None = None


class Usual(click.Option):
    """An option that is passed on only if it is given; `usual` is its default, as JSON."""

    def __init__(self, *args: Any, usual: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.usual = usual


def options_of(
    function: str, helps: Mapping[str, Help], skip: Iterable[str] = ()
) -> Callable[[Any], Any]:
    """A decorator that adds an option for each argument of `function` that `helps` names.

    Args:
        function: where the one that has the defaults stands, as `default_of` takes it: nothing is
            imported before a command runs.
        helps: by the names of the arguments.
        skip: names for which another function has made the option already.
    """
    options = [
        _option(name, helps[name], default_of(function, name)) for name in helps if name not in skip
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _option(name: str, about: Help, default: Any) -> Callable[[Any], Any]:
    flag = f"--{name.replace('_', '-')}"
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else default
    unknown = about.default is not None or default is inspect.Parameter.empty
    usual = list(default) if isinstance(default, tuple) else UNKNOWN if unknown else default
    make = functools.partial(click.option, flag, name, cls=Usual, usual=usual, default=None)
    if isinstance(default, bool):
        return make(is_flag=True, help=about.text)
    if default is inspect.Parameter.empty:
        text = about.text
    else:
        shown = about.default or ("none" if shown is None else shown)
        text = f"{about.text}  [default: {shown}]"
    kind = about.type if about.type is not None else type(default)
    return make(type=kind, multiple=about.multiple, help=text)


def given(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values of the options `names` that the user gave."""
    found = {name: values[name] for name in names if values.get(name) not in (None, ())}
    return {name: None if value is NONE else value for name, value in found.items()}


def filled(values: Mapping[str, Any], names: Iterable[str], **computed: Any) -> dict[str, Any]:
    """`values`, where each option of `names` that the user did not give has its usual value.

    Args:
        values: by the names of the options of the command that runs.
        names: of options.
        **computed: what is usual where that depends on other options.
    """
    options = {option.name: option for option in click.get_current_context().command.params}
    result = {**values, **{name: computed[name] for name in computed if values[name] is None}}
    for name in names:
        option = options[name]
        if result[name] in (None, ()) and isinstance(option, Usual) and option.usual is not UNKNOWN:
            usual = tuple(option.usual) if isinstance(option.usual, list) else option.usual
            result[name] = NONE if usual is None else usual
    return result
