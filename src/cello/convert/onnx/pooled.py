"""One vector of each sequence: the last step, or the mean, maximum or attention over all."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from torch import Tensor

from cello.convert.onnx.modules import written
from cello.convert.onnx.step import array_of
from cello.convert.onnx.through_time import Time
from cello.convert.onnx.writer import NodeWriter
from cello.errors import ConversionError
from cello.layers.outputs.pooling import (
    AttentionOverTime,
    LastStep,
    MaxOverTime,
    MeanOverTime,
    OverTime,
)

__all__ = ["pooled"]


def pooled(
    put: NodeWriter, module: OverTime, x: str, sample: Tensor, time: Time, place: str
) -> str:
    """What `module` makes of x [T, B, F], as [B, F].

    Args:
        put: writes the nodes.
        module: takes the axis of time away.
        x: the tensor, time first.
        sample: one like x, with one step and one row.
        time: which steps there are.
        place: what the module is called in a message.

    Raises:
        ConversionError: it is a module of somebody else's.
    """
    like, first = array_of(sample).dtype, put.integers(0)
    if type(module) is LastStep:
        steps = put("Sub", put("Cast", time.lengths, to=TensorProto.INT64), put.integers(1))
        rows = put("Transpose", x, perm=[1, 0, 2])
        return put("GatherND", rows, put("Unsqueeze", steps, put.integers(1)), batch_dims=1)
    if type(module) is MaxOverTime:
        none = put.constant(np.array(-np.inf, like))
        return put("ReduceMax", put("Where", time.mask, x, none), first, keepdims=0)
    inside = put("Where", time.mask, x, put.constant(np.array(0, like)))
    if type(module) is MeanOverTime:
        count = put("Cast", time.lengths, to=helper.np_dtype_to_tensor_dtype(like))
        total = put("ReduceSum", inside, first, keepdims=0)
        return put("Div", total, put("Unsqueeze", count, put.integers(1)))
    if type(module) is AttentionOverTime:
        hidden = put("Tanh", written(put, module.W, x, sample, place))
        scores = written(put, module.v, hidden, sample, place)
        none = put.constant(np.array(-np.inf, like))
        weights = put("Softmax", put("Where", time.mask, scores, none), axis=0)
        return put("ReduceSum", put("Mul", weights, inside), first, keepdims=0)
    raise ConversionError(f"{place} ({type(module).__name__}) has no form in ONNX here")
