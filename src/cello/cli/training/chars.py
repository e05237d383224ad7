"""`cello train chars`: predict the next character."""

from __future__ import annotations

from typing import Any

import click

from cello.cli.command import Command
from cello.cli.parameter_types import FilePath
from cello.cli.training.options import Help, OrWord, given, options_of
from cello.cli.training.shared import begin, complete, refuse, train, training

__all__ = ["command"]

_PATH = FilePath()

_TEXT = {
    "min_count": Help("Characters that occur less often count as unknown."),
    "max_size": Help("Keep at most this many characters.", OrWord(int, "none")),
}
_ROWS = {
    "tbptt_steps": Help("Characters of each row in a batch; gradients go no further back."),
    "batch_size": Help("How many rows of text are read side by side."),
}


@click.command(
    cls=Command,
    example="""
    cello train chars --epochs 1 -o writer
    """,
    own="""
    cello train chars --train texts/ --train more.txt --network gru -o writer
    """,
)
@click.option(
    "--train",
    type=_PATH,
    multiple=True,
    metavar="PATH",
    help="A text file, or a folder of text files; may be given several times.",
)
@click.option(
    "--validation",
    type=_PATH,
    multiple=True,
    metavar="PATH",
    help="Text for choosing the best network.",
)
@click.option("--test", type=_PATH, multiple=True, metavar="PATH", help="Text for the final test.")
@options_of("cello.tasks.characters:Characters.from_documents", _TEXT)
@options_of("cello.tasks.characters:Characters", _ROWS)
@training("cello.tasks.networks:CAUSAL_KINDS")
def command(**values: Any) -> None:
    """Train a network to predict the next character of a text.

    Without --validation, a tenth of the text is set aside for it; without --test as well, another
    tenth for the test. Without any files, the text is the source code of Python's own standard
    library.
    """
    values = begin(values)
    from cello.tasks import Characters
    from cello.tasks.readers.text_files import check_there

    values = complete(values, (*_TEXT, *_ROWS))
    options = given(values, (*_TEXT, *_ROWS, "seed"))
    if not values["train"]:
        refuse(values, ("validation", "test"), "needs --train PATH")
        task = Characters.default(**options)
    else:
        check_there((*values["train"], *values["validation"], *values["test"]), folders=True)
        task = Characters.from_files(
            values["train"], values["validation"], values["test"], **options
        )
    train(task, values)
