"""`cello import`: a network that another library wrote, as a model of ours."""

from __future__ import annotations

from pathlib import Path

import click

from cello.cli.command import Command
from cello.cli.output import busy, json_option, print_json
from cello.cli.parameter_types import FilePath
from cello.errors import ModelError

__all__ = ["command"]


@click.command(
    cls=Command,
    name="import",
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    cello import model/weights.safetensors --prefix 1. -o lstm
    cello show lstm
    """,
    own="""
    cello import net.keras -o model
    cello import net.onnx -o model
    cello import plug-in.json -o model
    cello import tagger.safetensors --prefix encoder.lstm. -o model
    """,
)
@click.argument("file", type=FilePath())
@click.option(
    "-o",
    "--output",
    "model",
    required=True,
    metavar="MODEL",
    type=FilePath(file_okay=False),
    help="Folder for the model; it must not hold one.",
)
@click.option(
    "--prefix",
    help="Of weights of PyTorch's: which recurrent layer, where the file holds several.",
)
@click.option(
    "--nonlinearity",
    type=click.Choice(["tanh", "relu"]),
    help="Of an RNN of PyTorch's, whose weights do not say it.",
)
@json_option
def command(
    file: Path, model: Path, prefix: str | None, nonlinearity: str | None, as_json: bool
) -> None:
    """Open a network of Keras's (.keras, .h5), ONNX's (.onnx), RTNeural's (.json) or PyTorch's.

    Weights of PyTorch's stand in .safetensors, .pt or .pth; of them the recurrent layer becomes the
    model. No code from a file is run.
    """
    from cello.convert import CONFIG, open_file, save_model
    from cello.see import count_parameters

    if (model / CONFIG).exists():
        raise ModelError(f"{model} holds a model already: choose another folder")
    with busy(f"reading {file}"):
        net = open_file(file, prefix=prefix, nonlinearity=nonlinearity)
    with busy(f"writing {model}"):
        save_model(net, model)
    counted = count_parameters(net)
    if as_json:
        print_json({"model": str(model), "parameters": counted.total})
        return
    click.echo(f"{net}\n\n{counted.total:,} parameters, saved in {model}")
