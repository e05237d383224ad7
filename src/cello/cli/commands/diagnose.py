"""`cello diagnose`: what commonly goes wrong in a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cello.cli.command import Command
from cello.cli.output import json_option, print_json, token_option

if TYPE_CHECKING:
    from cello.cli.models import Model
    from cello.tasks.base import Batch

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello diagnose model some.py
    cello diagnose words-model new.txt --json
    """,
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
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
def command(model: Path, data: Path, sequences: int, steps: int, token: int, as_json: bool) -> None:
    """Run MODEL on DATA and look for what commonly goes wrong.

    It looks for saturated gates, units that never change, memories that forget at once or hold
    nothing but the answer before, states and gradients that explode or vanish along time, and
    outputs read at the wrong end. Each finding comes with what was seen and what usually helps.
    DATA is what the model reads: plain text for a model of characters, the CoNLL form for one of
    words; - for standard input.
    """
    from dataclasses import asdict

    from rich.console import Console

    from cello.cli.models import open_model
    from cello.cli.reading import input_file
    from cello.cli.tokens import token_sequences
    from cello.see import diagnose

    opened = open_model(model)
    with input_file(data) as path:
        tokens = token_sequences(opened, path, token, "look at")
    batch = _batch(opened, _pieces(tokens, sequences, steps))
    with Console(stderr=True).status(f"looking at {batch.y.shape[1]} sequences"):
        found = diagnose(opened.net, batch.x, lengths=batch.lengths)
    if as_json:
        findings = [asdict(finding) for finding in found]
        print_json({"seen": found.seen, "findings": findings, "gradients": found.gradients()})
        return
    click.echo(found)


def _pieces(tokens: Sequence[Sequence[str]], count: int, steps: int) -> list[Sequence[str]]:
    """At most `count` pieces of at most `steps` tokens, spread evenly."""
    pieces = [s[at : at + steps] for s in tokens for at in range(0, len(s), steps)]
    whole = [piece for piece in pieces if len(piece) == steps]
    chosen = whole if len(whole) >= count else pieces
    return chosen[:: -(-len(chosen) // count)]


def _batch(model: Model, pieces: Sequence[Sequence[str]]) -> Batch:
    import torch

    from cello.tasks.batching import Example, collate

    assert model.task is not None
    encoded = [model.task.features.encode(piece) for piece in pieces]
    return collate([Example(x, torch.zeros(len(x), dtype=torch.long)) for x in encoded])
