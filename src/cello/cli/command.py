"""Commands whose help ends with an example, and groups that load commands when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from cello.errors import ArgumentError

__all__ = ["Command", "Group", "WithExample"]


class WithExample(click.Command):
    """A command whose help ends with `example`: one or more lines that a user can type."""

    def __init__(self, *args: Any, example: str, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        with formatter.section("Example"):
            for line in self.example.strip().splitlines():
                formatter.write(f"  {line.strip()}\n")


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
        **attrs: as `click.Group`.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **attrs: Any) -> None:
        super().__init__(*args, no_args_is_help=True, **attrs)
        self.modules = dict(modules)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self.modules:
            return None
        return importlib.import_module(self.modules[cmd_name]).command
