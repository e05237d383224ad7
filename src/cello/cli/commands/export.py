"""`cello export`: a saved model as another library's file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from cello.cli.command import Command
from cello.cli.models import open_model
from cello.cli.output import busy, json_option, print_json
from cello.cli.parameter_types import FilePath
from cello.errors import ArgumentError, ModelError

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    cello export model --c folder --name tagger --int8
    cello export model net.onnx
    cello export model step.onnx --stream --test-vector step.npz
    """,
    own="""
    cello export model net.keras
    cello export amp net.json
    """,
)
@click.argument("model", type=FilePath())
@click.argument("out", type=FilePath(dir_okay=False), required=False)
@click.option(
    "--c",
    "folder",
    metavar="DIR",
    type=FilePath(file_okay=False),
    help="Write C99 with the weights into this folder instead of OUT.",
)
@click.option("--name", help="C: what it and all in it is called.  [default: net]")
@click.option("--ids", type=int, help="C: ids of a step, where the net takes any number.")
@click.option("--int8", is_flag=True, help="C: matrices in 8 bits.")
@click.option("--libm", is_flag=True, help="C: exponentials of the C library.")
@click.option("--stream", is_flag=True, help="The graph of one step: state in, state out.")
@click.option(
    "--test-vector",
    metavar="FILE",
    type=FilePath(dir_okay=False),
    help="Write inputs with their outputs beside it, as .npz.",
)
@json_option
def command(
    model: Path,
    out: Path | None,
    folder: Path | None,
    name: str | None,
    ids: int | None,
    int8: bool,
    libm: bool,
    stream: bool,
    test_vector: Path | None,
    as_json: bool,
) -> None:
    """Write MODEL as OUT, whose ending says what it becomes: .onnx, .keras, or .json for RTNeural.

    A file is written once what it computes has proved equal to the model.
    """
    if (out is None) == (folder is None):
        raise ArgumentError("say where to: either OUT, or --c DIR for C")
    ending = ".c" if out is None else out.suffix.lower()
    if out is not None and ending not in _WRITERS:
        raise ArgumentError(
            f"OUT must end in one of {', '.join(_WRITERS)}, which says what it becomes; got {out}"
        )
    if ending != ".onnx" and (stream or test_vector is not None):
        raise ArgumentError("--stream and --test-vector go with a file that ends in .onnx")
    if folder is None and (int8 or libm or ids is not None or name is not None):
        raise ArgumentError("--name, --ids, --int8 and --libm go with --c")
    net = open_model(model, must_answer=True).net
    with busy(f"writing {out or folder} and comparing it with the model"):
        if folder is not None:
            weights, math = ("int8" if int8 else "float"), ("libm" if libm else "own")
            told = _c(
                net,
                folder,
                name="net" if name is None else name,
                ids=ids,
                weights=weights,
                math=math,
            )
        else:
            assert out is not None
            told = _WRITERS[ending](net, out, stream, test_vector)
    if as_json:
        print_json({"file": str(out or folder), **told})
        return
    click.echo(f"{out or folder}: {told.pop('format')}")
    for key, value in told.items():
        click.echo(f"  {key.replace('_', ' ')}: {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key or 'net'} → {part}" for key, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:.1e}" if isinstance(value, float) else str(value)


def _onnx(net: Any, out: Path, stream: bool, test_vector: Path | None) -> dict[str, Any]:
    from cello.convert.onnx.onnx_file import to_onnx

    made = to_onnx(net, out, stream=stream, test_vector=test_vector)
    return {
        "format": "ONNX, one step" if stream else "ONNX, for every T and B that the net takes",
        "cells": made.operators,
        "states": made.states,
        **_compared(made.proof),
    }


def _rtneural(net: Any, out: Path, _stream: bool, _test_vector: Path | None) -> dict[str, Any]:
    from cello.convert import to_rtneural

    proof = to_rtneural(net, out)
    return {"format": "RTNeural", **_compared(proof)}


def _keras(net: Any, out: Path, _stream: bool, _test_vector: Path | None) -> dict[str, Any]:
    from cello.convert import proof_of, to_keras
    from cello.files import replace

    model = to_keras(net)
    try:
        with tempfile.TemporaryDirectory(prefix="cello-") as folder:
            written = Path(folder, "net.keras")
            model.save(written)
            replace(out, written.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot write {out}: {error}") from error
    return {"format": "Keras", **_compared(proof_of(model))}


def _compared(proof: Any) -> dict[str, Any]:
    return {"inputs_compared": proof.cases, "largest_difference": proof.largest}


def _c(net: Any, folder: Path, **options: Any) -> dict[str, Any]:
    from cello.convert import to_c

    made = to_c(net, folder, **options)
    sizes = ("code_bytes", "weight_bytes", "state_bytes", "stack_bytes")
    return {
        "format": "C99",
        "files": [str(file) for file in made.files],
        **{name: getattr(made, name) for name in sizes},
        **({"largest_difference": made.difference} if made.why_not is None else {}),
        **({"not_proved": made.why_not} if made.why_not is not None else {}),
        **({"int8_costs": made.int8_loss[0]} if made.int8_loss is not None else {}),
    }


#: What writes a file with each ending.
_WRITERS = {".onnx": _onnx, ".json": _rtneural, ".keras": _keras}
