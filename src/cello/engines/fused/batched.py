"""The two operations on batches of samples: once for each sample.

So gradients that are asked for by the batch come from the compiled loops too. PyTorch has two kinds
of batches: that of `torch.vmap`, and the older one of autograd itself, as in
`torch.autograd.grad(..., is_grads_batched=True)` and `functional.jacobian(..., vectorize=True)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["in_batch", "register_batched"]

Operation = Callable[..., list[Tensor]]

_is_batched = torch._C._functorch.is_legacy_batchedtensor
_enter, _leave = torch._C._vmapmode_increment_nesting, torch._C._vmapmode_decrement_nesting


def in_batch() -> bool:
    """Whether autograd computes gradients by the batch."""
    return _level() > 0


def _level() -> int:
    """How many of autograd's batches are inside each other."""
    _enter()
    return _leave()


def register_batched(library: torch.library.Library, operation: Operation) -> None:
    """Let an operation that takes and returns tensors and lists of them run on batches."""
    name = operation._schema.name  # type: ignore[attr-defined]

    def of_vmap(info: Any, in_dims: Any, *args: Any) -> tuple[list[Tensor], int]:
        return _one_by_one(operation, info.batch_size, args, in_dims), 0

    def of_autograd(*args: Any) -> list[Tensor]:
        level = _level()
        sizes: list[int] = []

        def unwrapped(arg: Any) -> tuple[Any, Any]:
            if isinstance(arg, (list, tuple)):
                pairs = [unwrapped(part) for part in arg]
                return [part for part, _ in pairs], [dim for _, dim in pairs]
            if not isinstance(arg, Tensor) or not _is_batched(arg):
                return arg, None
            whole = torch._remove_batch_dim(arg, level, 1, 0)
            sizes.append(len(whole))
            return whole, 0

        whole, dims = unwrapped(args)
        made = _one_by_one(operation, sizes[0], whole, dims)
        return [torch._add_batch_dim(part, 0, level) for part in made]

    torch.library.register_vmap(name, of_vmap, lib=library)
    library.impl(name, of_autograd, "Batched")


def _one_by_one(operation: Operation, size: int, args: Any, dims: Any) -> list[Tensor]:
    """The results of all samples, the batch as their first axis."""
    made = [
        operation(*_sample(args, dims, number))
        for number in range(max(1, size))  # of an empty batch too, for the shapes
    ]
    return [torch.stack(parts)[:size] for parts in zip(*made, strict=True)]


def _sample(arg: Any, dim: Any, number: int) -> Any:
    """The part of an argument that belongs to one sample; its batch is the axis `dim`, if any."""
    if isinstance(dim, (list, tuple)):
        return [_sample(part, own, number) for part, own in zip(arg, dim, strict=True)]
    if dim is None:
        return arg
    if not arg.shape[dim]:
        return arg.new_zeros([*arg.shape[:dim], *arg.shape[dim + 1 :]])
    return arg.select(dim, number)
