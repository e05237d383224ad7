"""`cello train classify`: one label for a whole sequence."""

from __future__ import annotations

from typing import Any

import click

from cello.cli.command import Command
from cello.cli.parameter_types import FilePath
from cello.cli.source_constants import constant
from cello.cli.training.options import Help, OrWord, given, options_of
from cello.cli.training.shared import begin, complete, refuse, train, training

__all__ = ["command"]

_FILE = FilePath()
_TASK = "cello.tasks.classification.classification:Classification"
_LABEL = {"label": Help("The column of the labels.")}
_ROWS = {
    "by": Help("The column that names the sequences, where each row is a step.", str),
    "order": Help(
        "The column by which the steps of a sequence stand.", str, default="as in the file"
    ),
    "columns": Help(
        "A column that is read at each step; may be given several times.",
        str,
        multiple=True,
        default="all others",
    ),
}
_TEXTS = {
    "text": Help("The column of the texts, where each row is a sequence."),
    "level": Help(
        "What is read of a text at a step.",
        click.Choice(constant("cello.tasks.classification.classification:LEVELS")),
    ),
}
_WORDS = {
    "min_count": Help("Words or characters that occur less often are unknown."),
    "max_size": Help("At most so many words.", OrWord(int, "none")),
    "lower": Help("Put words in lower case."),
    "projection_size": Help("Length of a word's learned vector.", OrWord(int, "auto", "none")),
}
_BOTH = {
    "balanced": Help("Let each class count the same in training, however rare it is."),
    "batch_size": Help("Sequences a batch."),
}
_POOL = {
    "pool": Help(
        "How the answer is made of what the network gives at each step.",
        click.Choice(constant("cello.layers.outputs.pooling:POOL_KINDS")),
        default="last",
    )
}


@click.command(
    cls=Command,
    example="""
    cello train classify --epochs 2 -o digits
    cello train classify --network bi-lstm --pool attention --epochs 2 -o attentive
    """,
    own="""
    cello train classify --train reviews.csv -o reviews
    cello train classify --train walks.csv --by walk --label person -o walks
    cello train classify --train arrays.npz --test more.npz -o arrays
    """,
)
@click.option("--train", type=_FILE, metavar="FILE", help="CSV, TSV, JSON Lines, Parquet or .npz.")
@click.option("--validation", type=_FILE, metavar="FILE", help="Data that choose the best network.")
@click.option("--test", type=_FILE, metavar="FILE", help="Data for the final test.")
@options_of(f"{_TASK}.from_files", _LABEL)
@options_of(f"{_TASK}.from_files", _TEXTS)
@options_of(f"{_TASK}.from_sequences", _WORDS)
@options_of(f"{_TASK}.from_files", _ROWS)
@options_of(_TASK, _BOTH)
@options_of("cello.tasks.networks:build_network", _POOL)
@training("cello.tasks.networks:NETWORK_KINDS")
def command(**values: Any) -> None:
    """Train a network to give each sequence one label.

    FILE is a table with a text and a label in each row; or, with --by, with a step in each row:
    columns of numbers or categories, and the label, which is the same in all rows of a sequence; or
    arrays x [sequences, steps, numbers], y [sequences] and, if they differ, lengths [sequences].
    Without --validation, every tenth sequence of --train is set aside for it. Without files, the
    1,797 handwritten digits that come with scikit-learn are read row by row.
    """
    from cello.tasks.classification import Classification, digits
    from cello.tasks.readers.text_files import check_there

    values = begin(values)
    names = (*_BOTH, *_POOL)
    if values["train"] is None:
        refuse(
            values, ("validation", "test", *_LABEL, *_TEXTS, *_WORDS, *_ROWS), "needs --train FILE"
        )
        values = complete(values, names, pool="last")
        task = digits(**given(values, (*_BOTH, "seed")))
    else:
        form = {**_LABEL, **_TEXTS, **_WORDS}
        if values["by"] is not None:
            refuse(values, (*_TEXTS, *_WORDS), "is for texts, without --by")
            form = {**_LABEL, **_ROWS}
        elif values["columns"] or values["order"]:
            name = "columns" if values["columns"] else "order"
            raise click.UsageError(f"--{name} needs --by COLUMN, which names the sequences")
        elif values["train"].suffix.lower() == ".npz":
            refuse(values, form, "is for tables, and --train is a file of arrays")
            form = {}
        files = [values[split] for split in ("train", "validation", "test")]
        check_there(file for file in files if file is not None)
        values = complete(values, (*form, *names), pool="last")
        task = Classification.from_files(*files, **given(values, (*form, *_BOTH, "seed")))
        if task.unseen:
            click.echo(
                "cello: labels that no training sequence has, so that they count as errors: "
                + ", ".join(task.unseen),
                err=True,
            )
    train(task, values)
