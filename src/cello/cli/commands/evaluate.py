"""`cello evaluate`: how good a saved model is on a file whose answers are known."""

from __future__ import annotations

from pathlib import Path

import click

from cello.cli.command import Command
from cello.cli.output import json_option, print_json, token_option
from cello.cli.parameter_types import ColumnType, FilePath

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    echo "x = 'one'  # two" | cello evaluate model -
    """,
    own="""
    cello evaluate words test.txt
    cello evaluate model some.py --json
    cello evaluate writer texts/
    cello evaluate reviews test.csv
    """,
)
@click.argument("model", type=FilePath())
@click.argument("file", type=FilePath())
@token_option
@click.option(
    "--tag",
    type=ColumnType(),
    metavar="COLUMN",
    help="Column of the tags, or its name; -1 is the last.  [default: that of the training data]",
)
@click.option(
    "--batch-size",
    type=int,
    help="At most so many sequences or rows at once.  [default: what 131,072 steps hold; 32 rows "
    "of text]",
)
@json_option
def command(
    model: Path,
    file: Path,
    token: int | str | None,
    tag: int | str | None,
    batch_size: int | None,
    as_json: bool,
) -> None:
    """Score a saved MODEL on a labelled FILE, which may be - for standard input.

    A model of words takes the CoNLL form: accuracy, and of tags that mark spans (IOB, IOBES, BILOU
    …) precision, recall and F1, overall and by type. The default model takes Python source, whose
    kinds of characters Python tells. A model of characters takes a text, or a folder of them: bits
    per character, accuracy, and the share of characters that it does not know ("other"), which
    are cheap to predict. A model that classifies takes a file such as its training data: accuracy,
    macro F1, and a table of what is taken for what. One that forecasts takes a table.
    """
    from cello.cli.answers.classes import print_confusion
    from cello.cli.answers.scores import print_scores
    from cello.cli.models import open_model
    from cello.cli.reading import input_file
    from cello.errors import ModelError
    from cello.tasks import Tagging

    opened = open_model(model, must_answer=True)
    if opened.task is None:
        raise ModelError(f"{model} has no task, so it is not known what its answers mean")
    opened.check_columns(token=token, tag=tag)
    with input_file(file) as path:
        task = opened.task.on_file(path, token=token, tag=tag)
        metrics = task.evaluate(opened.net, "test", batch_size=batch_size)
    tags = isinstance(task, Tagging)
    scheme = task.scheme if isinstance(task, Tagging) else None
    unseen = list(task.unseen) if isinstance(task, Tagging) else []
    if as_json:
        more = {"scheme": scheme, "unseen_tags": unseen} if tags else {}
        print_json({"file": str(file), "metrics": metrics, **more})
        return
    missed = [name for name in unseen if f"accuracy/{name}" in metrics]
    if missed:
        click.echo(
            f"cello: tags that the model does not know, so that they count as errors: "
            f"{', '.join(missed)}",
            err=True,
        )
    print_scores({"standard input" if str(file) == "-" else file.name: metrics}, scheme)
    print_confusion(task, opened.net)
