"""Modules without a state: encoders of ids, linear readouts, and whatever works on each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from cello.convert.onnx.step import array_of
from cello.convert.onnx.through_time import one_step
from cello.convert.onnx.writer import NodeWriter
from cello.convert.recurrence import Step
from cello.errors import ConversionError
from cello.layers.encoders import KHot, OneHot, Projection, WindowEmbedding, WindowProjection
from cello.layers.row_wise import RowWise

__all__ = ["written"]


def written(put: NodeWriter, module: Any, x: str, sample: Tensor, place: str) -> str:
    """What `module` makes of x, [..., features] or ids.

    Args:
        put: writes the nodes.
        module: in eval mode.
        x: the tensor.
        sample: one like x, with one row.
        place: what the module is called in a message.

    Raises:
        ConversionError: it does not work on each row by itself, or has no form in ONNX.
    """
    if isinstance(module, (nn.Identity, nn.Dropout)):
        return x
    if type(module) in _KNOWN:
        return _KNOWN[type(module)](put, module, x)
    if not sample.is_floating_point():
        raise ConversionError(
            f"{place} ({type(module).__name__}) reads whole numbers; of the modules that do, "
            "nn.Embedding and Cello's encoders can be written as ONNX"
        )
    return one_step(put, Step(RowWise(module, sample.shape[-1]), place), x, [""])[0]


def _linear(put: NodeWriter, module: Any, x: str) -> str:
    y = put("MatMul", x, put.constant(array_of(module.weight).T, "weight"))
    if module.bias is None:
        return y
    return put("Add", y, put.constant(array_of(module.bias), "bias"))


def _embedding(put: NodeWriter, module: nn.Embedding, x: str) -> str:
    if module.max_norm is not None:
        raise ConversionError("nn.Embedding with max_norm changes its weights when it is read")
    return put("Gather", put.constant(array_of(module.weight), "weight"), x)


def _hot(put: NodeWriter, ids: str, size: int, like: Any) -> str:
    values = put.constant(np.array([0, 1], like))
    return put("OneHot", ids, put.integers(size), values, axis=-1)


def _one_hot(put: NodeWriter, module: OneHot, x: str) -> str:
    return _hot(put, x, module.size, array_of(module.one).dtype)


def _known(put: NodeWriter, ids: str, like: Any) -> tuple[str, str]:
    """Ids with 0 for none, and [..., K, 1], 0 for none and 1 for each other."""
    zero = put.integers(0)
    there = put("Not", put("Less", ids, zero))
    one, none = (put.constant(np.array([number], like)) for number in (1, 0))
    weight = put("Where", put("Unsqueeze", there, put.integers(-1)), one, none)
    return put("Max", ids, zero), weight


def _k_hot(put: NodeWriter, module: KHot, x: str) -> str:
    like = array_of(module.one).dtype
    ids, weight = _known(put, x, like)
    rows = put("Mul", _hot(put, ids, module.size, like), weight)
    return put("ReduceSum", rows, put.integers(-2), keepdims=0)


def _rows_of_table(put: NodeWriter, weight: Any, ids: str, there: str) -> str:
    return put("Mul", put("Gather", put.constant(weight, "weight"), ids), there)


def _projection(put: NodeWriter, module: Projection, x: str) -> str:
    weight = array_of(module.weight)
    rows = _rows_of_table(put, weight, *_known(put, x, weight.dtype))
    return put("ReduceSum", rows, put.integers(-2), keepdims=0)


def _flat(put: NodeWriter, x: str, width: int) -> str:
    """The last two axes as one."""
    lead = put("Shape", x, end=-2)
    return put("Reshape", x, put("Concat", lead, put.integers(width), axis=0))


def _window_embedding(put: NodeWriter, module: WindowEmbedding, x: str) -> str:
    weight = array_of(module.weight)
    rows = _rows_of_table(put, weight, *_known(put, x, weight.dtype))
    return _flat(put, rows, module.output_size)


def _window_projection(put: NodeWriter, module: WindowProjection, x: str) -> str:
    """A row of the table for each id, and for each place the sum of those that stand there."""
    weight = array_of(module.weight)
    ids, there = _known(put, x, weight.dtype)
    each = put.integers(len(weight))
    place = _hot(put, put("Div", ids, each), module.window_size, weight.dtype)
    rows = _rows_of_table(put, weight, put("Mod", ids, each), there)
    # [..., K, P, 1] · [..., K, 1, D], summed over K
    pairs = put(
        "Mul", put("Unsqueeze", place, put.integers(-1)), put("Unsqueeze", rows, put.integers(-2))
    )
    return _flat(put, put("ReduceSum", pairs, put.integers(-3), keepdims=0), module.output_size)


_KNOWN: dict[type, Callable[[NodeWriter, Any, str], str]] = {
    nn.Linear: _linear,
    nn.Embedding: _embedding,
    OneHot: _one_hot,
    KHot: _k_hot,
    Projection: _projection,
    WindowEmbedding: _window_embedding,
    WindowProjection: _window_projection,
}
