"""ONNX files for the tests, and what ONNX Runtime makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import cello

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
FLOAT, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32


def info(name: str, shape: Any, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constants(**arrays: Any) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


def written(
    file: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    weights: list[TensorProto] | None = None,
    opset: int = 18,
) -> Path:
    """A file with this graph."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializer=weights or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    file.write_bytes(model.SerializeToString())
    return file


def recurrent_file(
    file: Path,
    kind: str,
    *,
    opset: int = 14,
    bias: bool = True,
    peephole: bool = False,
    lengths: bool = False,
    states: bool = False,
    outputs: str = "Y Y_h Y_c",
    **attributes: Any,
) -> Path:
    """One of the three operators, of 3 features and 4 units, with random weights."""
    rng = np.random.default_rng(0)
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[kind] * 4

    def drawn(*shape: int) -> Any:
        return rng.uniform(-0.8, 0.8, shape).astype(np.float32)

    weights = constants(W=drawn(ways, rows, 3), R=drawn(ways, rows, 4))
    weights += constants(B=drawn(ways, 2 * rows)) if bias else []
    weights += constants(P=drawn(ways, 12)) if peephole else []
    first = attributes.get("layout", 0)
    inputs = [info("X", ["B", "T", 3] if first else ["T", "B", 3])]
    state = ["B", ways, 4] if first else [ways, "B", 4]
    names = ["X", "W", "R", "B" if bias else "", "", ""]
    names += ["", "P" if peephole else ""] if kind == "LSTM" else []
    if lengths:
        inputs.append(info("lengths", ["B"], INT32))
        names[4] = "lengths"
    for place, name in enumerate(("h0", "c0") if kind == "LSTM" else ("h0",), 5):
        if states:
            inputs.append(info(name, state))
            names[place] = name
    made = [name for name in outputs.split() if name != "Y_c" or kind == "LSTM"]
    every = ["Y", "Y_h", "Y_c"] if kind == "LSTM" else ["Y", "Y_h"]
    node = helper.make_node(
        kind,
        names,
        [name if name in made else "" for name in every],
        hidden_size=4,
        **attributes,
    )
    return written(file, [node], inputs, [info(name, None) for name in made], weights, opset)


def run(file: Path, *inputs: Tensor, **named: Tensor) -> list[Tensor]:
    """What ONNX Runtime makes of these."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [part.name for part in session.get_inputs()]
    given = dict(zip(names, inputs, strict=False)) | named
    feed = {name: part.numpy() for name, part in given.items()}
    return [torch.from_numpy(part) for part in session.run(None, feed)]


def called(net: nn.Module, *inputs: Tensor) -> list[Tensor]:
    """What a net gives: the output alone of a stack."""
    made = net(*inputs)
    if isinstance(net, cello.Stack):
        return [made[0]]
    return list(made) if isinstance(made, tuple) else [made]


def onnx_of(file: Path) -> onnx.ModelProto:
    return onnx.load(file)
