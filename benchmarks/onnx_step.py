"""An LSTM or GRU in ONNX Runtime, called from Python with its state as inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

__all__ = ["block", "step"]

OPSET = 17
IR_VERSION = 8  # of the time of that opset: what is asked of a runtime is no more than needed
#: PyTorch's gates in the order of ONNX: i f g o to i o f c, r z n to z r h.
_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
_STATES = {"LSTM": ("h", "c"), "GRU": ("h",)}


def block(kind: str, weights: dict[str, Any]) -> Callable[..., Any]:
    """A function x [T, 1, I] → y [T, 1, H] that keeps its state, unless it is to begin anew.

    Args:
        kind: "LSTM" or "GRU".
        weights: numpy arrays under the names of nn.LSTMCell or nn.GRUCell.
    """
    rows, inputs = weights["weight_ih"].shape
    order, states = _ORDER[kind], _STATES[kind]
    hidden = rows // len(order)
    rows_of = np.concatenate([np.arange(hidden) + hidden * gate for gate in order])
    own = {
        "W": weights["weight_ih"][rows_of][None],
        "R": weights["weight_hh"][rows_of][None],
        "B": np.concatenate([weights["bias_ih"][rows_of], weights["bias_hh"][rows_of]])[None],
    }
    after = [f"{name}_n" for name in states]
    options = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(
        kind, ["x", "W", "R", "B", "", *states], ["y", *after], hidden_size=hidden, **options
    )
    graph = helper.make_graph(
        [node],
        "block",
        [_tensor("x", "T", 1, inputs), *(_tensor(name, 1, 1, hidden) for name in states)],
        [_tensor("y", "T", 1, 1, hidden), *(_tensor(name, 1, 1, hidden) for name in after)],
        [numpy_helper.from_array(value, name) for name, value in own.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    checker.check_model(model)
    onnxruntime.disable_telemetry_events()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    state = {name: np.zeros((1, 1, hidden), np.float32) for name in states}

    def run(x: Any, *, anew: bool = False) -> Any:
        if anew:
            state.update({name: np.zeros((1, 1, hidden), np.float32) for name in states})
        y, *now = session.run(None, {"x": x, **state})
        state.update(zip(states, now, strict=True))
        return y[:, 0]

    return run


def step(kind: str, weights: dict[str, Any]) -> Callable[[Any], Any]:
    """A function x [1, I] → h [1, H] that keeps its state."""
    run = block(kind, weights)
    return lambda x: run(x[None])[0]


def _tensor(name: str, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
