"""What stands in an ONNX file: its graph and its tensors, each checked before it is made.

The size of a tensor is compared with the bytes that are there before memory is asked for; numbers
in other files are read from the folder of the model and from nowhere else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cello.convert.onnx_read.operators.computing import DTYPES
from cello.errors import ModelError
from cello.ranges import shown

__all__ = ["dtype_name", "open_model", "tensor_of"]

_LARGEST = 2**31 - 1
_MOST_NODES = 50_000
_DEEPEST = 20
#: Operator sets whose meaning is known; the recurrent operators are the same since 22.
_OLDEST, _NEWEST = 7, 27
_OWN_DOMAINS = ("", "ai.onnx")


def open_model(file: Path) -> tuple[Any, int]:
    """The model in a file, with its numbers in it, and its operator set.

    Raises:
        ModelError: it cannot be read, or is no model of a version that is known.
    """
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto
    except ImportError as error:
        raise ModelError("reading ONNX files needs onnx: pip install 'cello[onnx]'") from error
    try:
        if file.stat().st_size > _LARGEST:
            raise ModelError(f"it has {file.stat().st_size:,} bytes, more than an ONNX file may")
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise ModelError("it does not exist") from error
    except OSError as error:
        raise ModelError(f"it cannot be read: {error}") from error
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"it is damaged, or no ONNX file: {error}") from error
    if not model.HasField("graph") or not model.graph.output:
        raise ModelError("it holds no graph" if data else "it is empty, with no graph in it")
    for graph in _graphs(model.graph):
        for tensor in _tensors(graph):
            if tensor.data_location == tensor.EXTERNAL:
                _fetch(tensor, file.parent)
    _ask_for_states(model)
    return model, _opset(model)


def _ask_for_states(model: Any) -> None:
    """In a file of ours that runs one step, states are what a call gives, not their defaults."""
    told = {entry.key: entry.value for entry in model.metadata_props}
    names = {info.name for info in model.graph.input}
    if "cello.states" not in told or "lengths" in names:
        return
    try:
        names &= set(json.loads(told["cello.states"]))
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"its metadata cello.states are damaged: {error}") from error
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in names]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _opset(model: Any) -> int:
    found = {entry.version for entry in model.opset_import if entry.domain in _OWN_DOMAINS}
    if len(found) != 1 or not _OLDEST <= min(found) <= _NEWEST:
        what = ", ".join(map(str, sorted(found))) or "none"
        raise ModelError(f"it uses operator set {what}; {_OLDEST} to {_NEWEST} are known")
    if model.functions:
        raise ModelError(f"it has functions of its own, such as {shown(model.functions[0].name)}")
    return int(min(found))


def _graphs(graph: Any, depth: int = 0) -> Iterator[Any]:
    """The graph and those inside of its nodes."""
    if depth > _DEEPEST or len(graph.node) > _MOST_NODES:
        raise ModelError(f"it has more than {_MOST_NODES:,} nodes, or graphs {_DEEPEST} deep")
    yield graph
    for node in graph.node:
        if node.domain not in _OWN_DOMAINS:
            raise ModelError(f"{shown(node.op_type)} of {shown(node.domain)} is not known")
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g, depth + 1)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    if graph.sparse_initializer:
        raise ModelError("it has sparse tensors")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def dtype_name(kind: int) -> str:
    """The kind of numbers that ONNX has a number for."""
    from onnx import TensorProto

    try:
        name = TensorProto.DataType.Name(kind).lower()
    except ValueError as error:
        raise ModelError(f"there are no numbers of kind {kind}") from error
    name = {"float": "float32", "double": "float64"}.get(name, name)
    if name not in DTYPES:
        raise ModelError(f"numbers of kind {name} are not known")
    return name


def tensor_of(proto: Any) -> Tensor:
    """A tensor in the file.

    Raises:
        ModelError: it has not as many numbers as its shape says, or no kind that is known.
    """
    from onnx import numpy_helper

    dtype = DTYPES[dtype_name(proto.data_type)]
    place = f"the tensor {shown(proto.name)} {shown(list(proto.dims))}"
    if any(size < 0 for size in proto.dims) or proto.HasField("segment"):
        raise ModelError(f"{place} has no shape")
    count = math.prod(proto.dims)
    if proto.HasField("raw_data"):
        found = len(proto.raw_data) / dtype.itemsize
    else:
        fields = (proto.float_data, proto.double_data, proto.int32_data, proto.int64_data)
        found = sum(len(field) for field in fields)
    if found != count:
        raise ModelError(f"{place} holds {found:g} numbers, not {count}")
    if dtype == torch.bfloat16:
        bits = numpy_helper.to_array(proto).view(np.int16)
        return torch.from_numpy(bits.copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(numpy_helper.to_array(proto)))


def _fetch(tensor: Any, folder: Path) -> None:
    """Put numbers that stand in another file into the tensor."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    place = f"the tensor {shown(tensor.name)}"
    given = Path(told.get("location", ""))
    root = folder.resolve()
    path = (root / given).resolve()
    if given.is_absolute() or not path.is_relative_to(root) or not path.is_file():
        raise ModelError(
            f"{place} keeps its numbers in {shown(str(given))}, which is no file in the folder "
            "of the model"
        )
    try:
        offset = int(told.get("offset", 0))
        length = int(told.get("length", path.stat().st_size - offset))
    except ValueError as error:
        raise ModelError(f"{place} does not say where its numbers stand: {error}") from error
    size = math.prod(tensor.dims) * DTYPES[dtype_name(tensor.data_type)].itemsize
    if offset < 0 or length != size or offset + length > path.stat().st_size:
        raise ModelError(f"{place} needs {size} bytes, {shown(str(given))} has others there")
    with path.open("rb") as opened:
        opened.seek(offset)
        data = opened.read(length)
    if len(data) != length:
        raise ModelError(f"{shown(str(given))} is shorter than it was")
    for name in ("external_data", "data_location"):
        tensor.ClearField(name)
    tensor.raw_data = data
