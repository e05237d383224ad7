"""Commands whose help ends with an example, and groups that load commands when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cello.errors import ArgumentError

__all__ = ["Command", "Group", "WithExample"]


class WithExample(click.Command):
    """A command whose help ends with an example.

    Args:
        *args: as `click.Command`.
        example: lines that do something where they are pasted into an empty folder.
        own: such as need files of the user's.
        **attrs: as `click.Command`.
    """

    def __init__(self, *args: Any, example: str, own: str = "", **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.example, self.own = _lines(example), _lines(own)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        for title, lines in (("Example", self.example), ("With files of your own", self.own)):
            if lines:
                with formatter.section(title):
                    formatter.write("".join(f"  {line}\n" for line in lines))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


class Command(WithExample):
    """A single command. Errors in its options call them as the user does, `--hidden-size`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except ArgumentError as error:
            for parameter in self.params:
                if isinstance(parameter, click.Option) and parameter.name == error.argument:
                    option = max(parameter.opts, key=len)
                    raise ArgumentError(error.problem, argument=option) from error
            raise


class Group(WithExample, click.Group):
    """A group of commands, each the `command` of a module that is imported only when needed.

    Args:
        *args: as `click.Group`.
        modules: the modules by the names of the commands, in the order of the help.
        sections: the names by what one wants, as the help has them.
        **attrs: as `click.Group`.
    """

    def __init__(
        self,
        *args: Any,
        modules: Mapping[str, str],
        sections: Mapping[str, Sequence[str]] | None = None,
        **attrs: Any,
    ) -> None:
        super().__init__(*args, no_args_is_help=True, **attrs)
        self.modules = dict(modules)
        self.sections = {"Commands": list(modules)} if sections is None else sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names, each with the first sentence of its help, under what one wants."""
        width = max(map(len, self.modules))
        for title, names in self.sections.items():
            commands = {name: self.get_command(ctx, name) for name in names}
            rows = [
                (name.ljust(width), command.get_short_help_str(limit=1000))
                for name, command in commands.items()
                if command is not None
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self.modules:
            return None
        return importlib.import_module(self.modules[cmd_name]).command
