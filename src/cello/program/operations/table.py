"""What each operation of PyTorch is: one entry for each.

PyTorch's own tag says which operations are pointwise, and another which of them draw random
numbers; an entry is needed only where there is more to say. No table of PyTorch says along which
axis an operation works, or what only moves numbers. What `torch._decomp` has for forward passes
does not replace the formulas: differentiated, hardtanh at its bound gives 1 for PyTorch's 0,
hardswish at −3 gives −0.5 for 0, softplus at 100 and sinc at 0 give NaN.
"""

from __future__ import annotations

from typing import Any

import torch

from cello.program.graph import Op
from cello.program.operations.operation import Operation, along
from cello.program.operations.pointwise import POINTWISE

__all__ = ["OPERATIONS", "argument", "axes", "facts", "is_pointwise", "is_random"]


def _all(names: str, *facts: Any, **more: Any) -> dict[str, Operation]:
    return dict.fromkeys(names.split(), Operation(*facts, **more))


#: By the name without the overload.
OPERATIONS: dict[str, Operation] = {
    **POINTWISE,
    # Numbers in the same or in other places.
    **_all("detach clone alias _to_copy lift_fresh", "copy"),
    **_all("split split_with_sizes", "cut", along(2, 0)),
    "slice": Operation("cut", along(1, 0)),
    "unbind": Operation("pick", along(1, 0)),
    "select": Operation("pick", along(1)),
    **_all("cat stack", "join", along(1, 0)),
    **_all("t transpose permute", "turn"),
    **_all("view _unsafe_view", "reshape"),
    **_all("squeeze unsqueeze", "squeeze", along(1)),
    "expand": Operation("expand"),
    "flip": Operation("move", along(1, name="dims")),
    "roll": Operation("move", along(2, name="dims")),
    **_all("repeat diagonal unfold tril triu diag_embed constant_pad_nd", "move"),
    **_all("embedding index_select gather", "move"),
    # Numbers made of many.
    "mm": Operation("product", rows=(0,)),
    "mv": Operation("product", rows=(0,)),
    "addmm": Operation("product", rows=(0, 1)),
    **_all("sum mean var std max min logsumexp prod", "reduction", along(1)),
    "amax": Operation("reduction", along(1), written="max"),
    "amin": Operation("reduction", along(1), written="min"),
    "linalg_vector_norm": Operation("reduction", along(2), written="norm"),
    **_all("var_mean std_mean cumsum", dim=along(1)),
    "_softmax": Operation("normalization", along(1), written="softmax"),
    "_log_softmax": Operation("normalization", along(1), written="log_softmax"),
    "native_layer_norm": Operation(written="layer_norm"),
    # Numbers out of nothing but a size.
    "zeros": Operation("creation", fill=0),
    "ones": Operation("creation", fill=1),
    **_all("empty full rand randn", "creation"),
}

_NONE, _POINTWISE = Operation(), Operation("pointwise")


def facts(op: Op) -> Operation:
    """The entry of an operation; for one without, what PyTorch's tags say."""
    untold = _POINTWISE if is_pointwise(op) else _NONE
    return OPERATIONS.get(op.target._opname, untold)


def is_pointwise(op: Op) -> bool:
    """Whether PyTorch says that it works element by element."""
    return torch.Tag.pointwise in op.target.tags


def is_random(op: Op) -> bool:
    """Whether the operation draws random numbers."""
    return torch.Tag.nondeterministic_seeded in op.target.tags


def argument(op: Op, position: int, name: str, default: Any = None) -> Any:
    """An argument, wherever it stands."""
    return op.args[position] if len(op.args) > position else op.kwargs.get(name, default)


def axes(op: Op) -> list[int]:
    """Along which axes the operation works, as they were given; none: it does not say."""
    dim = facts(op).dim
    found = None if dim is None else argument(op, *dim)
    return [found] if isinstance(found, int) else list(found or ())
