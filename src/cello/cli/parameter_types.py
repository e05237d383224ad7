"""Types of the arguments and options of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["ColumnType", "FilePath"]


class ColumnType(click.ParamType):
    """A column by its number, counted from 0 or, if negative, from the last; or by its name."""

    name = "column"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """The number, or the name."""
        try:
            return int(value)
        except ValueError:
            return str(value)


class FilePath(click.Path):
    """The path of a file or folder; not an empty one, which Python takes for the current folder.

    Args:
        **options: as `click.Path`: `dir_okay=False` of a file, `file_okay=False` of a folder.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The path."""
        if value == "":
            self.fail("expected the name of a file or folder, got an empty one", param, ctx)
        return super().convert(value, param, ctx)
