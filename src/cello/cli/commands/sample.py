"""`cello sample`: text from a model of characters."""

from __future__ import annotations

from pathlib import Path

import click

from cello.cli.command import Command
from cello.cli.output import json_option, print_json
from cello.cli.parameter_types import FilePath

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train chars --epochs 1 -o writer
    cello sample writer --prompt "def " --length 400 --temperature 0.7
    """,
)
@click.argument("model", type=FilePath())
@click.option("--prompt", help="What the text begins with.  [default: a new line]")
@click.option("--length", type=int, default=500, show_default=True, help="Characters to add.")
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    show_default=True,
    help="Below 1 the likely becomes likelier; 0 always takes the most likely character.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same text.")
@json_option
def command(
    model: Path, prompt: str | None, length: int, temperature: float, seed: int, as_json: bool
) -> None:
    """Let a model of characters go on with a text.

    What it adds is printed as it comes, after the prompt.
    """
    from cello.cli.models import open_model
    from cello.layers import Stack
    from cello.tasks import Characters

    opened = open_model(model, tasks=["chars"], must_answer=True)
    assert isinstance(opened.task, Characters)
    assert isinstance(opened.net, Stack)
    known = opened.task.features.vocabulary
    start = prompt if prompt is not None else "\n" if "\n" in known else known.entries[0]
    characters = opened.task.sample(opened.net, start, length, temperature=temperature, seed=seed)
    if as_json:
        print_json({"prompt": start, "text": "".join(characters)})
        return
    if prompt is not None:
        click.echo(prompt, nl=False)
    for character in characters:
        click.echo(character, nl=False)
    click.echo()
