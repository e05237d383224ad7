"""One step of an LSTM in ONNX Runtime, called from Python with its state as inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

__all__ = ["lstm_step"]

OPSET = 17
IR_VERSION = 8  # of the time of that opset: what is asked of a runtime is no more than needed


def lstm_step(weights: dict[str, Any]) -> Callable[[Any], Any]:
    """A function x [1, I] → h [1, H] that keeps its state.

    Args:
        weights: numpy arrays under the names of nn.LSTMCell, whose gates lie in the order i f g o;
            ONNX has i o f g.
    """
    h4, inputs = weights["weight_ih"].shape
    hidden = h4 // 4
    order = np.concatenate([np.arange(hidden) + hidden * gate for gate in (0, 3, 1, 2)])
    own = {
        "W": weights["weight_ih"][order][None],
        "R": weights["weight_hh"][order][None],
        "B": np.concatenate([weights["bias_ih"][order], weights["bias_hh"][order]])[None],
    }
    node = helper.make_node(
        "LSTM", ["x", "W", "R", "B", "", "h", "c"], ["", "h_n", "c_n"], hidden_size=hidden
    )
    graph = helper.make_graph(
        [node],
        "step",
        [_tensor("x", inputs), _tensor("h", hidden), _tensor("c", hidden)],
        [_tensor("h_n", hidden), _tensor("c_n", hidden)],
        [numpy_helper.from_array(value, name) for name, value in own.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    checker.check_model(model)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    state = {name: np.zeros((1, 1, hidden), np.float32) for name in ("h", "c")}

    def step(x: Any) -> Any:
        state["h"], state["c"] = session.run(None, {"x": x[None], **state})
        return state["h"][0]

    return step


def _tensor(name: str, size: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, size])
