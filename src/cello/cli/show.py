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
    from cello.cli.models import open_model
    from cello.see import count_parameters, equations
    from cello.see.names import cells_of

    opened = open_model(model)
    counted = count_parameters(opened.net)
    formulas = {name: str(equations(cell)) for name, cell in cells_of(opened.net).items()}
    if as_json:
        config = opened.config
        print_json(
            {
                **{key: config.get(key) for key in ("format", "cello", "net", "task")},
                "parameters": counted.total,
                "equations": formulas,
            }
        )
        return
    click.echo(f"{model}, saved by Cello {opened.config.get('cello')}")
    for line in _about_task(opened.config.get("task")):
        click.echo(line)
    click.echo(f"\n{opened.net}\n\n{counted}")
    for name, text in formulas.items():
        click.echo(f"\n{name}:" if name else "")
        click.echo("\n".join(f"  {line}" for line in text.splitlines()))


def _about_task(task: Any) -> list[str]:
    """What the model is for, in a line or two."""
    if not isinstance(task, dict):
        return []
    tags = task.get("tags")
    if isinstance(tags, list):
        return [f"tags: {', '.join(map(str, tags))}"]
    known = task.get("features", {}).get("characters", [])
    return [f"predicts the next of {len(known)} characters"]
