"""The formulas of pointwise operations, made of primitives.

Most have the derivative that follows, primitive by primitive; where PyTorch's own differs at a
kink, at infinity or where numbers overflow, `own` puts that of `slopes` in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from cello.program.graph import Op
from cello.program.kernel.builder import Lowering
from cello.program.kernel.nodes import Graph, Node
from cello.program.kernel.slopes import floor_divide, power, signs_differ, trunc
from cello.program.operations import argument

__all__ = ["POINTWISE"]

Formula = Callable[..., Node]
Rule = Callable[[Lowering, Op], tuple[Formula, Sequence[Any]]]


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


def own(g: Graph, name: str, value: Node, *given: Node | float) -> Node:
    """`value`, with the derivative of `slopes.SLOPES[name]` for what was given."""
    return g.call(f"{name}'", value, *given)


def _div(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    g = low.graph
    mode = "floor" if op.target._opname == "floor_divide" else op.kwargs.get("rounding_mode")

    def formula(a: Node, b: Node) -> Node:
        if mode is None:
            return g.call("div", a, b)
        whole = floor_divide(g.call, a, b) if mode == "floor" else _trunc(g, g.call("div", a, b))
        return g.call("stop", whole)

    return formula, op.args[:2]


def _remainder(g: Graph, a: Node, b: Node) -> Node:
    rest = g.call("fmod", a, b)
    value = g.call("where", signs_differ(g.call, rest, b), g.call("add", rest, b), rest)
    return own(g, "remainder", value, a, b)


def _two(formula: Callable[[Graph, Node, Node], Node]) -> Rule:
    """`formula(graph, a, b)` of two tensors."""
    return lambda low, op: (lambda a, b: formula(low.graph, a, b), op.args[:2])


def _power(g: Graph, a: Node, b: Node | float) -> Node:
    return own(g, "power", power(g.call, a, b), a, b)


def _clamp(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    name, g = op.target._opname, low.graph
    least = None if name == "clamp_max" else argument(op, 1, "min")
    most = argument(op, 1 if name == "clamp_max" else 2, "max") if name != "clamp_min" else None
    if most is None:
        return lambda x, bound: g.call("at_least", x, bound), [op.args[0], least]
    if least is None:
        return lambda x, bound: g.call("at_most", x, bound), [op.args[0], most]

    def formula(x: Node, least: Node, most: Node) -> Node:
        return own(g, "clamp", _limited(g, x, least, most), x, least, most)

    return formula, [op.args[0], least, most]


def _limited(g: Graph, x: Node, least: Node | float, most: Node | float) -> Node:
    return g.call("at_most", g.call("at_least", x, least), most)


def _lerp(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
    g = low.graph

    def formula(a: Node, b: Node, weight: Node) -> Node:
        way, near = g.call("sub", b, a), g.call("lt", g.call("abs", weight), 0.5)
        from_a = g.call("add", a, g.call("mul", weight, way))
        from_b = g.call("sub", b, g.call("mul", way, g.call("sub", 1.0, weight)))
        return own(g, "lerp", g.call("where", near, from_a, from_b), a, b, weight)

    return formula, op.args[:3]


def _added(name: str, function: str) -> Rule:
    """`a + value · b ∘ c`: addcmul and addcdiv."""

    def rule(low: Lowering, op: Op) -> tuple[Formula, Sequence[Any]]:
        value, g = float(argument(op, 3, "value", 1)), low.graph

        def formula(a: Node, b: Node, c: Node) -> Node:
            made = g.call("add", a, g.call(function, g.call("mul", b, value), c))
            return own(g, name, made, a, b, c, value)

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
    factors = float(scale), float(alpha * scale), float(input_scale)
    below = g.call("mul", g.call("expm1", g.call("mul", x, factors[2])), factors[1])
    value = g.call("where", g.call("gt", x, 0.0), g.call("mul", x, factors[0]), below)
    return own(g, "elu", value, x, *factors)


def _softplus(g: Graph, x: Node, beta: float, threshold: float) -> Node:
    beta, threshold = float(beta), float(threshold)
    scaled = g.call("mul", x, beta)
    soft = g.call("div", g.call("log1p", g.call("exp", scaled)), beta)
    value = g.call("where", g.call("gt", scaled, threshold), x, soft)
    return own(g, "softplus", value, x, beta, threshold)


def _log_sigmoid(g: Graph, x: Node) -> Node:
    rest = g.call("log1p", g.call("exp", g.call("neg", g.call("abs", x))))
    return own(g, "log_sigmoid", g.call("sub", g.call("min", x, 0.0), rest), x)


def _gelu(g: Graph, x: Node, approximate: str) -> Node:
    half = g.call("mul", x, 0.5)
    if approximate == "tanh":
        cube = g.call("mul", g.call("mul", g.call("mul", x, x), x), 0.044715)
        inner = g.call("mul", g.call("add", x, cube), math.sqrt(2 / math.pi))
        tanh = g.call("tanh", inner)
        return own(g, "gelu_tanh", g.call("mul", half, g.call("add", tanh, 1.0)), x, tanh)
    inner = g.call("erf", g.call("mul", x, math.sqrt(0.5)))
    return own(g, "gelu", g.call("mul", half, g.call("add", inner, 1.0)), x)


def _silu(g: Graph, x: Node) -> Node:
    return own(g, "silu", g.call("mul", x, g.call("sigmoid", x)), x)


def _mish(g: Graph, x: Node) -> Node:
    tanh = g.call("tanh", g.call("log1p", g.call("exp", x)))
    return own(g, "mish", g.call("mul", x, tanh), x, tanh)


def _hardsigmoid(g: Graph, x: Node) -> Node:
    share = _limited(g, g.call("add", x, 3.0), 0.0, 6.0)
    return own(g, "hardsigmoid", g.call("div", share, 6.0), x)


def _hardtanh(g: Graph, x: Node, least: float, most: float) -> Node:
    least, most = float(least), float(most)
    return own(g, "hardtanh", _limited(g, x, least, most), x, least, most)


def _hardswish(g: Graph, x: Node) -> Node:
    share = _limited(g, g.call("add", x, 3.0), 0.0, 6.0)
    return own(g, "hardswish", g.call("div", g.call("mul", x, share), 6.0), x)


def _threshold(g: Graph, x: Node, threshold: float, value: float) -> Node:
    return g.call("where", g.call("le", x, float(threshold)), float(value), x)


def _celu(g: Graph, x: Node, alpha: float) -> Node:
    return _elu(g, x, alpha, 1.0, 1.0 / alpha)


def _hardshrink(g: Graph, x: Node, bound: float) -> Node:
    bound = float(bound)
    inside = g.call("and", g.call("ge", x, -bound), g.call("le", x, bound))
    return own(g, "shrink", g.call("where", inside, 0.0, x), x, bound)


def _softshrink(g: Graph, x: Node, bound: float) -> Node:
    bound = float(bound)
    below = g.call("where", g.call("lt", x, -bound), g.call("add", x, bound), g.call("mul", x, 0.0))
    value = g.call("where", g.call("gt", x, bound), g.call("sub", x, bound), below)
    return own(g, "shrink", value, x, bound)


def _log_add_exp(g: Graph, a: Node, b: Node) -> Node:
    apart = g.call("where", g.call("eq", a, b), 0.0, g.call("sub", a, b))  # infinities may be equal
    rest = g.call("log1p", g.call("exp", g.call("neg", g.call("abs", apart))))
    return own(g, "logaddexp", g.call("add", g.call("max", a, b), rest), a, b)


def _logit(g: Graph, x: Node, eps: float | None) -> Node:
    bounds = () if eps is None or eps < 0 else (float(eps), 1 - float(eps))
    part = _limited(g, x, *bounds) if bounds else x
    value = g.call("log", g.call("div", part, g.call("sub", 1.0, part)))
    return own(g, "logit_within" if bounds else "logit", value, x, *bounds)


def _ceil(g: Graph, x: Node) -> Node:
    return g.call("neg", g.call("floor", g.call("neg", x)))


def _trunc(g: Graph, x: Node) -> Node:
    return trunc(g.call, x)


def _log_to(base: int) -> Callable[[Graph, Node], Node]:
    factor = 1 / math.log(base)
    return lambda g, x: own(g, f"log{base}", g.call("mul", g.call("log", x), factor), x)


def _is_true(g: Graph, x: Node) -> Node:
    return g.call("ne", x, 0.0)


_SAME = """
    neg abs exp expm1 log log1p sqrt rsqrt reciprocal sin cos tan sinh cosh tanh sigmoid erf floor
    fmod
""".split()
_RENAMED = {
    "sgn": "sign", "sign": "sign", "maximum": "max", "minimum": "min", "mul": "mul",
    "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne", "where": "where",
    "logical_and": "and", "logical_or": "or", "logical_not": "not",
    "bitwise_and": "and", "bitwise_or": "or", "bitwise_not": "not",
    "bitwise_xor": "ne",
}  # fmt: skip

POINTWISE: dict[str, Rule] = {
    **{name: _plain(name) for name in _SAME},
    **{name: _plain(function) for name, function in _RENAMED.items()},
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "rsub": _rsub,
    "div": _div,
    "floor_divide": _div,
    "remainder": _two(_remainder),
    "pow": _two(_power),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
    "lerp": _lerp,
    "addcmul": _added("addcmul", "mul"),
    "addcdiv": _added("addcdiv", "div"),
    "masked_fill": _masked_fill,
    "_prelu_kernel": _prelu,
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
    "exp2": _formula(lambda g, x: _power(g, g.constant(2.0), x)),
    "logaddexp": _two(_log_add_exp),
    "logit": _formula(_logit, ("eps", None)),
    "logical_xor": _two(lambda g, a, b: g.call("ne", _is_true(g, a), _is_true(g, b))),
    "ceil": _formula(_ceil),
    "trunc": _formula(_trunc),
    "frac": _formula(lambda g, x: g.call("sub", x, _trunc(g, x))),
    "isnan": _formula(lambda g, x: g.call("ne", x, x)),
    "isinf": _formula(lambda g, x: g.call("eq", g.call("abs", x), math.inf)),
    "log2": _formula(_log_to(2)),
    "log10": _formula(_log_to(10)),
}
