"""Labels of whole sequences as a table, and how they are confused."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cello.cli.output import print_json, print_tables

if TYPE_CHECKING:
    from torch import nn

    from cello.tasks.base import FileTask
    from cello.tasks.classification import Classification

__all__ = ["predict", "print_confusion"]

#: A table of how sequences are confused shows so many classes.
_CLASSES = 20


def predict(task: Classification, net: nn.Module, path: Path, as_json: bool) -> None:
    """Print the label of each sequence of a file, and the probabilities of all labels, as CSV.

    Raises:
        DataError: the file cannot be read, or is wrong.
    """
    sequences = task.read(path)
    found = task.predict(net, sequences)
    if as_json:
        print_json(
            [
                {"sequence": name, "label": one.label, "probabilities": one.chances}
                for name, one in zip(sequences.names, found, strict=True)
            ]
        )
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([task.form.by or "sequence", task.form.label, *task.classes])
    for name, one in zip(sequences.names, found, strict=True):
        writer.writerow([name, one.label, *(f"{chance:.6g}" for chance in one.chances.values())])
    click.echo(text.getvalue(), nl=False)


def print_confusion(task: FileTask, net: nn.Module) -> None:
    """Print how many sequences of each label of the split "test" were given which, if such are."""
    from cello.tasks.classification import Classification

    if not isinstance(task, Classification) or "test" not in task.splits:
        return
    found = task.confusion(net, "test")
    if len(task.classes) > _CLASSES:
        pairs = [
            (count, true, given)
            for true, row in found.items()
            for given, count in row.items()
            if count and true != given
        ]
        rows = [[true, given, f"{count:,}"] for count, true, given in sorted(pairs, reverse=True)]
        if rows:
            click.echo("\nmost often confused:")
            print_tables(["true", "given", "sequences"], rows[:_CLASSES])
        return
    click.echo("\nsequences by their label (rows) and the one they were given (columns):")
    rows = [
        [true, *(f"{count:,}" if count else "" for count in row.values())]
        for true, row in found.items()
    ]
    print_tables(["", *task.classes], rows, fixed=1)
