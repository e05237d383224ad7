"""What is known of an operation of PyTorch: one entry for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cello.program.graph import Op

__all__ = [
    "Formula",
    "Make",
    "Operation",
    "along",
    "calling",
    "own",
    "pointwise",
    "primitive",
    "spelled",
    "with_slope",
]

#: `call("add", a, b)` makes a + b, of nodes, tensors or text: what `call` is a function of.
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
        rule: of a product and of what makes one number of many, how that is computed: by this
            name `kernel.rules` lowers it, `see.formulas.symbols` writes it, and
            `see.arithmetic.reductions` one number of it.
        dim: position, name and default of the argument that says along which axes, if one does.
        rows: of a product: which arguments may have rows; the last one's are those of the result.
        row_wise: whether each row stays by itself, where neither the kind nor the axes tell.
        formula: of a pointwise operation, what a fused loop computes: made of the primitives of
            `kernel.primitives`, which have the derivatives.
        bounds: of a pointwise operation, between which its results lie.
        written: how it stands in formulas: a name, if not PyTorch's, or a formula, which is then
            spelled out.
        composed: what it is made of, in plain PyTorch; see `compositions`.
        fill: what a creation fills with; of "full", an argument says it.
        like: of what makes a tensor like another, the creation that needs only its size.
        grad: whether a gradient passes.
        whole: whether whole numbers may go in, for which a fused loop has its own kind of numbers.
        moved: of what moves numbers, the arguments that hold them.
        put_back: of a part of a tensor, what puts another one in its place: of the whole, the
            other part and the arguments that say where.
    """

    kind: str = ""
    dim: tuple[int, str, Any] | None = None
    rule: str = ""
    rows: tuple[int, ...] = (0,)
    row_wise: Callable[[Op], bool] | None = None
    formula: Formula | None = None
    bounds: tuple[float, float] | None = None
    written: str | Formula = ""
    composed: Callable[..., Any] | None = None
    fill: float | None = None
    like: Any = None
    grad: bool = True
    whole: bool = False
    moved: tuple[int, ...] = (0,)
    put_back: Any = None


def along(position: int, default: Any = None, name: str = "dim") -> tuple[int, str, Any]:
    """For `Operation.dim`."""
    return position, name, default


def pointwise(formula: Formula, written: str | Formula = "") -> Operation:
    """One that works element by element."""
    return Operation("pointwise", formula=formula, written=written)


def calling(name: str) -> Formula:
    """The formula that is one primitive."""
    return lambda call, *given: call(name, *given)


def primitive(name: str, written: str = "") -> Operation:
    """One that is a primitive."""
    return pointwise(calling(name), written)


def spelled(formula: Formula) -> Operation:
    """One that stands in formulas as what it is made of."""
    return pointwise(formula, formula)


def own(call: Make, name: str, value: Any, *given: Any) -> Any:
    """`value`, with the derivative of `derivatives.SLOPES[name]` for what was given."""
    return call(f"{name}'", value, *given)


def with_slope(name: str) -> Operation:
    """One that is a primitive, with the derivative of its name in `derivatives.SLOPES`."""
    return pointwise(lambda call, *given: own(call, name, call(name, *given), *given))
