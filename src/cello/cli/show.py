"""`cello show`: what is in a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cello.cli.command import Command
from cello.cli.output import json_option, print_json

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello show model
    cello show model --json
    """,
)
@click.argument("model", type=click.Path(path_type=Path))
@json_option
def command(model: Path, as_json: bool) -> None:
    """Print a model's network, its parameters and its equations."""
    from cello.cli.formulas import formulas, formulas_text
    from cello.cli.models import open_model
    from cello.see import count_parameters

    opened = open_model(model)
    counted = count_parameters(opened.net)
    if as_json:
        config = opened.config
        print_json(
            {
                **{key: config.get(key) for key in ("format", "cello", "net", "task")},
                "parameters": counted.total,
                "equations": formulas(opened.net),
            }
        )
        return
    click.echo(f"{model}, saved by Cello {opened.config.get('cello')}")
    for line in _about_task(opened.config.get("task")):
        click.echo(line)
    click.echo(f"\n{opened.net}\n\n{counted}")
    if text := formulas_text(opened.net):
        click.echo(f"\n{text}")


def _about_task(task: Any) -> list[str]:
    """What the model is for, in a line or two."""
    if not isinstance(task, dict):
        return []
    tags = task.get("tags")
    if isinstance(tags, list):
        return [f"tags: {', '.join(map(str, tags))}"]
    known = task.get("features", {}).get("characters", [])
    return [f"predicts the next of {len(known)} characters"]
