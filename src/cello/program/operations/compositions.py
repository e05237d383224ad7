"""Operations that are made of others, in plain PyTorch, for fused loops.

A program keeps the operation as its step has it: equations show its name, and what runs operation
by operation runs PyTorch's own. Each function here gets the arguments of the operation, tensors
that have no numbers, and returns what a fused loop computes in its place; None where it has no
other form for these arguments. Moves stay without cuts: `shifted` rather than slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["COMPOSITIONS", "Composition"]

Composition = Callable[..., Any]
aten = torch.ops.aten
Dims = int | list[int] | None


def _axes(x: Tensor, dim: Dims) -> list[int]:
    given = range(x.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    return [number % x.dim() for number in given]


def _is_last(x: Tensor, dim: Dims) -> bool:
    return _axes(x, dim) == [x.dim() - 1]


# ---------------------------------------------------------------- along other axes than the last


def _gathered(x: Tensor, dim: Dims) -> tuple[Tensor, list[int]]:
    """The axes made one, the last; and the shape without them."""
    along = _axes(x, dim)
    kept = [number for number in range(x.dim()) if number not in along]
    shape = [x.shape[number] for number in kept]
    return x.permute(*kept, *along).reshape(*shape, -1), shape


def _over_last(operation: Any, position: int = 1) -> Composition:
    """A reduction that a loop knows along the last axis."""

    def composition(x: Tensor, *args: Any, keepdim: bool = False, **kwargs: Any) -> Any:
        before, (dim, *rest) = args[: position - 1], args[position - 1 :] or (None,)
        if rest:
            keepdim, *rest = rest
        if dim is None or _is_last(x, dim):
            return None
        whole, shape = _gathered(x, dim)
        if keepdim:
            along = _axes(x, dim)
            shape = [1 if number in along else size for number, size in enumerate(x.shape)]
        of_one = -1 if isinstance(dim, int) else [-1]
        made = operation(whole, *before, of_one, *rest, **kwargs)
        if isinstance(made, Tensor):
            return made.reshape(shape)
        return tuple(part.reshape(shape) for part in made)

    return composition


def _with_axis_last(operation: Any) -> Composition:
    """What keeps the axis, along another than the last."""

    def composition(x: Tensor, dim: int, *rest: Any, **kwargs: Any) -> Any:
        if _is_last(x, dim):
            return None
        return operation(x.movedim(dim, -1), -1, *rest, **kwargs).movedim(-1, dim)

    return composition


def _safe_softmax(x: Tensor, dim: int, *_: Any) -> Tensor:
    nothing = (x == -math.inf).all(dim, keepdim=True)
    return torch.where(nothing, 0.0, torch.softmax(torch.where(nothing, 0.0, x), dim))


def _shifted(x: Tensor, by: int, fill: float) -> Tensor:
    """The numbers along the last axis, so many places further."""
    return F.pad(x, (by, -by), value=fill)


def _accumulated(combine: Callable[[Tensor, Tensor], Tensor], fill: float) -> Composition:
    """Of each number and all before it: in steps of 1, 2, 4, … places."""

    def composition(x: Tensor, dim: int, *_: Any, **__: Any) -> Tensor:
        x, by = x.movedim(dim, -1), 1
        while by < x.shape[-1]:
            x = combine(x, _shifted(x, by, fill))
            by *= 2
        return x.movedim(-1, dim)

    return composition


def _later(is_better: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The better of two, the later one if they are equal."""
    return lambda now, before: torch.where(
        torch.bitwise_or(is_better(now, before), now.isnan()), now, before
    )


def _prod(x: Tensor, dim: int | None = None, keepdim: bool = False, **_: Any) -> Tensor | None:
    if dim is None:
        return None
    size = x.shape[dim]
    whole = _accumulated(torch.mul, 1.0)(x, dim).movedim(dim, -1)
    last = F.pad(whole, (1 - size, 0)).movedim(-1, dim)
    return last if keepdim else last.squeeze(dim)


def _norm(
    x: Tensor, p: float | None = 2, dim: Dims = None, keepdim: bool = False, **kwargs: Any
) -> Tensor | None:
    p = 2 if p is None else p
    if dim is None or kwargs.get("dtype") is not None:
        return None
    if len(_axes(x, dim)) != 1 or not _is_last(x, dim):
        made: Tensor = _over_last(aten.linalg_vector_norm.default, 2)(x, p, dim, keepdim)
        return made
    if p == math.inf:
        return x.abs().amax(dim, keepdim)
    if p == -math.inf:
        return x.abs().amin(dim, keepdim)
    if p in (1, 2):
        return None
    total = x.abs().pow(p).sum(dim, keepdim)
    is_zero = total == 0
    return torch.where(is_zero, 0.0, torch.where(is_zero, 1.0, total).pow(1 / p))


def _norm_of_numbers(x: Tensor, p: float | None, dim: Dims, keepdim: bool = False) -> Tensor:
    made: Tensor = aten.linalg_vector_norm.default(x, 2 if p is None else p, dim, keepdim)
    return made


def _any(x: Tensor, dim: Dims = None, keepdim: bool = False, *, real: torch.dtype) -> Any:
    return None if dim is None else (x != 0).to(real).amax(dim, keepdim) != 0


def _all(x: Tensor, dim: Dims = None, keepdim: bool = False, *, real: torch.dtype) -> Any:
    return None if dim is None else (x != 0).to(real).amin(dim, keepdim) != 0


def _count_nonzero(x: Tensor, dim: Dims, *, real: torch.dtype) -> Any:
    return None if dim is None else (x != 0).to(real).sum(dim).long()


def _aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    return None if dim is None else (x.amin(dim, keepdim), x.amax(dim, keepdim))


def _nansum(x: Tensor, dim: Dims = None, keepdim: bool = False, **_: Any) -> Any:
    return None if dim is None else torch.where(x.isnan(), 0.0, x).sum(dim, keepdim)


# ---------------------------------------------------------------- activations and norms


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    a, b = x.chunk(2, dim)
    return a * torch.sigmoid(b)


def _batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor | None, var: Tensor | None,
    training: bool, _momentum: float, eps: float,
) -> Tensor | None:  # fmt: skip
    if training or mean is None or var is None:
        return None
    shape = [-1] + [1] * (x.dim() - 2)
    made = (x - mean.view(shape)) * torch.rsqrt(var + eps).view(shape)
    made = made if weight is None else made * weight.view(shape)
    return made if bias is None else made + bias.view(shape)


def _group_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, rows: int, channels: int, size: int,
    groups: int, eps: float,
) -> Tensor:  # fmt: skip
    made = F.layer_norm(x.reshape(rows, groups, -1), (channels // groups * size,), eps=eps)
    made, shape = made.view(x.shape), [-1] + [1] * (x.dim() - 2)
    made = made if weight is None else made * weight.view(shape)
    return made if bias is None else made + bias.view(shape)


def _layer_norm(
    x: Tensor, sizes: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor | None:
    if len(sizes) == 1:
        return None
    w, b = (None if part is None else part.flatten() for part in (weight, bias))
    return F.layer_norm(x.flatten(-len(sizes)), (math.prod(sizes),), w, b, eps).view(x.shape)


# ---------------------------------------------------------------- products


def _bmm(a: Tensor, b: Tensor) -> Tensor:
    if b.shape[2] == 1:  # a matrix by a vector: sums along the last axis
        return (a * b.transpose(1, 2)).sum(2, keepdim=True)
    if a.shape[2] == 1:  # an outer product
        return a * b
    return (a.unsqueeze(3) * b.unsqueeze(1)).sum(2)


def _baddbmm(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return beta * c + alpha * torch.bmm(a, b)


def _trilinear(
    a: Tensor, b: Tensor, c: Tensor, of_a: Sequence[int], of_b: Sequence[int], of_c: Sequence[int],
    summed: Sequence[int], _unrolled: int = 1,
) -> Tensor:  # fmt: skip
    if (list(of_a), list(of_b), list(of_c), list(summed)) == ([1, 3], [0], [1, 2], [2, 3]):
        outputs, inputs, others = b.shape  # of nn.Bilinear: a product with a matrix, then sums
        weights = b.permute(1, 0, 2).reshape(inputs, outputs * others)
        return ((a @ weights).view(-1, outputs, others) * c.unsqueeze(1)).sum(2)
    for number in range(a.dim() + len(of_a)):
        a = a.unsqueeze(number) if number in of_a else a
        b = b.unsqueeze(number) if number in of_b else b
        c = c.unsqueeze(number) if number in of_c else c
    return (a * b * c).sum(list(summed))


def _cross(a: Tensor, b: Tensor, *, dim: int = -1) -> Tensor:
    def turned(x: Tensor, by: int) -> Tensor:
        return torch.roll(x, by, dim)

    return turned(a, -1) * turned(b, -2) - turned(a, -2) * turned(b, -1)


def _cdist(a: Tensor, b: Tensor, p: float, _mode: int | None) -> Tensor:
    return aten.linalg_vector_norm.default(a.unsqueeze(-2) - b.unsqueeze(-3), p, [-1])  # type: ignore[no-any-return]


def _windows(x: Tensor, sizes: Sequence[int], strides: Sequence[int]) -> Tensor:
    """[B, C, *places, *sizes]: the numbers under a window at each place."""
    for number, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        x = x.unfold(2 + number, size, stride)
    return x


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, _more: Sequence[int], groups: int,
) -> Tensor | None:  # fmt: skip
    if transposed or groups != 1 or set(dilation) != {1} or x.dim() != weight.dim():
        return None
    x = F.pad(x, [size for size in reversed(padding) for _ in range(2)])
    x = _windows(x, weight.shape[2:], stride)
    places = x.shape[2 : 2 + len(stride)]
    rest = range(2 + len(stride), x.dim())
    x = x.permute(0, *range(2, 2 + len(stride)), 1, *rest).reshape(x.shape[0], places.numel(), -1)
    matrix = weight.flatten(1).t()
    made = torch.stack([x.select(1, place) @ matrix for place in range(places.numel())], 2)
    made = made.reshape(x.shape[0], weight.shape[0], *places)
    return made if bias is None else made + bias.view(-1, *[1] * len(places))


def _avg_pool(
    x: Tensor, size: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    ceil_mode: bool = False, _counts: bool = True, divisor: int | None = None,
) -> Tensor | None:  # fmt: skip
    if any(padding) or ceil_mode or divisor is not None or x.dim() != 2 + len(size):
        return None
    return _windows(x, size, stride or size).flatten(2 + len(size)).mean(-1)


def _max_pool(
    x: Tensor, size: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,), ceil_mode: bool = False,
) -> Tensor | None:  # fmt: skip
    if any(padding) or ceil_mode or set(dilation) != {1} or x.dim() != 2 + len(size):
        return None
    return _windows(x, size, stride or size).flatten(2 + len(size)).max(-1).values


# ---------------------------------------------------------------- one of many

_FEW = 64  # so many are chosen from, one by one


def _chosen(choices: Sequence[Tensor], number: Tensor, *, from_end: bool = False) -> Tensor:
    """The choice of each number, NaN for one out of range; `from_end`: -1 is the last one."""
    made = torch.full_like(choices[0], math.nan)
    for place, choice in enumerate(choices):
        is_it = number == place
        if from_end:
            is_it = torch.bitwise_or(is_it, number == place - len(choices))
        made = torch.where(is_it, choice, made)
    return made


def _embedding(
    weight: Tensor, number: Tensor, padding: int = -1, by_frequency: bool = False, *_: Any
) -> Tensor | None:
    if len(weight) > _FEW or by_frequency:
        return None
    rows = [row.detach() if n == padding else row for n, row in enumerate(weight.unbind(0))]
    return _chosen(rows, number.unsqueeze(-1))


def _index(x: Tensor, numbers: Sequence[Tensor | None]) -> Tensor | None:
    (first, *rest) = numbers
    if first is None or rest or x.dim() != 2 or len(x) > _FEW or first.dim() != 1:
        return None
    return _chosen(x.unbind(0), first.unsqueeze(-1), from_end=True)


def _gather(x: Tensor, dim: int, number: Tensor, **_: Any) -> Tensor | None:
    if x.shape[dim] > _FEW or any(
        a != b
        for i, (a, b) in enumerate(zip(x.shape, number.shape, strict=True))
        if i != dim % x.dim()
    ):
        return None
    apart = x.movedim(dim, -1).unsqueeze(-1)  # so that nothing is cut
    choices = [apart.select(-2, place) for place in range(x.shape[dim])]
    return _chosen(choices, number.movedim(dim, -1)).movedim(-1, dim)


def _argmax(
    x: Tensor, dim: int | None = None, keepdim: bool = False, *, real: torch.dtype
) -> Tensor | None:
    if dim is None:
        return None
    x = x.movedim(dim, -1)
    best = torch.bitwise_or(x == x.amax(-1, keepdim=True), x.isnan())
    places = torch.arange(x.shape[-1], dtype=x.dtype if x.is_floating_point() else real)
    beyond = torch.full_like(places, float(x.shape[-1]))
    first = torch.where(best, places, beyond).amin(-1, keepdim=True).movedim(-1, dim)
    return (first if keepdim else first.squeeze(dim)).long()


def _argmin(
    x: Tensor, dim: int | None = None, keepdim: bool = False, *, real: torch.dtype
) -> Tensor | None:
    return _argmax(-x, dim, keepdim, real=real)


#: By the name without the overload.
COMPOSITIONS: dict[str, Composition] = {
    "var": _over_last(aten.var.correction),
    "std": _over_last(aten.std.correction),
    "var_mean": _over_last(aten.var_mean.correction),
    "std_mean": _over_last(aten.std_mean.correction),
    "logsumexp": _over_last(aten.logsumexp.default),
    "max": _over_last(aten.max.dim),
    "min": _over_last(aten.min.dim),
    "_softmax": _with_axis_last(aten._softmax.default),
    "_log_softmax": _with_axis_last(aten._log_softmax.default),
    "_safe_softmax": _safe_softmax,
    "linalg_vector_norm": _norm,
    "norm": _norm_of_numbers,
    "cumsum": _accumulated(torch.add, 0.0),
    "cumprod": _accumulated(torch.mul, 1.0),
    "logcumsumexp": _accumulated(torch.logaddexp, -math.inf),
    "cummax": _accumulated(_later(torch.ge), -math.inf),
    "cummin": _accumulated(_later(torch.le), math.inf),
    "prod": _prod,
    "any": _any,
    "all": _all,
    "count_nonzero": _count_nonzero,
    "aminmax": _aminmax,
    "nansum": _nansum,
    "glu": _glu,
    "native_batch_norm": _batch_norm,
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    "bmm": _bmm,
    "baddbmm": _baddbmm,
    "_trilinear": _trilinear,
    "linalg_cross": _cross,
    "_cdist_forward": _cdist,
    "convolution": _convolution,
    "avg_pool2d": _avg_pool,
    "avg_pool3d": _avg_pool,
    "max_pool2d_with_indices": _max_pool,
    "embedding": _embedding,
    "index": _index,
    "gather": _gather,
    "argmax": _argmax,
    "argmin": _argmin,
}
