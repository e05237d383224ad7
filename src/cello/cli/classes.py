"""Labels of whole sequences as a table, how they are confused, and tables as texts for a page."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cello.cli.output import print_json, print_tables

if TYPE_CHECKING:
    from torch import nn

    from cello.see.page.session import Read
    from cello.tasks.classification import Classification

__all__ = ["is_text", "predict", "print_confusion", "table_reader", "table_text"]

#: A page shows so many sequences of a file, and a table of how they are confused so many classes.
_SEQUENCES, _CLASSES = 20, 20


def is_text(task: Classification) -> bool:
    """Whether its sequences are texts, and not rows of numbers."""
    from cello.tasks.classification.table_rows import NumberFeatures

    return not isinstance(task.features, NumberFeatures)


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


def print_confusion(task: Classification, net: nn.Module) -> None:
    """Print how many sequences of each label of the split "test" were given which."""
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


def table_text(task: Classification, path: Path | None = None) -> str:
    """The first sequences of a file as text that `table_reader` reads; without one, such a text."""
    import pandas as pd

    from cello.tasks.classification.table_rows import NumberFeatures

    by = task.form.by or "sequence"
    if path is None:
        assert isinstance(task.features, NumberFeatures)  # else the text is a sentence
        steps: dict[str, Any] = {by: ["a"] * 8}
        for about in task.features.columns:
            kinds = about.get("categories")
            steps[about["name"]] = [
                kinds[t % len(kinds)]
                if kinds
                else round(about["mean"] + about["scale"] * (t % 2), 4)
                for t in range(8)
            ]
        return pd.DataFrame(steps).to_csv(index=False)
    sequences = task.read(path)
    items = sequences.items[:_SEQUENCES]
    if isinstance(items[0], tuple):
        separator = "" if task.form.level == "characters" else " "
        return "\n".join(separator.join(tokens).replace("\n", " ") for tokens in items)
    named = zip(sequences.names, items, strict=False)
    return pd.concat([rows.assign(**{by: name}) for name, rows in named]).to_csv(index=False)


def table_reader(task: Classification) -> Read:
    """What turns a text, a sequence a line, or a table as CSV, into what the network reads."""

    def read(text: str) -> Any:
        from cello.tasks.classification import Sequences
        from cello.tasks.classification.sequences import tokens_of

        if is_text(task):
            lines = [line for line in text.splitlines() if line.strip()] or [""]
            items = [tokens_of(line, task.form.level) for line in lines]
            sequences = Sequences([str(number) for number in range(len(items))], items, None)
        else:
            sequences = task.read(io.StringIO(text), by="sequence")
        return [(tokens, x.unsqueeze(1)) for tokens, x in task.inputs(sequences)]

    return read
