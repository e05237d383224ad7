"""The functions of a graph's nodes, as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from cello.convert.onnx.step import array_of
from cello.convert.onnx.writer import NodeWriter
from cello.convert.onnx_read.operators.computing import OPERATORS
from cello.errors import ConversionError

__all__ = ["function", "module"]

Names = Sequence[Any]  # of the tensors that a node reads; "" for what it leaves out
_BEGINNING = np.iinfo(np.int64).min


def _in_turn(operator: str) -> Callable[..., str]:
    def put_all(put: NodeWriter, names: Names, _: Sequence[Any]) -> str:
        made = names[0]
        for name in names[1:]:
            made = put(operator, made, name)
        return str(made)

    return put_all


def _over(operator: str) -> Callable[..., str]:
    def over(put: NodeWriter, names: Names, _: Sequence[Any], axis: int) -> str:
        return put(operator, names[0], put.integers(axis), keepdims=0)

    return over


def _differs(put: NodeWriter, names: Names, read: Sequence[Any], number: float) -> str:
    kind = helper.np_dtype_to_tensor_dtype(array_of(torch.empty(0)).dtype)
    like = array_of(read[0]).dtype
    same = put("Equal", names[0], put.constant(np.array(number, like)))
    return put("Cast", put("Not", same), to=kind)


def _any_differs(put: NodeWriter, names: Names, read: Sequence[Any], number: float) -> str:
    each = _differs(put, names, read, number)
    return put("ReduceMax", each, put.integers(-1), keepdims=0)


def _choose(put: NodeWriter, names: Names, read: Sequence[Any]) -> str:
    there = _differs(put, [put("Unsqueeze", names[0], put.integers(-1))], read, 0.0)
    return put("Where", put("Cast", there, to=TensorProto.BOOL), *names[1:])


def _flip(put: NodeWriter, names: Names, _: Sequence[Any], axis: int) -> str:
    ends = (put.integers(number) for number in (-1, _BEGINNING, axis, -1))
    return put("Slice", names[0], *ends)


def _select(put: NodeWriter, names: Names, _: Sequence[Any], axis: int, index: int) -> str:
    return put("Gather", names[0], put.constant(np.array(index, np.int64)), axis=axis)


def _pad(put: NodeWriter, names: Names, _: Sequence[Any], before: int, after: int = 0) -> str:
    return put("Pad", names[0], put.integers(0, before, 0, 0, after, 0))


def _crop(put: NodeWriter, names: Names, _: Sequence[Any], before: int, after: int) -> str:
    end = -after if after else np.iinfo(np.int64).max
    return put("Slice", names[0], put.integers(before), put.integers(end), put.integers(1))


def _upsample(put: NodeWriter, names: Names, read: Sequence[Any], times: int) -> str:
    each = put("Unsqueeze", names[0], put.integers(2))
    wide = put("Expand", each, put.integers(1, 1, times, 1))
    return put("Reshape", wide, put.integers(0, -1, read[0].shape[2]))


def _reshape(put: NodeWriter, names: Names, _: Sequence[Any], shape: Sequence[int]) -> str:
    return put("Reshape", names[0], put.integers(0, *shape))


def _permute(put: NodeWriter, names: Names, _: Sequence[Any], axes: Sequence[int]) -> str:
    return put("Transpose", names[0], perm=list(axes))


def _repeat(put: NodeWriter, names: Names, _: Sequence[Any], times: int) -> str:
    return put("Expand", put("Unsqueeze", names[0], put.integers(1)), put.integers(1, times, 1))


def _keep(put: NodeWriter, names: Names, _: Sequence[Any]) -> str:
    return put("Mul", names[0], put("Unsqueeze", names[1], put.integers(-1)))


def _dot(
    put: NodeWriter, names: Names, read: Sequence[Any], axes: Sequence[int], normalize: bool
) -> str:
    """The vectors along an axis of each as rows, and as columns."""
    parts = []
    for name, value, axis, end in zip(names, read, axes, (read[0].dim() - 1, 1), strict=True):
        if normalize:
            squares = put("ReduceSumSquare", name, put.integers(axis))
            least = put.constant(np.array(1e-12, array_of(value).dtype))
            name = put("Div", name, put("Sqrt", put("Max", squares, least)))
        order = [n for n in range(value.dim()) if n != axis]
        order.insert(end, axis)
        parts.append(put("Transpose", name, perm=order))
    flat = [n for n, value in enumerate(read, 1) if value.dim() == 2]
    if any(value.dim() > 3 for value in read):
        raise ConversionError("a product of tensors of more than three axes")
    rows, columns = (
        put("Unsqueeze", part, put.integers(n)) if n in flat else part
        for n, part in enumerate(parts, 1)
    )
    made = put("MatMul", rows, columns)
    return put("Squeeze", made, put.integers(*flat[:1])) if flat else made


def _rescale(
    put: NodeWriter, names: Names, read: Sequence[Any], scale: float, offset: float
) -> str:
    times, more = (put.constant(np.array(n, array_of(read[0]).dtype)) for n in (scale, offset))
    return put("Add", put("Mul", names[0], times), more)


def _concatenate(put: NodeWriter, names: Names, _: Sequence[Any], axis: int) -> str:
    return put("Concat", *names, axis=axis)


def _ints(put: NodeWriter, _: Names, __: Sequence[Any], numbers: Any) -> str:
    return put.constant(np.array(numbers, np.int64), "ints")


def _stack(put: NodeWriter, names: Names, _: Sequence[Any]) -> str:
    return put("Concat", *(put("Unsqueeze", n, put.integers(0)) for n in names), axis=0)


def _unflatten(put: NodeWriter, names: Names, _: Sequence[Any], sizes: Sequence[int]) -> str:
    lead = put("Shape", names[0], end=-1)
    return put("Reshape", names[0], put("Concat", lead, put.integers(*sizes), axis=0))


def _cast(put: NodeWriter, names: Names, _: Sequence[Any], to: str = "float32") -> str:
    return put("Cast", names[0], to=_kind(to))


def _kind(dtype: str) -> int:
    kinds = {"float32": "FLOAT", "float64": "DOUBLE"}
    return int(TensorProto.DataType.Value(kinds.get(dtype, dtype.upper())))


def _filled(
    put: NodeWriter, names: Names, _: Sequence[Any], value: float = 0.0, dtype: str = "float32"
) -> str:
    number = numpy_helper.from_array(np.array([value], dtype))
    return put("ConstantOfShape", names[0], value=number)


def _softmax(
    operator: str, put: NodeWriter, names: Names, read: Sequence[Any], axis: int = -1,
    flat: bool = False,
) -> str:  # fmt: skip
    if flat and axis % read[0].dim() != read[0].dim() - 1:
        raise ConversionError("it runs over several axes, as before operator set 13")
    return put(operator, names[0], axis=axis)


def _split(
    put: NodeWriter, names: Names, read: Sequence[Any], axis: int = 0, parts: int = 0,
    num_outputs: int = 0, split: Any = None,
) -> list[str]:  # fmt: skip
    sizes = [put.integers(*split)] if split is not None else list(names[1:2])
    count = len(split if split is not None else read[1]) if sizes else num_outputs or parts
    more = {} if sizes else {"num_outputs": count}
    wishes = [f"part_{number}" for number in range(count)]
    return put.several("Split", names[0], *sizes, names=wishes, axis=axis, **more)


def _gelu(put: NodeWriter, names: Names, read: Sequence[Any], approximate: str = "none") -> str:
    """x/2 (1 + erf(x/√2)), or with tanh in its place: an operator only since operator set 20."""
    like = array_of(read[0]).dtype

    def number(value: float) -> str:
        return put.constant(np.array(value, like))

    x = names[0]
    if approximate == "tanh":
        cube = put("Mul", put("Mul", x, x), x)
        inner = put("Add", x, put("Mul", cube, number(0.044715)))
        bent = put("Tanh", put("Mul", inner, number(np.sqrt(2 / np.pi))))
    else:
        bent = put("Erf", put("Mul", x, number(np.sqrt(0.5))))
    return put("Mul", put("Mul", x, number(0.5)), put("Add", bent, number(1.0)))


#: What a node of a graph becomes: of the names and the tensors that it reads, and its options.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _in_turn("Add"), "multiply": _in_turn("Mul"), "subtract": _in_turn("Sub"),
    "average": lambda put, names, _: put("Mean", *names),
    "maximum": lambda put, names, _: put("Max", *names),
    "minimum": lambda put, names, _: put("Min", *names), "rescale": _rescale,
    "concatenate": _concatenate, "mean": _over("ReduceMean"), "max": _over("ReduceMax"),
    "pad": _pad, "crop": _crop, "upsample": _upsample, "flip": _flip, "select": _select,
    "reshape": _reshape, "permute": _permute,
    "repeat": _repeat, "differs": _differs, "any_differs": _any_differs, "keep": _keep, "dot": _dot,
    "choose": _choose, "ints": _ints, "stack": _stack, "unflatten": _unflatten, "Cast": _cast,
    "Split": _split,
    "ConstantOfShape": _filled, "Gelu": _gelu, "item": lambda _, names, __, index: names[0][index],
    **{name: partial(_softmax, name) for name in ("Softmax", "LogSoftmax")},
}  # fmt: skip
#: Options that ONNX takes as the second input since operator set 18.
_INPUTS = ("axes", "pads", "repeats", "shape")


def function(
    put: NodeWriter, name: str, names: Names, read: Sequence[Any], options: dict[str, Any]
) -> Any:
    """What a function of a graph's node makes; the names of several for a Split.

    Args:
        put: writes the nodes.
        name: of the function, or the operator of ONNX's.
        names: of what it reads.
        read: samples of that.
        options: of the node.

    Raises:
        ConversionError: it has no form in ONNX.
    """
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](put, names, read, **options)
    if name not in OPERATORS:
        raise ConversionError(f"{name} has no form in ONNX")
    told, given = dict(options), list(names)
    for option in _INPUTS:
        if option in told and name not in ("Conv", "MaxPool", "AveragePool"):
            given.insert(1, put.integers(*told.pop(option)))
    return put(name, *given, **told)


# ------------------------------------------------------------ modules that look at several steps


def module(put: NodeWriter, part: nn.Module, x: str) -> str | None:
    """What a module makes of x [B, features, T]; None for one of the others."""
    if isinstance(part, nn.Conv1d) and part.padding_mode == "zeros":
        more = [] if part.bias is None else [part.bias]
        weights = (put.constant(array_of(tensor), "weight") for tensor in (part.weight, *more))
        return put(
            "Conv", x, *weights, strides=list(part.stride), dilations=list(part.dilation),
            group=part.groups, **_padding(part),
        )  # fmt: skip
    if isinstance(part, nn.BatchNorm1d) and part.running_mean is not None:
        one = torch.ones_like(part.running_mean)
        parts = [one if part.weight is None else part.weight,
                 0 * one if part.bias is None else part.bias]  # fmt: skip
        assert isinstance(part.running_var, Tensor)
        numbers = [put.constant(array_of(t)) for t in (*parts, part.running_mean, part.running_var)]
        return put("BatchNormalization", x, *numbers, epsilon=part.eps)
    if isinstance(part, nn.PReLU):
        return put("PRelu", x, put.constant(array_of(part.weight[:, None])))
    if isinstance(part, (nn.MaxPool1d, nn.AvgPool1d)) and not part.ceil_mode:
        kernel, stride, pad = (_one(n) for n in (part.kernel_size, part.stride, part.padding))
        sizes: dict[str, Any] = {
            "kernel_shape": [kernel], "strides": [stride], "pads": [pad, pad],
        }  # fmt: skip
        if isinstance(part, nn.MaxPool1d):
            return put("MaxPool", x, dilations=[_one(part.dilation)], **sizes)
        return put("AveragePool", x, count_include_pad=int(part.count_include_pad), **sizes)
    return None


def _one(number: Any) -> int:
    return int(number[0] if isinstance(number, tuple) else number)


def _padding(part: nn.Conv1d) -> dict[str, Any]:
    if not isinstance(part.padding, str):
        return {"pads": [part.padding[0]] * 2}
    reach = part.dilation[0] * (part.kernel_size[0] - 1) if part.padding == "same" else 0
    return {"pads": [reach // 2, reach - reach // 2]}
