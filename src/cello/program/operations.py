"""What each operation of PyTorch is, apart from its arithmetic: one entry for each.

PyTorch's own tag says which operations are pointwise, and another which of them draw random
numbers; an entry is needed only where there is more to say. No table of PyTorch says along which
axis an operation works, or what only moves numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from cello.program.graph import Op

__all__ = ["OPERATIONS", "Operation", "argument", "axes", "facts", "is_pointwise", "is_random"]


@dataclass(frozen=True)
class Operation:
    """What is known of an operation by its name.

    Attributes:
        kind: "pointwise"; "creation", from a size; "product", of matrices; "reduction";
            "normalization", along axes that stay; or how it moves numbers, see `movement`: "copy",
            "cut", "pick", "join", "turn", "reshape", "squeeze", "expand", "move". "" is none of
            these.
        dim: position, name and default of the argument that says along which axes, if one does.
        rows: of a product: which arguments may have rows; the last one's are those of the result.
        written: its name in formulas, if not PyTorch's.
    """

    kind: str = ""
    dim: tuple[int, str, Any] | None = None
    rows: tuple[int, ...] = ()
    written: str = ""


def _all(names: str, *facts: Any, **more: Any) -> dict[str, Operation]:
    return dict.fromkeys(names.split(), Operation(*facts, **more))


def _along(position: int, default: Any = None, name: str = "dim") -> tuple[int, str, Any]:
    return position, name, default


#: By the name without the overload.
OPERATIONS: dict[str, Operation] = {
    # Element by element, though PyTorch does not tag them so, or under another name.
    **_all("bernoulli log_sigmoid_forward hardswish floor_divide", "pointwise"),
    "_prelu_kernel": Operation("pointwise", written="prelu"),
    "hardsigmoid": Operation("pointwise", written="hard_sigmoid"),
    "hardtanh": Operation("pointwise", written="hard_tanh"),
    "maximum": Operation("pointwise", written="max"),
    "minimum": Operation("pointwise", written="min"),
    # Numbers in the same or in other places.
    **_all("detach clone alias _to_copy lift_fresh contiguous", "copy"),
    **_all("split split_with_sizes chunk", "cut", _along(2, 0)),
    "slice": Operation("cut", _along(1, 0)),
    "unbind": Operation("pick", _along(1, 0)),
    "select": Operation("pick", _along(1)),
    **_all("cat stack", "join", _along(1, 0)),
    **_all("t transpose permute", "turn"),
    **_all("view _unsafe_view reshape", "reshape"),
    **_all("squeeze unsqueeze", "squeeze", _along(1)),
    "expand": Operation("expand"),
    "flip": Operation("move", _along(1, name="dims")),
    "roll": Operation("move", _along(2, name="dims")),
    **_all("repeat narrow diagonal unfold tril triu diag_embed constant_pad_nd", "move"),
    **_all("embedding index_select gather movedim swapaxes", "move"),
    # Numbers made of many.
    "mm": Operation("product", rows=(0,)),
    "mv": Operation("product", rows=(0,)),
    "addmm": Operation("product", rows=(0, 1)),
    **_all("sum mean var std max min logsumexp prod", "reduction", _along(1)),
    "amax": Operation("reduction", _along(1), written="max"),
    "amin": Operation("reduction", _along(1), written="min"),
    "linalg_vector_norm": Operation("reduction", _along(2), written="norm"),
    **_all("var_mean std_mean cumsum", dim=_along(1)),
    "_softmax": Operation("normalization", _along(1), written="softmax"),
    "_log_softmax": Operation("normalization", _along(1), written="log_softmax"),
    "native_layer_norm": Operation(written="layer_norm"),
    # Numbers out of nothing but a size.
    **_all("empty zeros ones full rand randn", "creation"),
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
