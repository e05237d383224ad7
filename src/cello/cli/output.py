"""How results are printed: tables, and JSON for programs."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cello.cli.parameter_types import ColumnType, FilePath
from cello.tables import column_widths, text_table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "busy",
    "json_option",
    "page_option",
    "paragraph",
    "print_json",
    "print_tables",
    "refuse_beside",
    "rich_output",
    "steps_option",
    "token_option",
    "width",
]


#: What is not broken: a word, or another sign, with the marks that no line begins with.
_PIECES = re.compile(r"(?:[!-~]+|[^!-~])[，。：；、？）”]* *")


#: The option of every command whose output a program might read.
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs."
)


#: The option of the commands that read words.
token_option: Callable[[Any], Any] = click.option(
    "--token",
    type=ColumnType(),
    metavar="COLUMN",
    help="Column of the words, counted from 0, or its name.  [default: that of the training data]",
)

#: The option of the commands that write pages of data files.
page_option: Callable[[Any], Any] = click.option(
    "--html",
    "page",
    type=FilePath(dir_okay=False),
    metavar="FILE",
    help="Write a page here that shows all steps and their arithmetic, and works offline.",
)

#: The option of the commands that show arithmetic.
steps_option: Callable[[Any], Any] = click.option(
    "--step",
    "steps",
    type=int,
    multiple=True,
    metavar="T",
    help="Show the arithmetic of this step, counted from 0; may be given several times.",
)


def refuse_beside(option: str, **others: object) -> None:
    """Refuse options that another one would leave without a meaning.

    Args:
        option: which is given.
        **others: the values of the others by their names, true of those that are given.

    Raises:
        click.UsageError: one of them is given.
    """
    given = [f"--{name}" for name, value in others.items() if value]
    if given:
        raise click.UsageError(f"{option} goes without {' and '.join(given)}")


def print_json(value: Any) -> None:
    """Print `value` as JSON; a number that JSON does not know, such as NaN, as null."""
    click.echo(json.dumps(_plain(value), ensure_ascii=False, indent=1))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        return None
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


@contextmanager
def busy(doing: str) -> Iterator[None]:
    """Say on a terminal what takes a while, until it is done."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(doing):
        yield


def rich_output() -> Console:
    """Standard output with colours, which raises BrokenPipeError where its reader has gone."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise  # rich would exit with 1

    return Output(highlight=False)


def width() -> int | None:
    """How many characters fit in a line of the terminal; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def paragraph(text: str) -> str:
    """Running text, broken into lines that are easy to read; Chinese between any two signs."""
    from rich.cells import cell_len

    limit = min(width() or 80, 80)
    if cell_len(text) == len(text):
        return textwrap.fill(text, limit)
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > limit:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def print_tables(head: Sequence[str], rows: Sequence[Sequence[str]], *, fixed: int = 0) -> None:
    """Print a table, in several parts if it is wider than the terminal.

    Args:
        head: the titles of the columns.
        rows: the cells.
        fixed: so many columns at the left are repeated in every part.
    """
    limit = width()
    sizes = column_widths(head, rows)
    parts: list[list[int]] = [[]]
    for number in range(fixed, len(head)):
        wide = sum(sizes[i] + 2 for i in (*range(fixed), *parts[-1], number)) - 2
        if limit is not None and parts[-1] and wide > limit:
            parts.append([])
        parts[-1].append(number)
    for number, part in enumerate(parts):
        chosen = [*range(fixed), *part]
        cells = [[row[i] for i in chosen] for row in rows]
        if number:
            click.echo()
        click.echo(text_table([head[i] for i in chosen], cells, right=()))
