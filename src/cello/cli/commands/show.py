"""`cello show`: what is in a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cello.cli.command import Command
from cello.cli.output import json_option, print_json
from cello.cli.parameter_types import FilePath
from cello.errors import ArgumentError

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    cello show model
    cello show model --c --layer 1 --backward
    """,
    own="""
    cello show model --json
    cello show net.keras
    """,
)
@click.argument("model", type=FilePath())
@click.option("--c", "as_c", is_flag=True, help="Print the C of the loops over time instead.")
@click.option(
    "--layer",
    metavar="NAME",
    help="With --c: only this layer, such as 1, 1.0 (of several) or 1.forward.",
)
@click.option(
    "--backward", is_flag=True, help="With --c: the loops that compute gradients instead."
)
@json_option
def command(model: Path, as_c: bool, layer: str | None, backward: bool, as_json: bool) -> None:
    """Print a model's network, its parameters and its equations, or its loops in C.

    MODEL is a saved model, or a file in any format that cello import knows, which stays as it is.
    """
    from cello.cli.example_data.formulas import formulas, formulas_text
    from cello.cli.example_data.loops import loops, loops_text
    from cello.cli.models import open_model
    from cello.see import count_parameters

    if not as_c and (layer is not None or backward):
        given = "--layer" if layer is not None else "--backward"
        raise ArgumentError(f"{given} goes with --c, which prints loops")
    opened = open_model(model, prove=False)
    if as_c:
        found = loops(opened.net, layer, backward=backward)
        if as_json:
            print_json(found)
        else:
            click.echo(loops_text(found), nl=False)
        return
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
    by = f"Cello {opened.config['cello']}" if "cello" in opened.config else "another library"
    click.echo(f"{model}, saved by {by}")
    for line in _about_task(opened.config.get("task")):
        click.echo(line)
    click.echo(f"\n{opened.net}\n\n{counted}")
    if text := formulas_text(opened.net):
        click.echo(f"\n{text}")


def _about_task(task: Any) -> list[str]:
    """What the model is for, in a line or two."""
    if not isinstance(task, dict):
        return []
    plan = task.get("plan")
    if isinstance(plan, dict):
        columns = ", ".join(plan["columns"]["target"])
        return [f"forecasts {plan['horizon']} steps of {columns} from {plan['context']} before"]
    classes = task.get("classes")
    if isinstance(classes, list):
        return [f"labels: {', '.join(map(str, classes))}"]
    tags = task.get("tags")
    if isinstance(tags, list):
        return [f"tags: {', '.join(map(str, tags))}"]
    known = task.get("features", {}).get("characters", [])
    return [f"predicts the next of {len(known)} characters"]
