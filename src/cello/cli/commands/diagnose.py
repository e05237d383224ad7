"""`cello diagnose`: what commonly goes wrong in a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cello.cli.command import Command
from cello.cli.language import chinese
from cello.cli.output import busy, json_option, print_json, token_option
from cello.cli.parameter_types import FilePath

if TYPE_CHECKING:
    from cello.see.diagnosis.finding import Finding

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    echo "x = 'one'  # two" | cello diagnose model -
    """,
    own="""
    cello diagnose model some.py
    cello diagnose words new.txt --json
    cello diagnose net.keras measured.csv
    """,
)
@click.argument("model", type=FilePath())
@click.argument("data", type=FilePath())
@click.option(
    "--sequences",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="So many are looked at, spread over DATA.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    help="The length of the pieces into which longer sequences are cut.",
)
@token_option
@json_option
def command(
    model: Path, data: Path, sequences: int, steps: int, token: int | str | None, as_json: bool
) -> None:
    """Run MODEL on DATA and look for what commonly goes wrong.

    It looks for inputs of wrong scale, saturated gates, units that never change, memories that
    forget at once or hold nothing but the answer before, states and gradients that explode or
    vanish along time, outputs read at the wrong end or past the end, and forecasts that are the
    input, shifted. Each finding comes with what
    was seen and what usually helps. DATA is what the model reads: plain text for a model of
    characters, the CoNLL form for one of words, numbers for a net without a task (see cello
    record); - for standard input.
    """
    from dataclasses import asdict, replace

    from cello.cli.answers.forecasts import findings
    from cello.cli.inputs import as_batch
    from cello.cli.models import open_model
    from cello.cli.reading import input_file
    from cello.see import diagnose
    from cello.tasks import Forecasting

    opened = open_model(model)
    opened.check_columns(token=token)
    more_found: list[Finding] = []
    with input_file(data) as path:
        given = opened.reader.given(path, token=token)
        if isinstance(opened.task, Forecasting):
            more_found = findings(opened.task, opened.net, [one.series for one in given])
    pieces = _pieces([sequence.x for sequence in given], sequences, steps)
    x, more = as_batch(opened.net, pieces)
    with busy(f"looking at {len(pieces)} sequences"):
        found = diagnose(opened.net, x, **more)
        found = replace(found, findings=[*found.findings, *more_found])
    if as_json:
        told = [asdict(finding) for finding in found]
        print_json({"seen": found.seen, "findings": told, "gradients": found.gradients()})
        return
    if chinese():
        from cello.cli.diagnosis_chinese import print_in_chinese

        print_in_chinese(found)
    else:
        click.echo(found)


def _pieces(sequences: Sequence[Any], count: int, steps: int) -> list[Any]:
    """At most `count` pieces of at most `steps` steps, spread evenly."""
    pieces = [s[at : at + steps] for s in sequences for at in range(0, len(s), steps)]
    whole = [piece for piece in pieces if len(piece) == steps]
    chosen = whole if len(whole) >= count else pieces
    return chosen[:: -(-len(chosen) // count)]
