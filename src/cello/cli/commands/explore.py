"""`cello explore`: a live page that shows what a model remembers while one types."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cello.cli.command import Command
from cello.cli.language import said
from cello.cli.parameter_types import FilePath
from cello.errors import DataError

if TYPE_CHECKING:
    from cello.cli.models import Model
    from cello.see.page.live.read_text import Read

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    cello explore model "x = 'one'  # two"
    """,
    own="""
    cello explore model some.py --port 8000
    cello explore net.keras measured.csv
    """,
)
@click.argument("model", type=FilePath())
@click.argument("text", metavar="[FILE|TEXT]", required=False)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Listen there.  [default: any that is free]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Listen on this address; any other than the default lets other machines reach the page, "
    "which is not encrypted.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="A name by which browsers may call the page, beside localhost, this machine's name and "
    "addresses; may be given several times.",
)
@click.option("--no-browser", is_flag=True, help="Print the address only, open nothing.")
def command(
    model: Path, text: str | None, port: int, host: str, allowed: tuple[str, ...], no_browser: bool
) -> None:
    """Open a page on what a model does with a text, which can be changed there.

    The page shows every value of every step, and lets values be forced. A model of characters reads
    all of the text as one sequence, a model of words each line, a model that forecasts the last
    rows of a table as CSV, a net without a task numbers, a step on each line (see cello record).
    Where FILE tells what is right, the page does: of lines that are as they stand there, of
    sequences with a column of labels, and of Python source. Ctrl-C stops it.
    """
    from cello.cli.inputs import described, labels_of, right_by_line
    from cello.cli.models import open_model
    from cello.see.page.live.serve import Server
    from cello.see.page.live.session import LiveSession

    opened = open_model(model)
    title, labels = model.name or str(model), labels_of(opened)
    known, first = right_by_line(opened, _file(text)), _given(opened, text)
    session = LiveSession(
        opened.net,
        _reader(opened, known),
        first,
        title=title,
        description=described(opened),
        labels=labels,
    )
    server = Server(session, host, port, allowed)
    click.echo(said("the page is at {}\nCtrl-C stops it", server.url))
    way = None if no_browser else _way_to(server.url)
    try:
        if way is not None:
            import webbrowser

            webbrowser.open(way.as_uri())
        server.serve()
    except KeyboardInterrupt:
        click.echo(said("stopped"))
    finally:
        if way is not None:
            way.unlink(missing_ok=True)


#: A word that ends as names of files of data do.
_NAME = re.compile(r"\S+\.(csv|tsv|jsonl|ndjson|parquet|pq|npz|npy|txt|conll|conllu|py)")


def _way_to(url: str) -> Path:
    """A file that only the user can read and that leads to `url`.

    What a browser is started with, other users of the machine may see; the url holds the token.
    """
    handle, name = tempfile.mkstemp(prefix="cello-", suffix=".html")  # of mode 600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={url}">\n')
    return Path(name)


def _given(model: Model, text: str | None) -> str:
    """The text of a file of this name, else the text itself; one to begin with if None."""
    path = _file(text)
    return text if text is not None and path is None else model.reader.text_of(path)


def _file(text: str | None) -> Path | None:
    """The file of this name, if there is one.

    Raises:
        DataError: there is none, and the text is a name such as a file of data has.
    """
    path = None if text is None else Path(text)
    try:
        if path is None or path.exists():
            return path
    except OSError:  # no name of a file can be as long
        return None
    if _NAME.fullmatch(str(text)):
        raise DataError(f"{text}: no such file or folder")
    return None


def _reader(model: Model, known: Mapping[str, Sequence[str]] | None = None) -> Read:
    """What turns a text into what the net reads, with what is right of the texts that are known."""
    from cello.cli.inputs import outlook_of, text_of_tokens
    from cello.see.page.live.read_text import ReadSequence

    right = known or {}

    def read(text: str) -> list[ReadSequence]:
        return [
            ReadSequence(
                one.tokens,
                one.x.unsqueeze(1),
                one.expected or right.get(text_of_tokens(model, one) or ""),
                outlook_of(model, one),
            )
            for one in model.reader.given_text(text)
        ]

    return read
