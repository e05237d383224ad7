"""`cello train tag`: a label for each element of a sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cello.cli.command import Command
from cello.cli.parameter_types import ColumnType, FilePath
from cello.cli.source_constants import constant, default_of
from cello.cli.training.options import NONE, Help, OrWord, given, options_of
from cello.cli.training.shared import begin, complete, refuse, train, training

__all__ = ["command"]

_FILE = FilePath()

_FROM_PYTHON = "cello.tasks.python_tagging:python_tagging"
_FROM_FILES = "cello.tasks.tagging:Tagging.from_conll"
_FIT = "cello.tasks.features:WordFeatures.fit"

_BOTH = {
    "batch_size": Help("Sequences in a batch."),
    "teacher_forcing": Help("For how many epochs a Jordan network is fed the true tags."),
    "min_count": Help(
        "Words or characters that occur less often count as unknown.",
        default="2 for words, 20 without files",
    ),
}
_WORDS = {
    "token": Help("Column of the tokens, counted from 0, or its name.", ColumnType()),
    "tag": Help("Column of the tags, or its name; -1 is the last.", ColumnType()),
    "columns": Help(
        "The names of the files' columns, with commas between.",
        str,
        multiple=True,
        default="those in the line # global.columns, or of CoNLL-U",
    ),
    "features": Help(
        "What the network is told about a word.",
        click.Choice(constant("cello.tasks.features:WORD_FEATURES")),
    ),
}
_FEATURES = {
    "window": Help(
        "How many words to the left and to the right the network sees as well.",
        default="3, 0 for networks that read both ways",
    ),
    "lower": Help("Turn words into lower case."),
    "max_size": Help("Keep at most this many words and trigrams.", OrWord(int, "none")),
    "vectors": Help(
        "Start the embedding from vectors in this text file (word2vec, GloVe, fastText).",
        FilePath(),
    ),
    "projection_size": Help(
        "The length of the vector learned for a word.", OrWord(int, "auto", "none")
    ),
}
_NETWORK = {
    "crf": Help(
        "Also learn which tags follow each other (a conditional random field), and predict "
        "the most likely sequence of tags as a whole."
    )
}
_PIECES = {
    "pieces": Help("Pieces of text per epoch."),
    "piece_length": Help("Characters in a piece, in training."),
    "evaluation_length": Help("Characters in a piece, in evaluation."),
}


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    cello train tag --network bi-lstm --parameters 26000 --epochs 3 -o larger
    """,
    own="""
    cello train tag --train train.txt --validation dev.txt --test test.txt -o words
    """,
)
@click.option("--train", type=_FILE, metavar="FILE", help="Training data in the CoNLL form.")
@click.option(
    "--validation", type=_FILE, metavar="FILE", help="Data for choosing the best network."
)
@click.option("--test", type=_FILE, metavar="FILE", help="Data for the final test.")
@options_of(_FROM_PYTHON, _BOTH)
@options_of(_FROM_FILES, _WORDS)
@options_of(_FIT, _FEATURES)
@options_of(_FROM_PYTHON, _PIECES)
@options_of("cello.tasks.networks:build_network", _NETWORK)
@training("cello.tasks.networks:NETWORK_KINDS")
def command(**values: Any) -> None:
    """Train a network to give each element of a sequence its tag.

    Each line of FILE holds a token and its tag, with any number of other columns; a blank line ends
    a sequence. Without --validation, every tenth sequence of --train is set aside for it. Without
    files, the network learns to tag each character of Python's own standard library as part of a
    keyword, a name, a string, a comment and so on.
    """
    values = begin(values)
    from cello.tasks import Tagging, python_tagging, usual_window
    from cello.tasks.readers.text_files import check_there

    if values["train"] is None:
        refuse(values, ("validation", "test"), "needs --train FILE")
        refuse(values, (*_WORDS, *_FEATURES), "needs words: give --train FILE")
        names = (*_BOTH, *_PIECES)
        values = complete(
            values, (*names, *_NETWORK), min_count=default_of(_FROM_PYTHON, "min_count")
        )
        task = python_tagging(**given(values, (*names, "seed")))
    else:
        refuse(values, _PIECES, "is for the default data, without --train")
        files = [values[split] for split in ("train", "validation", "test")]
        check_there(file for file in (*files, values["vectors"]) if file not in (None, NONE))
        names = (*_BOTH, *_WORDS, *_FEATURES)
        window = usual_window(values["kind"])
        min_count = default_of(_FIT, "min_count")
        usual = {"window": window, "min_count": min_count}
        if values["vectors"] not in (None, NONE):
            usual["features"] = "embedding"
        values = complete(values, (*names, *_NETWORK), **usual)
        if values["token"] == values["tag"]:
            raise click.UsageError(f"--token and --tag are both column {values['tag']}")
        options = given(values, (*names, "seed"))
        if "columns" in options:
            options["columns"] = [name.strip() for name in ",".join(options["columns"]).split(",")]
        task = Tagging.from_conll(*files, **options)
        _tell_vectors(task.features, values["vectors"])
        if len(task.tags) == 1:
            click.echo(
                f"cello: every token of {files[0]} has the tag {task.tags[0]}: there is nothing to "
                f"learn; is column {values['tag']} the one of the tags (--tag)?",
                err=True,
            )
        if task.unseen:
            click.echo(
                "cello: tags that no training sequence has, so that they count as errors: "
                + ", ".join(task.unseen),
                err=True,
            )
    train(task, values)


def _tell_vectors(features: Any, path: Path | None) -> None:
    """How many words have a vector that others have trained."""
    if features.pretrained is not None:
        found, count = features.found
        click.echo(
            f"cello: {path} has vectors of {found:,} of the {count:,} words in training; "
            f"{len(features.words):,} words are known, with its most frequent ones",
            err=True,
        )
