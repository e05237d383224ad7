"""Functions of PyTorch that a step is captured with as others, equal but for rounding.

PyTorch itself runs them on rows and other axes made one, looks at the numbers in a tensor, or
writes into one: none of it is what a step says, and none could be captured.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["IN_OTHER_WORDS", "matmul"]

_FEW = 64  # so many products are written one by one


def _one_hot(number: Tensor, num_classes: int = -1) -> Tensor:
    if num_classes < 0:
        return F.one_hot(number, num_classes)
    return (number.unsqueeze(-1) == torch.arange(num_classes, device=number.device)).long()


def _each(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Of each [B, features] of x, [B, K, features]."""
    return torch.stack([function(part) for part in x.unbind(1)], 1)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """`torch.matmul`, as products of each row that stands first."""
    axes = max(a.dim(), b.dim())
    if a.dim() == 2 and b.dim() >= 3:  # its rows are those of b
        return matmul(b.transpose(-1, -2), a.t()).transpose(-1, -2)
    if a.dim() >= 3 and b.dim() <= 2 and a.shape[1] <= _FEW:
        return _each(lambda part: matmul(part, b), a)
    if axes < 4 or min(a.dim(), b.dim()) < 3:
        return torch.matmul(a, b)
    if a.shape[-1] == b.shape[-2] == 1:
        return a * b
    if a.shape[-2] == 1:
        return (a.transpose(-1, -2) * b).sum(-2, keepdim=True)
    if b.shape[-1] == 1:
        return (a * b.transpose(-1, -2)).sum(-1, keepdim=True)
    heads = max(part.shape[1 - axes] for part in (a, b) if part.dim() >= axes - 1)
    if heads > _FEW:
        return torch.matmul(a, b)

    def of(part: Tensor, head: int) -> Tensor:
        place = part.dim() + 1 - axes
        return part.select(place, head if part.shape[place] > 1 else 0) if place >= 0 else part

    return torch.stack([matmul(of(a, head), of(b, head)) for head in range(heads)], 1)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if x.dim() < 3 or x.shape[1] > _FEW:
        return F.linear(x, weight, bias)
    if x.dim() > 3:
        return _each(lambda part: _linear(part, weight, bias), x)
    turned = weight.t()  # once, so that all parts have the same factor
    if bias is None:
        return _each(lambda part: torch.mm(part, turned), x)
    return _each(lambda part: torch.addmm(bias, part, turned), x)


def _einsum(equation: Any, *operands: Any) -> Tensor:
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    plain = isinstance(equation, str) and re.fullmatch(r"[a-zA-Z, ]+->[a-zA-Z ]+", equation)
    terms, _, output = str(equation).replace(" ", "").partition("->")
    labels = terms.split(",")
    if not plain or len(operands) < 2 or any(len(set(term)) < len(term) for term in labels):
        return torch.einsum(equation, *operands)
    made: Tensor = operands[0]
    own = labels[0]
    for number in range(1, len(operands)):
        later = set(output).union(*labels[number + 1 :])
        kept = "".join(label for label in dict.fromkeys(own + labels[number]) if label in later)
        kept = output if number == len(operands) - 1 else kept
        made = _product(made, own, operands[number], labels[number], kept)
        own = kept
    return made


def _product(a: Tensor, own: str, b: Tensor, others: str, output: str) -> Tensor:
    """Two factors of an einsum; the rows are the first label of what is made."""
    rows = output[:1]
    if rows in others and rows not in own:
        a, own, b, others = b, others, a, own
    alone = {label for label in own + others if label not in output} - (set(own) & set(others))
    if rows not in own or alone:
        return torch.einsum(f"{own},{others}->{output}", a, b)
    for label in own:
        if label != rows and label in others and label in output:  # a product for each
            places = range(min(a.shape[own.index(label)], _FEW + 1))
            if len(places) > _FEW:
                return torch.einsum(f"{own},{others}->{output}", a, b)
            rest = [text.replace(label, "") for text in (own, others, output)]
            parts = [
                _product(
                    a.select(own.index(label), place), rest[0],
                    b.select(others.index(label), place), rest[1], rest[2],
                )
                for place in places
            ]  # fmt: skip
            return torch.stack(parts, output.index(label))
    summed = [label for label in own if label in others and label != rows]
    kept = [label for label in own if label not in others and label != rows]
    free = [label for label in others if label not in own]
    found = (rows, *kept, *free)
    back = [found.index(label) for label in output]
    a = a.permute([own.index(label) for label in (rows, *kept, *summed)])
    if rows in others:  # a matrix of each row
        b = b.permute([others.index(label) for label in (rows, *summed, *free)])
        sizes = a.shape[: 1 + len(kept)] + b.shape[1 + len(summed) :]
        inner = b.shape[1 : 1 + len(summed)].numel()
        a, b = a.reshape(len(a), -1, inner), b.reshape(len(b), inner, -1)
        return torch.bmm(a, b).reshape(sizes).permute(back)
    b = b.permute([others.index(label) for label in (*summed, *free)])
    sizes = a.shape[: 1 + len(kept)] + b.shape[len(summed) :]
    matrix = b.reshape(b.shape[: len(summed)].numel(), b.shape[len(summed) :].numel())
    if kept:
        made = matmul(a.reshape(a.shape[0], sizes[1 : 1 + len(kept)].numel(), -1), matrix)
    else:
        made = a.reshape(a.shape[0], -1) @ matrix
    return made.reshape(sizes).permute(back)


def _cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    def unit(x: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(x, 2, dim, keepdim=True)
        return x / torch.where(size < eps, size - (size - eps).detach(), size)

    return (unit(x1) * unit(x2)).sum(dim)


def _instance_norm(
    x: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    if not use_input_stats or running_mean is not None:
        return F.instance_norm(
            x, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
        )
    made, shape = F.layer_norm(x, x.shape[2:], eps=eps), [-1] + [1] * (x.dim() - 2)
    made = made if weight is None else made * weight.view(shape)
    return made if bias is None else made + bias.view(shape)


def _rrelu(
    x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    inplace: bool = False,
) -> Tensor:  # fmt: skip
    if training or inplace:
        return F.rrelu(x, lower, upper, training, inplace)
    return F.leaky_relu(x, (lower + upper) / 2)


_nn: Any = torch._C._nn
_TENSOR: Any = Tensor

#: By what a mode for functions is handed.
IN_OTHER_WORDS: dict[Any, Callable[..., Tensor]] = {
    F.one_hot: _one_hot,
    **dict.fromkeys((torch.matmul, _TENSOR.matmul, _TENSOR.__matmul__), matmul),
    _nn.linear: _linear,
    torch.einsum: _einsum,
    F.cosine_similarity: _cosine_similarity,
    F.instance_norm: _instance_norm,
    F.rrelu: _rrelu,
}
