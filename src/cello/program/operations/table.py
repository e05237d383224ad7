"""What each operation of PyTorch is: one entry for each.

PyTorch's own tag says which operations are pointwise, and another which of them draw random
numbers; an entry is needed only where there is more to say. No table of PyTorch says along which
axis an operation works, or what only moves numbers. What `torch._decomp` has for forward passes
does not replace the formulas: differentiated, hardtanh at its bound gives 1 for PyTorch's 0,
hardswish at −3 gives −0.5 for 0, softplus at 100 and sinc at 0 give NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cello.program.graph import Op
from cello.program.operations.compositions import COMPOSITIONS
from cello.program.operations.operation import Operation, along
from cello.program.operations.pointwise import POINTWISE

__all__ = ["OPERATIONS", "argument", "axes", "creation", "facts", "is_pointwise", "is_random"]

aten = torch.ops.aten


def _all(names: str, entry: Operation) -> dict[str, Operation]:
    return dict.fromkeys(names.split(), entry)


def _moving(kind: str, dim: tuple[int, str, Any] | None = None, **more: Any) -> Operation:
    return Operation(kind, dim, whole=True, **more)


def _numbers_have_rows(op: Op) -> bool:
    """Of an embedding, whose weight has none; nor may its gradient count all numbers there are."""
    by_frequency = any(op.args[3:4])
    return not op.args[0].batched and op.args[1].batched and not by_frequency


def _rows_are_not_normalized(op: Op) -> bool:
    return op.args[0].batched and len(op.args[1]) < len(op.args[0].shape)


#: What is known besides what an operation is made of, by the name without the overload.
_ENTRIES: dict[str, Operation] = {
    **POINTWISE,
    # Numbers in the same or in other places.
    "detach": _moving("copy", grad=False, put_back=aten.alias.default),
    "alias": _moving("copy", put_back=aten.alias.default),  # all of it, as v[:, 0:] is of v
    **_all("clone _to_copy lift_fresh", _moving("copy")),
    **_all("split split_with_sizes", _moving("cut", along(2, 0))),
    "slice": _moving("cut", along(1, 0), put_back=aten.slice_scatter.default),
    "unbind": _moving("pick", along(1, 0)),
    "select": _moving("pick", along(1), put_back=aten.select_scatter.default),
    **_all("cat stack", _moving("join", along(1, 0))),
    **_all("t transpose permute", _moving("turn")),
    **_all("view _unsafe_view", _moving("reshape")),
    **_all("squeeze unsqueeze", _moving("squeeze", along(1))),
    "expand": _moving("expand"),
    **_all("flip roll rot90 repeat unfold tril triu diag_embed", _moving("move")),
    "diagonal": _moving("move", put_back=aten.diagonal_scatter.default),
    **_all("channel_shuffle pixel_shuffle pixel_unshuffle constant_pad_nd", _moving("move")),
    **_all("replication_pad1d replication_pad2d replication_pad3d", _moving("move")),
    **_all("reflection_pad1d reflection_pad2d reflection_pad3d", _moving("move")),
    **_all("gather index index_select index_fill", _moving("move")),
    "embedding": _moving("move", row_wise=_numbers_have_rows),
    **_all("slice_scatter select_scatter diagonal_scatter", _moving("move", moved=(0, 1))),
    "index_put": _moving("move", moved=(0, 2)),
    "index_copy": _moving("move", moved=(0, 3)),
    # Numbers made of many.
    **_all("mm mv dot bmm", Operation("product", rule="product")),
    **_all("addmm baddbmm", Operation("product", rule="product and sum", rows=(0, 1))),
    **{n: Operation("reduction", along(1), n) for n in ("sum", "mean", "max", "min", "logsumexp")},
    "prod": Operation("reduction", along(1)),
    "var": Operation("reduction", along(1), "variance"),
    "std": Operation("reduction", along(1), "deviation"),
    "amax": Operation("reduction", along(1), "amax", written="max"),
    "amin": Operation("reduction", along(1), "amin", written="min"),
    "linalg_vector_norm": Operation("reduction", along(2), "norm", written="norm"),
    "var_mean": Operation(dim=along(1), rule="variance"),
    "std_mean": Operation(dim=along(1), rule="deviation"),
    "cumsum": Operation(dim=along(1)),
    "_softmax": Operation("normalization", along(1), "softmax", written="softmax"),
    "_log_softmax": Operation("normalization", along(1), "log_softmax", written="log_softmax"),
    "native_layer_norm": Operation(
        rule="layer_norm", written="layer_norm", row_wise=_rows_are_not_normalized
    ),
    "native_group_norm": Operation(written="group_norm"),
    "native_batch_norm": Operation(written="batch_norm"),
    "_safe_softmax": Operation(written="softmax"),
    "_trilinear": Operation(written="bilinear"),
    "_cdist_forward": Operation(written="cdist"),
    "max_pool2d_with_indices": Operation(written="max_pool2d"),
    # Numbers out of nothing but a size.
    "zeros": Operation("creation", fill=0),
    "ones": Operation("creation", fill=1),
    **_all("empty full rand randn", Operation("creation")),
    # Made like another tensor, whose values do not matter.
    **_all("empty_like new_empty", Operation(like=aten.empty.memory_format)),
    **_all("zeros_like new_zeros", Operation(like=aten.zeros.default)),
    **_all("ones_like new_ones", Operation(like=aten.ones.default)),
    **_all("full_like new_full", Operation(like=aten.full.default)),
    "rand_like": Operation(like=aten.rand.default),
    "randn_like": Operation(like=aten.randn.default),
}

#: By the name without the overload.
OPERATIONS = {
    **_ENTRIES,
    **{n: replace(_ENTRIES.get(n, Operation()), composed=made) for n, made in COMPOSITIONS.items()},
}

_NONE, _POINTWISE = Operation(), Operation("pointwise")


def facts(op: Op) -> Operation:
    """The entry of an operation; for one without, what PyTorch's tags say."""
    unlisted = _POINTWISE if is_pointwise(op) else _NONE
    return OPERATIONS.get(op.target._opname, unlisted)


def is_pointwise(op: Op) -> bool:
    """Whether PyTorch says that it works element by element."""
    return torch.Tag.pointwise in op.target.tags


def is_random(op: Op) -> bool:
    """Whether the operation draws random numbers."""
    return torch.Tag.nondeterministic_seeded in op.target.tags


def creation(
    func: Any, args: Sequence[Any], result: Tensor, device: torch.device
) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """For `zeros_like(v)` and its kin: the operation that needs only the size of `v`."""
    entry = OPERATIONS.get(func._opname)
    if entry is None or entry.like is None:
        return None
    fill = args[-1:] if "full" in func._opname else ()
    return entry.like, (list(result.shape), *fill), {"dtype": result.dtype, "device": device}


def argument(op: Op, position: int, name: str, default: Any = None) -> Any:
    """An argument, wherever it stands."""
    return op.args[position] if len(op.args) > position else op.kwargs.get(name, default)


def axes(op: Op) -> list[int]:
    """Along which axes the operation works, as they were given; none: it does not say."""
    dim = facts(op).dim
    found = None if dim is None else argument(op, *dim)
    return [found] if isinstance(found, int) else list(found or ())
