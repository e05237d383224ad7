"""What is known of an operation of PyTorch: one entry for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Formula", "Make", "Operation", "along"]

#: `call("add", a, b)` makes a + b, of whatever whoever gave `call` reckons with.
Make = Callable[..., Any]
#: `formula(call, *arguments)`: what the operation makes of its arguments.
Formula = Callable[..., Any]


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
        formula: of a pointwise operation, what a fused loop computes: made of the primitives of
            `kernel.primitives`, which have the derivatives.
        written: how it stands in formulas: a name, if not PyTorch's, or a formula, which is then
            spelled out.
        composed: what it is made of, in plain PyTorch; see `compositions`.
        fill: what a creation fills with; of "full", an argument says it.
        like: of what makes a tensor like another, the creation that needs only its size.
        grad: whether a gradient passes.
        whole: whether whole numbers may go in, for which a fused loop has its own kind of numbers.
        moved: of what moves numbers, the arguments that hold them.
    """

    kind: str = ""
    dim: tuple[int, str, Any] | None = None
    rows: tuple[int, ...] = ()
    formula: Formula | None = None
    written: str | Formula = ""
    composed: Callable[..., Any] | None = None
    fill: float | None = None
    like: Any = None
    grad: bool = True
    whole: bool = False
    moved: tuple[int, ...] = (0,)


def along(position: int, default: Any = None, name: str = "dim") -> tuple[int, str, Any]:
    """For `Operation.dim`."""
    return position, name, default
