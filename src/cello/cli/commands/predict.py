"""`cello predict`: tags for new data, forecasts, and text coloured by what a network remembers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cello.cli.command import Command
from cello.cli.output import json_option, print_json, refuse_beside, token_option
from cello.cli.parameter_types import FilePath

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cello.cli.models import Model
    from cello.convert import NetGraph
    from cello.tasks import Tagging

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    echo "x = 'one'  # two" | cello predict model -
    echo "x = 'one'  # two" | cello predict model - --color c:5
    """,
    own="""
    cello predict model some.py
    cello predict words new.txt > tagged.txt
    cello predict reviews new.csv > labels.csv
    printf "text\\nWhat a film\\n" | cello predict reviews -
    cello predict sales sales.csv --plot next.svg > next.csv
    cello predict net.keras measured.csv
    """,
)
@click.argument("model", type=FilePath())
@click.argument("file", type=FilePath())
@click.option(
    "--color",
    "memory",
    metavar="MEMORY",
    help="Colour the text by a memory or gate, such as c, 1.forward.c or c:12 for unit 12; "
    "without a unit, by the one that varies most.",
)
@click.option(
    "--plot",
    type=FilePath(dir_okay=False),
    metavar="PICTURE",
    help="Draw forecasts with their bands: .svg, .png or .pdf.",
)
@token_option
@json_option
def command(
    model: Path,
    file: Path,
    memory: str | None,
    plot: Path | None,
    token: int | str | None,
    as_json: bool,
) -> None:
    """Give each element or sequence of FILE its label, or forecast its series.

    FILE may be - for standard input.

    A model of words takes the CoNLL form and adds a last column with its tags; where lines differ
    in length, columns are separated by tabs, and shorter lines have empty ones. A model of
    characters, such as the default one, takes plain text, and prints each stretch of one tag on a
    line: the tag, a tab, and the text as JSON. A model that classifies takes a file such as its
    training data, and prints the label of each sequence and the probabilities of all labels, as
    CSV. A model that forecasts takes a table with the columns of its training data, and prints one
    of what comes next: the forecasts and, as COLUMN_LEVEL, the other quantiles. A net without a
    task, such as one in a file of another library's, reads numbers (see cello record) and prints a
    line of them for each step; one that takes several inputs reads the arrays x0, x1, … of a .npz,
    each as the net takes it.
    """
    from cello.cli.models import open_model
    from cello.cli.reading import input_file

    if memory is not None:
        refuse_beside("--color", plot=plot)
    tasks = None if memory is not None else ("tag", "classify", "forecast", None)
    opened = open_model(model, tasks=tasks, must_answer=memory is None)
    opened.check_columns(token=token)
    with input_file(file) as path:
        if memory is not None:
            from cello.cli.answers.unit_colours import colour

            colour(opened, path, memory, token, as_json)
            return
        from cello.tasks import Classification, Forecasting, Tagging
        from cello.tasks.features import CharacterFeatures

        if isinstance(opened.task, Forecasting):
            from cello.cli.answers.forecasts import predict

            predict(opened.task, opened.net, path, plot, as_json)
            return
        if plot is not None:
            raise click.UsageError("--plot is for a model that forecasts")
        if isinstance(opened.task, Classification):
            from cello.cli.answers.classes import predict as classify

            classify(opened.task, opened.net, path, as_json)
            return
        if opened.task is None:
            _numbers(opened, path, as_json)
            return
        assert isinstance(opened.task, Tagging)
        if isinstance(opened.task.features, CharacterFeatures):
            _tag_text(opened.task, opened.net, path, as_json)
        else:
            _tag_words(opened.task, opened.net, path, token, as_json)


def _numbers(model: Model, path: Path, as_json: bool) -> None:
    """Numbers: a line for each step, or for each sequence if the net gives no more."""
    import torch

    from cello.cli.inputs import as_batch
    from cello.cli.number_files import read_arrays
    from cello.convert import NetGraph

    found = []
    with torch.no_grad():
        if isinstance(model.net, NetGraph) and model.net.inputs > 1:
            arrays = read_arrays(model.net, path)
            y = torch.atleast_1d(_first(_called(model.net, arrays, path)))
            for place, x in enumerate(arrays):
                _check_numbers(x, y, f"{path}: x{place}")
            y = y if y.dim() < 3 or model.net.batch_first else y.transpose(0, 1)
            found = [rows.flatten(1) for rows in y] if y.dim() > 2 else [y.reshape(len(y), -1)]
        else:
            for number, sequence in enumerate(model.reader.given(path), 1):
                x, _ = as_batch(model.net, [sequence.x])
                y = _first(model.net(x))
                _check_numbers(sequence.x, y, f"{path}: sequence {number}")
                axis = 0 if y.shape[0] == 1 or y.dim() < 3 else 1
                found.append(y.select(axis, 0).flatten(1) if y.dim() > 2 else y)
    if as_json:
        print_json([rows.tolist() for rows in found])
        return
    of_steps = "\n\n" if len(found[0]) > 1 else "\n"
    lines = ["\n".join(",".join(map(str, row)) for row in rows.numpy()) for rows in found]
    click.echo(of_steps.join(lines))


def _check_numbers(x: Tensor, y: Tensor, where: str) -> None:
    """Of an input that holds NaN, an answer that does is none.

    Raises:
        DataError: it is so; says where the first one is.
    """
    from cello.errors import DataError

    if x.is_floating_point() and y.isnan().any() and len(holes := x.isnan().nonzero()):
        raise DataError(
            f"{where} holds NaN, first at {holes[0].tolist()} counted from 0, and so would what "
            "the net makes of it: leave such steps out, or fill them in"
        )


def _first(made: Any) -> Tensor:
    while isinstance(made, tuple):
        made = made[0]
    return made


def _called(net: NetGraph, arrays: list[Tensor], path: Path) -> Any:
    from cello.errors import DataError

    try:
        return net(*arrays)
    except (RuntimeError, ValueError, IndexError) as error:  # whatever PyTorch says of a shape
        shapes = ", ".join(f"x{place} {list(x.shape)}" for place, x in enumerate(arrays))
        raise DataError(f"{path}: the net does not take {shapes}: {error}") from error


def _tag_text(task: Tagging, net: nn.Module, path: Path, as_json: bool) -> None:
    """Characters: stretches of one tag."""
    import json
    from itertools import groupby

    from cello.tasks.readers.text_files import read_text

    text = read_text(path)
    (tags,) = task.predict(net, [text])
    runs, start = [], 0
    for tag, group in groupby(tags):
        end = start + len(list(group))
        runs.append({"tag": tag, "start": start, "end": end, "text": text[start:end]})
        start = end
    if as_json:
        print_json(runs)
        return
    for run in runs:
        click.echo(f"{run['tag']}\t{json.dumps(run['text'], ensure_ascii=False)}")


def _tag_words(
    task: Tagging, net: nn.Module, path: Path, token: int | str | None, as_json: bool
) -> None:
    """Words: the rows of the file, each with its tag."""
    from cello.tasks.readers.conll import format_rows, read_conll, read_rows, separator_of

    column = task.columns[0] if token is None else token
    tokens = [sequence.tokens for sequence in read_conll(path, token=column, tag=None)]
    tags = task.predict(net, tokens)
    if as_json:
        pairs = zip(tokens, tags, strict=True)
        print_json([{"tokens": list(words), "tags": given} for words, given in pairs])
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out has been told above
        sequences = read_rows(path)
    widest = max(len(row) for sequence in sequences for row in sequence)
    columns_from = separator_of(path)
    if widest > 1 and columns_from != "\t" and all(len(sequence) == 1 for sequence in sequences):
        warnings.warn(
            f"{path}: each sequence is one line, and one word of it is the token: if this is "
            "running text, put each token on a line of its own",
            stacklevel=2,
        )
    rows = [  # the tags are the last column of all, where rows differ in length too
        [(*row, *[""] * (widest - len(row)), tag) for row, tag in zip(sequence, given, strict=True)]
        for sequence, given in zip(sequences, tags, strict=True)
    ]
    columns = (column for sequence in rows for row in sequence for column in row)
    spaced = any(" " in column or not column for column in columns)
    separator = "\t" if spaced else columns_from
    click.echo(format_rows(rows, separator=separator), nl=False)
