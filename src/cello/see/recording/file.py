"""A recording as one file: safetensors, with names and the form of the result in its head."""

from __future__ import annotations

import hashlib
import json
import os
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cello import files, tree
from cello._version import __version__
from cello.errors import ModelError
from cello.layers.paths import cells_of, check_net
from cello.program import program_of_values
from cello.ranges import shown
from cello.sealed import check_format, own_memory, to_bytes
from cello.see.recording.layer_descriptions import layer_rows
from cello.see.recording.recorded import LeftOut, Recorded
from cello.see.recording.rows import LayerRows
from cello.see.recording.source import Source

__all__ = ["load", "save"]

KIND = "cello recording"
FORMAT = 1

R = TypeVar("R", bound=Recorded)


def save(recording: Recorded, path: str | os.PathLike[str]) -> None:
    """Write everything into one file, which `cello.load_recording` reads.

    What the net returned is kept too, if it is made of tensors, tuples, lists and dicts. The
    file is written under another name and then renamed, so that an old file of this name is
    replaced by a whole new one or not at all.

    Raises:
        ModelError: the file cannot be written.
    """
    path = Path(path)
    layers, tensors = _layers(recording)
    head = {
        "kind": KIND,
        "format": FORMAT,
        "cello": __version__,
        "layers": layers,
        "result": _result(recording, tensors),
    }
    tensors = own_memory(tensors)
    head["sha256"] = _digest(tensors)
    data = to_bytes(tensors, cello=json.dumps(head))
    try:
        files.replace(path, data)
    except OSError as error:
        raise ModelError(f"cannot write the recording {path}: {error}") from error


def _layers(recording: Recorded) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """The description of each layer, and the tensors; one with several names is there once."""
    tensors: dict[str, Tensor] = {}
    keys: dict[int, str] = {}

    def key(tensor: Tensor | None, name: str) -> str | None:
        if tensor is None:
            return None
        if id(tensor) not in keys:
            keys[id(tensor)] = name
            tensors[name] = tensor
        return keys[id(tensor)]

    layers = []
    for number, (name, layer) in enumerate(recording.by_layer.items()):
        steps = layer.steps
        layers.append(
            {
                "layer": name,
                "length": steps.length,
                "batch_size": steps.batch_size,
                "batch_sizes": list(steps.batch_sizes),
                "index": key(steps.index, f"index.{number}"),
                "lengths": key(steps.lengths, f"lengths.{number}"),
                "rows": {n: key(rows, f"rows.{number}.{n}") for n, rows in layer.rows.items()},
            }
        )
    return layers, tensors


def _result(recording: Recorded, tensors: dict[str, Tensor]) -> Any:
    """The form of the result; its tensors join `tensors`."""
    try:
        plain, found = tree.flatten({"result": recording.result})
    except (TypeError, ModelError) as error:  # what the net returned is not made of tensors
        return {"$left_out": str(error)}
    tensors.update(found)
    return plain


def load(kind: type[R], path: str | os.PathLike[str], net: nn.Module | None) -> R:
    """Read a recording of that kind; see `cello.load_recording`."""
    cells = {} if net is None else cells_of(check_net(net))
    head, tensors = _read(Path(path))
    try:
        layers = _layers_of(head.get("layers"), tensors)
        result = _result_of(head.get("result"), tensors)
    except ModelError as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    for layer in layers:
        cell = cells.get(layer.layer.partition("#")[0])
        if cell is not None and layer.rows:
            like = next(iter(layer.rows.values()))
            layer.source = Source.of(
                cell, partial(program_of_values, cell, like.dtype, like.device)
            )
    return kind(layers, result)


def _layers_of(described: Any, tensors: dict[str, Tensor]) -> list[LayerRows]:
    if not isinstance(described, list):
        raise ModelError(f"layers must be a list, got {shown(described)}")
    return [
        layer_rows(layer, tensors, f"layers[{number}]") for number, layer in enumerate(described)
    ]


def _result_of(described: Any, tensors: dict[str, Tensor]) -> Any:
    match described:
        case {"$left_out": str(why)}:
            return LeftOut(why)
        case {"result": result}:
            try:
                return tree.unflatten(result, tensors)
            except Exception as error:  # names of no tensor, packed sequences of no sequences …
                raise ModelError(f"its result cannot be read: {error!r}") from error
    raise ModelError(f"result must be a table, got {shown(described)}")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    import safetensors

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelError(f"{path} {what}: expected the file of a recording")
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("cello")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        head = json.loads(text) if text is not None else None
    except Exception as error:  # whatever is raised on bytes that cannot be read
        raise ModelError(f"{path} is no recording, or damaged: {error}") from error
    if not isinstance(head, dict) or head.get("kind") != KIND:
        raise ModelError(f"{path} is a safetensors file, but not a recording")
    check_format(head, str(path), newest=FORMAT)
    if head.get("sha256") != _digest(tensors):
        raise ModelError(f"{path} is damaged: its values are not those that were written")
    return head, tensors


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
