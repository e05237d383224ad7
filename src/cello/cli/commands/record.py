"""`cello record`: every named value of every step of a run, as a file or a page."""

from __future__ import annotations

from pathlib import Path

import click

from cello.cli.command import Command
from cello.cli.language import said
from cello.cli.output import busy, json_option, print_json, token_option
from cello.cli.parameter_types import FilePath
from cello.errors import ArgumentError

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    echo "x = 'one'  # two" | cello record model - --only c
    echo "x = 'one'  # two" | cello record model - -o run.html
    """,
    own="""
    cello record net.keras measured.csv --only "*.c"
    cello record model some.py -o run.safetensors
    cello record net.onnx x.npy -o run.html
    """,
)
@click.argument("model", type=FilePath())
@click.argument("data", type=FilePath())
@click.option(
    "-o",
    "--output",
    "out",
    metavar="FILE",
    type=FilePath(dir_okay=False),
    help="Write it: .safetensors for cello.load_recording, or .html, a page that works offline.",
)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Keep these values only, such as f or '*.c'."
)
@token_option
@json_option
def command(
    model: Path,
    data: Path,
    out: Path | None,
    only: tuple[str, ...],
    token: int | str | None,
    as_json: bool,
) -> None:
    """Run MODEL on DATA and keep every value of every step; without -o, print the first sequence.

    MODEL is a saved model, or a file that cello import knows. DATA is what it reads, - for standard
    input: text for a model of characters, the CoNLL form for one of words, and numbers for a net
    without a task. These are a .npy or .npz of one sequence, [steps, numbers], or of several,
    [sequences, steps, numbers]; or text, with a step a line and blank lines between sequences.
    """
    import torch

    from cello.cli.inputs import as_batch, described, labels_of, outlook_of
    from cello.cli.models import open_model
    from cello.cli.reading import input_file
    from cello.see import record

    if out is not None and out.suffix.lower() not in (".safetensors", ".html"):
        raise ArgumentError(f"FILE must end in .safetensors or .html, got {out}", argument="out")
    opened = open_model(model)
    opened.check_columns(token=token)
    with input_file(data) as path:
        given = opened.reader.given(path, token=token)
    x, more = as_batch(opened.net, [sequence.x for sequence in given])
    with busy(f"recording {len(given)} sequences"), torch.no_grad():
        recording = record(opened.net, x, only=only or None, **more)
        if out is not None and out.suffix.lower() == ".html":
            tokens = [list(sequence.tokens) for sequence in given]
            labels = labels_of(opened)
            right = [one.expected for one in given] if labels else []
            outlooks = [outlook_of(opened, one) for one in given]
            recording.to_html(
                out,
                tokens,
                title=model.name,
                description=described(opened),
                labels=labels,
                expected=right if any(right) else None,
                forecast=outlooks if any(outlooks) else None,
            )
        elif out is not None:
            recording.save(out)
    if as_json:
        values = {} if out is not None else {n: recording[n].tolist() for n in recording.names}
        told = {"file": str(out)} if out is not None else {"values": values}
        print_json({"names": list(recording.names), **told})
        return
    click.echo(recording)
    click.echo(f"\n{recording.table()}" if out is None else said("written to {}", out))
