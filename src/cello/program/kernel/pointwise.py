"""The formulas of pointwise operations, made of primitives.

Each is written so that its derivative, taken primitive by primitive, is that of PyTorch, at the
kinks too, and so that a branch that is not taken brings no infinity into it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cello.program.graph import Op
from cello.program.kernel.nodes import Graph, Node
from cello.program.kernel.shapes import argument

if TYPE_CHECKING:
    from cello.program.kernel.lower import Lowering

__all__ = ["POINTWISE"]

Formula = Callable[..., Node]
Rule = Callable[["Lowering", Op], tuple[Formula, Sequence[Any]]]


def _plain(function: str) -> Rule:
    """A primitive of all tensors among the arguments."""

    def rule(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
        return lambda *nodes: low.graph.call(function, *nodes), op.args

    return rule


def _formula(formula: Callable[..., Node], *options: tuple[str, Any]) -> Rule:
    """`formula(graph, x, *options)` of one tensor and numbers, each with its default."""

    def rule(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
        given = [argument(op, 1 + i, name, default) for i, (name, default) in enumerate(options)]
        return lambda x: formula(low.graph, x, *given), op.args[:1]

    return rule


def _scaled(function: str) -> Rule:
    """`a + alpha b`, `a - alpha b`."""

    def rule(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
        alpha, g = argument(op, 2, "alpha", 1), low.graph
        return lambda a, b: g.call(function, a, g.call("mul", b, float(alpha))), op.args[:2]

    return rule


def _rsub(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    alpha, g = argument(op, 2, "alpha", 1), low.graph
    return lambda a, b: g.call("sub", b, g.call("mul", a, float(alpha))), op.args[:2]


def _div(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    g = low.graph
    mode = "floor" if op.target._opname == "floor_divide" else op.kwargs.get("rounding_mode")

    def formula(a: Node, b: Node) -> Node:
        ratio = g.call("div", a, b)
        return _trunc(g, ratio) if mode == "trunc" else g.call("floor", ratio) if mode else ratio

    return formula, op.args[:2]


def _rest(whole: Callable[[Graph, Node], Node]) -> Rule:
    """`a − b · whole(a / b)`: remainder and fmod."""

    def rule(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
        g = low.graph

        def formula(a: Node, b: Node) -> Node:
            return g.call("sub", a, g.call("mul", b, whole(g, g.call("div", a, b))))

        return formula, op.args[:2]

    return rule


def _two(formula: Callable[[Graph, Node, Node], Node]) -> Rule:
    """`formula(graph, a, b)` of two tensors."""
    return lambda low, op: (lambda a, b: formula(low.graph, a, b), op.args[:2])


def _pow(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    base, exponent = op.args[:2]
    return lambda a, b: power(low.graph, a, b, exponent), (base, exponent)


def power(g: Graph, a: Node, b: Node, exponent: Any) -> Node:
    """A to the power of b; small whole powers are products."""
    if exponent == 1:
        return a
    if exponent == 2:
        return g.call("mul", a, a)
    if exponent == 3:
        return g.call("mul", a, g.call("mul", a, a))
    if exponent == 0.5:
        return g.call("sqrt", a)
    if exponent == -1:
        return g.call("reciprocal", a)
    if exponent == -0.5:
        return g.call("rsqrt", a)
    return g.call("pow", a, b)


def _clamp(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    name = op.target._opname
    if name == "clamp_min":
        least, most = argument(op, 1, "min"), None
    elif name == "clamp_max":
        least, most = None, argument(op, 1, "max")
    else:
        least, most = argument(op, 1, "min"), argument(op, 2, "max")
    bounds = [bound for bound in (least, most) if bound is not None]

    def formula(x: Node, *limits: Node) -> Node:
        rest = list(limits)
        if least is not None:
            x = low.graph.call("at_least", x, rest.pop(0))
        return low.graph.call("at_most", x, rest.pop(0)) if rest else x

    return formula, [op.args[0], *bounds]


def _lerp(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    g = low.graph

    def formula(a: Node, b: Node, weight: Node) -> Node:
        return g.call("add", a, g.call("mul", weight, g.call("sub", b, a)))

    return formula, op.args[:3]


def _added(function: str) -> Rule:
    """`a + value · b ∘ c`: addcmul and addcdiv."""

    def rule(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
        value, g = float(argument(op, 3, "value", 1)), low.graph

        def formula(a: Node, b: Node, c: Node) -> Node:
            return g.call("add", a, g.call("mul", g.call(function, b, c), value))

        return formula, op.args[:3]

    return rule


def _prelu(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    g = low.graph

    def formula(x: Node, slope: Node) -> Node:
        return g.call("where", g.call("gt", x, 0.0), x, g.call("mul", slope, x))

    return formula, op.args[:2]


def _masked_fill(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    a, chosen, value = op.args
    return lambda m, v, x: low.graph.call("where", m, v, x), (chosen, value, a)


# ---------------------------------------------------------------- activations


def relu(g: Graph, x: Node) -> Node:
    """max(x, 0)."""
    return g.call("where", g.call("le", x, 0.0), 0.0, x)


def _leaky_relu(g: Graph, x: Node, slope: float) -> Node:
    return g.call("where", g.call("gt", x, 0.0), x, g.call("mul", x, float(slope)))


def _elu(g: Graph, x: Node, alpha: float, scale: float, input_scale: float) -> Node:
    low = g.call("expm1", g.call("mul", g.call("at_most", x, 0.0), float(input_scale)))
    below = g.call("mul", low, float(alpha * scale))
    return g.call("where", g.call("gt", x, 0.0), g.call("mul", x, float(scale)), below)


def _softplus(g: Graph, x: Node, beta: float, threshold: float) -> Node:
    scaled = g.call("mul", x, float(beta))
    bounded = g.call("at_most", scaled, float(threshold))
    soft = g.call("div", g.call("log1p", g.call("exp", bounded)), float(beta))
    return g.call("where", g.call("gt", scaled, float(threshold)), x, soft)


def _log_sigmoid(g: Graph, x: Node) -> Node:
    rest = g.call("log1p", g.call("exp", g.call("neg", g.call("abs", x))))
    return g.call("sub", g.call("min", x, 0.0), rest)


def _gelu(g: Graph, x: Node, approximate: str) -> Node:
    half = g.call("mul", x, 0.5)
    if approximate == "tanh":
        cube = g.call("mul", g.call("mul", g.call("mul", x, x), x), 0.044715)
        inner = g.call("mul", g.call("add", x, cube), math.sqrt(2 / math.pi))
        return g.call("mul", half, g.call("add", g.call("tanh", inner), 1.0))
    inner = g.call("erf", g.call("mul", x, math.sqrt(0.5)))
    return g.call("mul", half, g.call("add", inner, 1.0))


def _silu(g: Graph, x: Node) -> Node:
    return g.call("mul", x, g.call("sigmoid", x))


def _mish(g: Graph, x: Node) -> Node:
    return g.call("mul", x, g.call("tanh", _softplus(g, x, 1, 20)))


def _between(g: Graph, x: Node, inside: Node, ends: tuple[float, float], values: Any) -> Node:
    """`inside` between the ends, a value at and beyond each."""
    above = g.call("where", g.call("ge", x, ends[1]), values[1], inside)
    return g.call("where", g.call("le", x, ends[0]), values[0], above)


def _hardsigmoid(g: Graph, x: Node) -> Node:
    inside = g.call("sixth", g.call("add", x, 3.0))
    return _between(g, x, inside, (-3.0, 3.0), (0.0, 1.0))


def _hardtanh(g: Graph, x: Node, least: float, most: float) -> Node:
    least, most = float(least), float(most)
    return _between(g, x, x, (least, most), (least, most))


def _hardswish(g: Graph, x: Node) -> Node:
    inside = g.call("mul", x, g.call("div", g.call("add", x, 3.0), 6.0))
    return _between(g, x, inside, (-3.0, 3.0), (0.0, x))


def _threshold(g: Graph, x: Node, threshold: float, value: float) -> Node:
    return g.call("where", g.call("le", x, float(threshold)), float(value), x)


def _celu(g: Graph, x: Node, alpha: float) -> Node:
    return _elu(g, x, alpha, 1.0, 1.0 / alpha)


def _hardshrink(g: Graph, x: Node, bound: float) -> Node:
    inside = g.call("and", g.call("ge", x, -float(bound)), g.call("le", x, float(bound)))
    return g.call("where", inside, 0.0, x)


def _softshrink(g: Graph, x: Node, bound: float) -> Node:
    bound = float(bound)
    below = g.call("where", g.call("lt", x, -bound), g.call("add", x, bound), g.call("mul", x, 0.0))
    return g.call("where", g.call("gt", x, bound), g.call("sub", x, bound), below)


def _log_add_exp(g: Graph, a: Node, b: Node) -> Node:
    apart = g.call("where", g.call("eq", a, b), 0.0, g.call("sub", a, b))  # infinities may be equal
    rest = g.call("log1p", g.call("exp", g.call("neg", g.call("abs", apart))))
    return g.call("add", g.call("max", a, b), rest)


def _logit(g: Graph, x: Node, eps: float | None) -> Node:
    if eps is not None:
        x = g.call("at_most", g.call("at_least", x, float(eps)), 1 - float(eps))
    return g.call("log", g.call("div", x, g.call("sub", 1.0, x)))


def _tan(g: Graph, x: Node) -> Node:
    return g.call("div", g.call("sin", x), g.call("cos", x))


def _half_of_exps(function: str, g: Graph, x: Node) -> Node:
    """(e^x ± e^-x) / 2."""
    both = g.call(function, g.call("exp", x), g.call("exp", g.call("neg", x)))
    return g.call("mul", both, 0.5)


def _sinh(g: Graph, x: Node) -> Node:
    near = g.call("at_most", g.call("at_least", x, -1.0), 1.0)
    more = g.call("expm1", near)  # exact where e^x and e^-x all but cancel
    small = g.call("mul", g.call("add", more, g.call("div", more, g.call("add", more, 1.0))), 0.5)
    return g.call("where", g.call("eq", x, near), small, _half_of_exps("sub", g, x))


def _ceil(g: Graph, x: Node) -> Node:
    return g.call("neg", g.call("floor", g.call("neg", x)))


def _trunc(g: Graph, x: Node) -> Node:
    return g.call("where", g.call("lt", x, 0.0), _ceil(g, x), g.call("floor", x))


def _log_to(base: float) -> Callable[[Graph, Node], Node]:
    return lambda g, x: g.call("mul", g.call("log", x), 1 / math.log(base))


_SAME = "neg abs exp expm1 log log1p sqrt rsqrt reciprocal sin cos tanh sigmoid erf floor".split()
_RENAMED = {
    "sgn": "sign", "sign": "sign", "maximum": "max", "minimum": "min", "mul": "mul",
    "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne", "where": "where",
    "logical_and": "and", "logical_or": "or", "logical_not": "not",
    "bitwise_and": "and", "bitwise_or": "or", "bitwise_not": "not", "max": "max", "min": "min",
    "logical_xor": "ne", "bitwise_xor": "ne",
}  # fmt: skip

POINTWISE: dict[str, Rule] = {
    **{name: _plain(name) for name in _SAME},
    **{name: _plain(function) for name, function in _RENAMED.items()},
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "rsub": _rsub,
    "div": _div,
    "true_divide": _div,
    "floor_divide": _div,
    "remainder": _rest(lambda g, x: g.call("floor", x)),
    "fmod": _rest(_trunc),
    "pow": _pow,
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
    "lerp": _lerp,
    "addcmul": _added("mul"),
    "addcdiv": _added("div"),
    "masked_fill": _masked_fill,
    "_prelu_kernel": _prelu,
    "square": _formula(lambda g, x: g.call("mul", x, x)),
    "relu": _formula(relu),
    "leaky_relu": _formula(_leaky_relu, ("negative_slope", 0.01)),
    "elu": _formula(_elu, ("alpha", 1), ("scale", 1), ("input_scale", 1)),
    "softplus": _formula(_softplus, ("beta", 1), ("threshold", 20)),
    "gelu": _formula(_gelu, ("approximate", "none")),
    "silu": _formula(_silu),
    "mish": _formula(_mish),
    "hardsigmoid": _formula(_hardsigmoid),
    "hardtanh": _formula(_hardtanh, ("min_val", -1), ("max_val", 1)),
    "hardswish": _formula(_hardswish),
    "threshold": _formula(_threshold, ("threshold", 0), ("value", 0)),
    "log_sigmoid_forward": _formula(_log_sigmoid),
    "celu": _formula(_celu, ("alpha", 1)),
    "hardshrink": _formula(_hardshrink, ("lambd", 0.5)),
    "softshrink": _formula(_softshrink, ("lambd", 0.5)),
    "exp2": _formula(lambda g, x: g.call("pow", 2.0, x)),
    "logaddexp": _two(_log_add_exp),
    "logit": _formula(_logit, ("eps", None)),
    "tan": _formula(_tan),
    "sinh": _formula(_sinh),
    "cosh": _formula(functools.partial(_half_of_exps, "add")),
    "ceil": _formula(_ceil),
    "trunc": _formula(_trunc),
    "frac": _formula(lambda g, x: g.call("sub", x, _trunc(g, x))),
    "isnan": _formula(lambda g, x: g.call("ne", x, x)),
    "isinf": _formula(lambda g, x: g.call("eq", g.call("abs", x), math.inf)),
    "log2": _formula(_log_to(2)),
    "log10": _formula(_log_to(10)),
}
