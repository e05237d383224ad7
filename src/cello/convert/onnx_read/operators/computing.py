"""What ONNX's operators compute, each as a function of PyTorch's tensors.

The shape of a tensor, and what is computed of it, are ints and lists of ints, which exporters and
compilers follow for every size; where an operator needs them as a tensor they become one. What an
operator leaves out is None. Source: https://onnx.ai/onnx/operators, operator sets 7 to 22.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.convert.onnx_read.operators.shape_arithmetic import SHAPES, end_of, ints
from cello.errors import ArgumentError

__all__ = ["DTYPES", "OPERATORS", "computed"]

#: The kinds of numbers that tensors may have, by name.
DTYPES = {
    name: getattr(torch, name)
    for name in (
        "float32", "uint8", "int8", "int16", "int32", "int64", "bool", "float16", "float64",
        "bfloat16",
    )
}  # fmt: skip


def _tensor(value: Any, like: Tensor | None) -> Any:
    if value is None or isinstance(value, Tensor):
        return value
    return torch.tensor(value, dtype=torch.int64, device=None if like is None else like.device)


# ------------------------------------------------------------ arithmetic


def _div(a: Tensor, b: Tensor) -> Tensor:
    whole = not a.is_floating_point() and not b.is_floating_point()
    return torch.div(a, b, rounding_mode="trunc") if whole else a / b


def _mod(a: Tensor, b: Tensor, fmod: int = 0) -> Tensor:
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def _clip(x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


def _cast(x: Tensor, to: str = "float32") -> Tensor:
    return x != 0 if to == "bool" else x.to(DTYPES[to])


def _gemm(
    a: Tensor,
    b: Tensor,
    c: Any = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    y = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return y if c is None else y + beta * c


# ------------------------------------------------------------ where numbers stand


def _permuted(x: Tensor, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(list(perm) if perm is not None else list(range(x.dim()))[::-1])


def _squeezed(x: Tensor, axes: Any = None) -> Tensor:
    if axes is None:
        return x.reshape([size for size in x.shape if size != 1])
    wanted = {axis % x.dim() for axis in ints(axes)}
    if any(x.shape[axis] != 1 for axis in wanted):
        raise ArgumentError(f"axes {sorted(wanted)} of {list(x.shape)} are not 1")
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in wanted])


def _unsqueezed(x: Any, axes: Any) -> Tensor:
    total = x.dim() + len(ints(axes))
    for axis in sorted(axis % total for axis in ints(axes)):
        x = x.unsqueeze(axis)
    return x


def _reshaped(x: Tensor, shape: Any, allowzero: int = 0) -> Tensor:
    sizes = ints(shape)
    if not allowzero:
        sizes = [x.shape[n] if isinstance(s, int) and s == 0 else s for n, s in enumerate(sizes)]
    return x.reshape(sizes)


def _flattened(x: Tensor, axis: int = 1) -> Tensor:
    axis = axis % x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _cut(x: Tensor, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Tensor:
    starts, ends = ints(starts), ints(ends)
    axes = list(range(len(starts))) if axes is None else ints(axes)
    steps = [1] * len(starts) if steps is None else ints(steps)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            places: list[Any] = [slice(None)] * x.dim()
            places[axis] = slice(start, end, step)
            x = x[tuple(places)]
        else:
            order = range(x.shape[axis])[slice(start, end_of(end, step), step)]
            x = x.index_select(axis, torch.tensor(list(order), dtype=torch.int64, device=x.device))
    return x


def _split(
    x: Tensor, split: Any = None, axis: int = 0, num_outputs: int | None = None, parts: int = 1
) -> tuple[Tensor, ...]:
    if split is not None:
        return x.split(ints(split), axis)
    return x.split(-(-x.shape[axis] // (num_outputs or parts)), axis)


def _wrapped(index: Tensor, size: int) -> Tensor:
    return torch.where(index < 0, index + size, index)


def _gathered(x: Tensor, index: Any, axis: int = 0) -> Tensor:
    if isinstance(index, (int, torch.SymInt)):
        return x.select(axis, index)
    index = _tensor(index, x).long()
    if index.dim() == 0 and not x.requires_grad and index.numel() == 1:
        return x.index_select(axis, _wrapped(index, x.shape[axis]).reshape(1)).squeeze(axis)
    axis = axis % x.dim()
    flat = x.index_select(axis, _wrapped(index, x.shape[axis]).flatten())
    return flat.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def _gathered_each(x: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    return x.gather(axis, _wrapped(index, x.shape[axis]))


def _padded(
    x: Tensor, pads: Any, value: Any = None, axes: Any = None, mode: str = "constant"
) -> Tensor:
    pads = ints(pads)
    axes = range(x.dim()) if axes is None else [axis % x.dim() for axis in ints(axes)]
    each = {axis: (pads[n], pads[n + len(pads) // 2]) for n, axis in enumerate(axes)}
    if mode == "constant":
        flat = [n for axis in reversed(range(x.dim())) for n in each.get(axis, (0, 0))]
        return F.pad(x, flat, value=0.0 if value is None else value.item())
    for axis, (before, after) in each.items():
        size = x.shape[axis]
        place = torch.arange(-before, size + after, device=x.device)
        if mode == "edge":
            place = place.clamp(0, size - 1)
        elif mode == "reflect":
            place = (size - 1) - ((size - 1) - place.abs()).abs()
        else:
            place = place.remainder(size)
        x = x.index_select(axis, place)
    return x


def _expanded(x: Tensor, shape: Any) -> Tensor:
    sizes = ints(shape)
    rank = max(len(sizes), x.dim())
    sizes = [1] * (rank - len(sizes)) + sizes
    own = [1] * (rank - x.dim()) + list(x.shape)
    return x.expand(
        [b if isinstance(a, int) and a == 1 else a for a, b in zip(sizes, own, strict=True)]
    )


def _filled(shape: Any, value: float = 0.0, dtype: str = "float32") -> Tensor:
    return torch.full((), value, dtype=DTYPES[dtype]).expand(ints(shape))


def _range(start: Any, limit: Any, delta: Any) -> Tensor:
    given = [v.item() if isinstance(v, Tensor) else v for v in (start, limit, delta)]
    kinds = {v.dtype for v in (start, limit, delta) if isinstance(v, Tensor)}
    return torch.arange(*given, dtype=kinds.pop() if kinds else torch.int64)


def _one_hot(index: Tensor, depth: Any, values: Tensor, axis: int = -1) -> Tensor:
    size = int(ints(depth)[0])
    order = torch.arange(size, device=index.device)
    axis = axis % (index.dim() + 1)
    shape = [1] * (index.dim() + 1)
    shape[axis] = size
    here = _wrapped(index.long(), size).unsqueeze(axis) == order.reshape(shape)
    return torch.where(here, values[1], values[0])


def _reversed(x: Tensor, lengths: Tensor, batch_axis: int = 1, time_axis: int = 0) -> Tensor:
    steps = torch.arange(x.shape[time_axis], device=x.device)
    if (batch_axis, time_axis) == (1, 0):
        steps, ends = steps.unsqueeze(1), lengths.unsqueeze(0)
    else:
        steps, ends = steps.unsqueeze(0), lengths.unsqueeze(1)
    place = torch.where(steps < ends, ends - 1 - steps, steps)
    place = place.reshape([*place.shape, *[1] * (x.dim() - 2)]).expand_as(x)
    return x.gather(time_axis, place)


def _summed_up(x: Tensor, axis: Any, exclusive: int = 0, reverse: int = 0) -> Tensor:
    (place,) = ints(axis)
    x = x.flip(place) if reverse else x
    y = x.cumsum(place)
    y = y - x if exclusive else y
    return y.flip(place) if reverse else y


def _triangle(x: Tensor, k: Any = None, upper: int = 1) -> Tensor:
    diagonal = 0 if k is None else int(ints(k)[0])
    return x.triu(diagonal) if upper else x.tril(diagonal)


# ------------------------------------------------------------ sums, norms, windows


def _over_axes(f: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def over(x: Tensor, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Any:
        places = [] if axes is None else ints(axes)
        if not places and noop_with_empty_axes:
            return x
        return f(x, places or list(range(x.dim())), bool(keepdims))

    return over


def _product_over(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _arg(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def of(x: Tensor, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        if select_last_index:
            return x.shape[axis] - 1 - f(x.flip(axis), axis, keepdim=bool(keepdims))
        return f(x, axis, keepdim=bool(keepdims))

    return of


def _softmax(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Before operator set 13 it runs over all axes from `axis` on: `flat`."""

    def of(x: Tensor, axis: int = -1, flat: bool = False) -> Tensor:
        return f(_flattened(x, axis), -1).reshape(x.shape) if flat else f(x, axis)

    return of


def _layer_norm(
    x: Tensor, scale: Tensor, bias: Any = None, axis: int = -1, epsilon: float = 1e-5, **_: Any
) -> Tensor:
    shape = list(x.shape[axis:])
    y = F.layer_norm(x, shape, eps=epsilon) * scale
    return y if bias is None else y + bias


def _batch_norm(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor,
    epsilon: float = 1e-5,
) -> Tensor:  # fmt: skip
    return F.batch_norm(x, mean, var, scale, bias, eps=epsilon)


def _conv(
    x: Tensor, weight: Tensor, bias: Any = None, pads: Sequence[int] = (0, 0), strides: Any = (1,),
    dilations: Any = (1,), group: int = 1,
) -> Tensor:  # fmt: skip
    if weight.dim() != 3:
        raise ArgumentError(f"a convolution must be in one dimension, its weights are "
                            f"{list(weight.shape)}")  # fmt: skip
    return F.conv1d(F.pad(x, list(pads)), weight, bias, strides[0], 0, dilations[0], group)


def _max_pool(
    x: Tensor, kernel_shape: Sequence[int], strides: Any = (1,), pads: Sequence[int] = (0, 0),
    dilations: Any = (1,), ceil_mode: int = 0,
) -> Tensor:  # fmt: skip
    _one_dimension(x)
    x = F.pad(x, list(pads), value=-torch.inf)
    return F.max_pool1d(x, kernel_shape[0], strides[0], 0, dilations[0], bool(ceil_mode))


def _average_pool(
    x: Tensor, kernel_shape: Sequence[int], strides: Any = (1,), pads: Sequence[int] = (0, 0),
    count_include_pad: int = 0, ceil_mode: int = 0,
) -> Tensor:  # fmt: skip
    _one_dimension(x)
    if (any(pads) and not count_include_pad) or ceil_mode:
        raise ArgumentError("an average over a window that reaches past the ends is not known")
    return F.avg_pool1d(F.pad(x, list(pads)), kernel_shape[0], strides[0])


def _one_dimension(x: Tensor) -> None:
    if x.dim() != 3:
        raise ArgumentError(f"a window must be in one dimension, x is {list(x.shape)}")


def _hard_sigmoid(x: Tensor, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


#: What each operator computes of its inputs; attributes are options.
OPERATORS: dict[str, Callable[..., Any]] = {
    # of each number
    "Abs": torch.abs, "Ceil": torch.ceil, "Cos": torch.cos, "Erf": torch.erf, "Exp": torch.exp,
    "Floor": torch.floor, "IsNaN": torch.isnan, "Log": torch.log, "Neg": torch.neg,
    "Not": torch.logical_not, "Reciprocal": torch.reciprocal, "Round": torch.round,
    "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin, "Sqrt": torch.sqrt,
    "Tan": torch.tan, "Tanh": torch.tanh, "Relu": torch.relu, "Softsign": F.softsign,
    "Softplus": F.softplus,
    "HardSwish": F.hardswish, "Mish": F.mish, "Identity": lambda x: x,
    "LeakyRelu": lambda x, alpha=0.01: F.leaky_relu(x, alpha),
    "Elu": lambda x, alpha=1.0: F.elu(x, alpha),
    "ThresholdedRelu": lambda x, alpha=1.0: torch.where(x > alpha, x, torch.zeros_like(x)),
    "HardSigmoid": _hard_sigmoid, "Gelu": F.gelu, "Celu": F.celu,
    "PRelu": _prelu, "Clip": _clip, "Cast": _cast,
    # of several
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": _div, "Mod": _mod,
    "Pow": lambda a, b: torch.pow(a, b).to(a.dtype), "And": torch.logical_and,
    "Or": torch.logical_or, "Xor": torch.logical_xor, "Equal": torch.eq, "Greater": torch.gt,
    "Less": torch.lt, "GreaterOrEqual": torch.ge, "LessOrEqual": torch.le, "Where": torch.where,
    "Max": lambda *values: reduce(torch.maximum, values),
    "Min": lambda *values: reduce(torch.minimum, values),
    "Sum": lambda *values: reduce(torch.add, values),
    "Mean": lambda *values: reduce(torch.add, values) / len(values),
    "MatMul": torch.matmul, "Gemm": _gemm,
    "Einsum": lambda *values, equation: torch.einsum(equation, *values),
    # where numbers stand
    "Transpose": _permuted, "Squeeze": _squeezed, "Unsqueeze": _unsqueezed, "Reshape": _reshaped,
    "Flatten": _flattened, "Slice": _cut, "Split": _split, "Gather": _gathered,
    "Concat": lambda *values, axis: torch.cat(values, axis), "GatherElements": _gathered_each,
    "Pad": _padded, "Expand": _expanded, "Tile": lambda x, repeats: x.repeat(ints(repeats)),
    "ConstantOfShape": _filled, "Range": _range, "OneHot": _one_hot, "CumSum": _summed_up,
    "ReverseSequence": _reversed, "Trilu": _triangle, "item": lambda values, index: values[index],
    "Shape": lambda x, start=0, end=None: list(x.shape)[start:end],
    "Size": lambda x: x.numel(), "ints": lambda numbers: numbers,
    "stack": lambda *values: torch.stack(values),
    "unflatten": lambda x, sizes: x.unflatten(-1, sizes),
    # over axes
    "ReduceMean": _over_axes(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "ReduceProd": _over_axes(_product_over),
    "ReduceSum": _over_axes(lambda x, axes, keep: x.sum(axes, keepdim=keep, dtype=x.dtype)),
    "ReduceMax": _over_axes(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "ReduceMin": _over_axes(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "ReduceL1": _over_axes(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "ReduceL2": _over_axes(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "ReduceSumSquare": _over_axes(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    "ReduceLogSumExp": _over_axes(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
    "ArgMax": _arg(torch.argmax), "ArgMin": _arg(torch.argmin),
    "Softmax": _softmax(torch.softmax), "LogSoftmax": _softmax(torch.log_softmax),
    "LayerNormalization": _layer_norm, "BatchNormalization": _batch_norm,
    "Conv": _conv, "MaxPool": _max_pool, "AveragePool": _average_pool,
    "GlobalAveragePool": lambda x: x.mean(list(range(2, x.dim())), keepdim=True),
    "GlobalMaxPool": lambda x: x.amax(list(range(2, x.dim())), keepdim=True),
}  # fmt: skip

#: Inputs that are sizes, axes or places: these stay what they are.
_PLACES = {
    "Reshape": (1,), "Squeeze": (1,), "Unsqueeze": (1,), "Slice": (1, 2, 3, 4), "Split": (1,),
    "Gather": (1,), "Pad": (1, 3), "Expand": (1,), "Tile": (1,), "ConstantOfShape": (0,),
    "Range": (0, 1, 2), "OneHot": (1,), "CumSum": (1,), "Trilu": (1,),
    **{f"Reduce{kind}": (1,) for kind in
       ("Mean", "Prod", "Sum", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp")},
}  # fmt: skip


def computed(name: str, values: Sequence[Any], options: dict[str, Any]) -> Any:
    """What the operator `name` makes of tensors and sizes."""
    if name in SHAPES and values and not any(isinstance(value, Tensor) for value in values):
        found = SHAPES[name](*values, **options)
        if found is not NotImplemented:
            return found
    if name == "item":
        return values[0][options["index"]]
    like = next((value for value in values if isinstance(value, Tensor)), None)
    places = _PLACES.get(name, ())
    given = [v if n in places else _tensor(v, like) for n, v in enumerate(values)]
    return OPERATORS[name](*given, **options)
