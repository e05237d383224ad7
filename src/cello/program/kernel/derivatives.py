"""The derivatives of pointwise operations that have one of their own, as PyTorch computes them.

Taken primitive by primitive, a derivative has the same value but at a kink, at infinity and where
numbers overflow or cancel: there PyTorch's own formula decides. Each function here is
`(call, y, g, *arguments)`: what makes a node (`Graph.call`), the result, its cotangent, and what
the operation was given. It returns the cotangents of the first arguments; the rest have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from cello.program.kernel.nodes import Constant, Node
from cello.program.operations.pointwise import floor_divide, power

__all__ = ["SLOPES", "Slope"]

Make = Callable[..., Node]
Slope = Callable[..., "tuple[Node, ...]"]

_SIXTH = torch.tensor(1 / 6, dtype=torch.float32).item()  # PyTorch has it as a float32


# ---------------------------------------------------------------- arithmetic


def _remainder(call: Make, _y: Node, g: Node, a: Node, b: Node) -> tuple[Node, ...]:
    return g, call("mul", call("neg", g), floor_divide(call, a, b))


def _power(call: Make, y: Node, g: Node, a: Node, b: Node) -> tuple[Node, ...]:
    less = b.value - 1 if isinstance(b, Constant) else call("sub", b, 1.0)
    slope = call("mul", b, power(call, a, less))
    at_zero = call("and", call("eq", a, 0.0), call("ge", b, 0.0))
    growth = call("where", at_zero, 0.0, call("mul", y, call("log", a)))
    return (
        call("where", call("eq", b, 0.0), 0.0, call("mul", g, slope)),
        call("mul", g, growth),
    )


def _log_to(base: float) -> Slope:
    def slope(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
        return (call("div", g, call("mul", x, math.log(base))),)

    return slope


def _lerp(call: Make, _y: Node, g: Node, a: Node, b: Node, weight: Node) -> tuple[Node, ...]:
    rest = call("sub", 1.0, weight)
    return call("mul", g, rest), call("mul", g, weight), call("mul", g, call("sub", b, a))


def _addcmul(call: Make, _y: Node, g: Node, *given: Node) -> tuple[Node, ...]:
    _, a, b, value = given
    return g, call("mul", g, call("mul", b, value)), call("mul", g, call("mul", a, value))


def _addcdiv(call: Make, _y: Node, g: Node, *given: Node) -> tuple[Node, ...]:
    _, a, b, value = given
    whole = call("div", call("mul", value, a), call("mul", b, b))
    return g, call("mul", g, call("div", value, b)), call("mul", call("neg", g), whole)


def _log_add(power: Callable[[Make, Node], Node]) -> Slope:
    def slope(call: Make, _y: Node, g: Node, a: Node, b: Node) -> tuple[Node, ...]:
        def of(one: Node, other: Node) -> Node:
            return call("div", g, call("add", 1.0, power(call, call("sub", other, one))))

        return of(a, b), of(b, a)

    return slope


def _logit(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    beyond = call("or", call("lt", x, 0.0), call("gt", x, 1.0))
    return (call("where", beyond, math.nan, _slope_of_logit(call, g, x)),)


def _logit_within(
    call: Make, _y: Node, g: Node, x: Node, least: Node, most: Node
) -> tuple[Node, ...]:
    within = call("and", call("ge", x, least), call("le", x, most))
    return (call("where", within, _slope_of_logit(call, g, x), 0.0),)


def _slope_of_logit(call: Make, g: Node, x: Node) -> Node:
    return call("div", g, call("mul", x, call("sub", 1.0, x)))


def _x_log_y(call: Make, _y: Node, g: Node, a: Node, b: Node) -> tuple[Node, ...]:
    nothing = call("and", call("eq", a, 0.0), call("le", b, 0.0))
    product = call("where", call("eq", g, 0.0), 0.0, call("mul", g, call("log", b)))
    of_a = call("where", nothing, 0.0, call("where", call("ne", b, b), b, product))
    return of_a, call("div", call("mul", g, a), b)


def _hypot(call: Make, y: Node, g: Node, a: Node, b: Node) -> tuple[Node, ...]:
    return call("div", call("mul", g, a), y), call("div", call("mul", g, b), y)


def _copysign(call: Make, y: Node, g: Node, a: Node, _b: Node) -> tuple[Node, ...]:
    ratio = call("where", call("eq", a, 0.0), 0.0, call("div", y, a))
    return (call("mul", g, ratio),)


def _nan_to_num(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    finite = call("lt", call("abs", x), math.inf)
    return (call("mul", g, call("where", finite, 1.0, 0.0)),)


def _squared_error(call: Make, _y: Node, g: Node, a: Node, b: Node) -> tuple[Node, ...]:
    slope = call("mul", call("mul", call("sub", a, b), 2.0), g)
    return slope, call("neg", slope)


def _smooth_error(
    call: Make, _y: Node, g: Node, a: Node, b: Node, bound: Node, steep: Node, scale: Node
) -> tuple[Node, ...]:
    """`steep` beyond a bound, and within it what the difference makes with `scale`."""
    apart, far = call("sub", a, b), call("mul", g, steep)
    inner = call("div", call("mul", apart, g), scale)
    slope = call("where", call("ge", apart, bound), far, inner)
    slope = call("where", call("le", apart, call("neg", bound)), call("neg", far), slope)
    return slope, call("neg", slope)


# ---------------------------------------------------------------- angles


def _squared(call: Make, x: Node) -> Node:
    return call("mul", x, x)


def _over_root(sign: float, square: float, one: float) -> Slope:
    """The derivative `sign / √(square · x² + one)`."""

    def slope(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
        below = call("add", call("mul", _squared(call, x), square), one)
        return (call("mul", g, call("mul", call("rsqrt", below), sign)),)

    return slope


def _atan(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    return (call("div", g, call("add", _squared(call, x), 1.0)),)


def _atanh(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    return (call("mul", g, call("div", 1.0, call("sub", 1.0, _squared(call, x)))),)


def _atan2(call: Make, _y: Node, g: Node, a: Node, b: Node) -> tuple[Node, ...]:
    square = call("add", _squared(call, a), _squared(call, b))
    part = call("where", call("eq", square, 0.0), 0.0, call("reciprocal", square))
    return (
        call("mul", call("mul", g, b), part),
        call("mul", call("mul", g, call("neg", a)), part),
    )


def _erfc(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    bell = call("exp", call("neg", _squared(call, x)))
    return (call("mul", call("mul", bell, -2 / math.sqrt(math.pi)), g),)


def _sinc(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    angle, below = call("mul", x, math.pi), call("mul", _squared(call, x), math.pi)
    above = call("sub", call("mul", angle, call("cos", angle)), call("sin", angle))
    slope = call("mul", g, call("div", above, below))
    return (call("where", call("eq", below, 0.0), 0.0, slope),)


# ---------------------------------------------------------------- limits


def _clamp(call: Make, _y: Node, g: Node, x: Node, least: Node, most: Node) -> tuple[Node, ...]:
    inside = call("and", call("ge", x, least), call("le", x, most))
    low = call("and", call("lt", x, least), call("lt", least, most))
    high = call("or", call("gt", x, most), call("lt", most, least))
    return (
        call("where", inside, g, 0.0),
        call("where", low, g, 0.0),
        call("where", high, g, 0.0),
    )


def _between(call: Make, _y: Node, g: Node, x: Node, low: Node, high: Node) -> tuple[Node, ...]:
    """As clamp, but neither at a bound nor at NaN."""
    inside = call("and", call("gt", x, low), call("lt", x, high))
    return (call("where", inside, g, 0.0),)


def _hardsigmoid(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    inside = call("and", call("gt", x, -3.0), call("lt", x, 3.0))
    return (call("where", inside, call("mul", g, _SIXTH), 0.0),)


def _hardswish(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    inside = call("mul", g, call("add", call("div", x, 3.0), 0.5))
    below = call("where", call("ge", x, 3.0), g, inside)
    return (call("where", call("le", x, -3.0), 0.0, below),)


def _shrink(call: Make, _y: Node, g: Node, x: Node, bound: Node) -> tuple[Node, ...]:
    outside = call("gt", call("abs", x), bound)
    return (call("where", outside, g, 0.0),)


# ---------------------------------------------------------------- smooth activations


def _elu(
    call: Make, _y: Node, g: Node, x: Node, above: Node, below: Node, inner: Node
) -> tuple[Node, ...]:
    slope = call("mul", call("mul", inner, below), call("exp", call("mul", x, inner)))
    positive = call("gt", x, 0.0)
    return (call("where", positive, call("mul", g, above), call("mul", g, slope)),)


def _softplus(
    call: Make, _y: Node, g: Node, x: Node, beta: Node, threshold: Node
) -> tuple[Node, ...]:
    scaled = call("mul", x, beta)
    z = call("exp", scaled)
    slope = call("div", call("mul", g, z), call("add", z, 1.0))
    return (call("where", call("gt", scaled, threshold), g, slope),)


def _log_sigmoid(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    z = call("exp", call("neg", call("abs", x)))
    part = call("div", z, call("add", 1.0, z))
    slope = call("where", call("lt", x, 0.0), call("sub", 1.0, part), part)
    return (call("mul", g, slope),)


def _gelu(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    erf = call("erf", call("mul", x, math.sqrt(0.5)))
    share = call("mul", call("add", erf, 1.0), 0.5)
    bell = call("exp", call("mul", call("mul", x, x), -0.5))
    bell = call("mul", bell, 1 / math.sqrt(2 * math.pi))
    return (call("mul", g, call("add", share, call("mul", x, bell))),)


def _gelu_tanh(call: Make, _y: Node, g: Node, x: Node, tanh: Node) -> tuple[Node, ...]:
    left, right = call("mul", x, 0.5), call("add", tanh, 1.0)
    inner = call("add", call("mul", call("mul", x, x), 3 * 0.044715), 1.0)
    inner = call("mul", inner, math.sqrt(2 / math.pi))
    steep = call("mul", call("sub", 1.0, call("mul", tanh, tanh)), inner)
    return (call("mul", g, call("add", call("mul", right, 0.5), call("mul", left, steep))),)


def _silu(call: Make, _y: Node, g: Node, x: Node) -> tuple[Node, ...]:
    s = call("sigmoid", x)
    rest = call("add", call("mul", x, call("sub", 1.0, s)), 1.0)
    return (call("mul", g, call("mul", s, rest)),)


def _mish(call: Make, _y: Node, g: Node, x: Node, tanh: Node) -> tuple[Node, ...]:
    steep = call("sub", 1.0, call("mul", tanh, tanh))
    rest = call("mul", call("mul", x, call("sigmoid", x)), steep)
    return (call("mul", g, call("add", tanh, rest)),)


SLOPES: dict[str, tuple[int, Slope]] = {  # with the number of arguments
    "remainder": (2, _remainder),
    "power": (2, _power),
    "log2": (1, _log_to(2)),
    "log10": (1, _log_to(10)),
    "lerp": (3, _lerp),
    "addcmul": (4, _addcmul),
    "addcdiv": (4, _addcdiv),
    "logaddexp": (2, _log_add(lambda call, x: call("exp", x))),
    "logaddexp2": (2, _log_add(lambda call, x: call("pow", 2.0, x))),
    "xlogy": (2, _x_log_y),
    "squared_error": (2, _squared_error),
    "smooth_error": (5, _smooth_error),
    "hypot": (2, _hypot),
    "copysign": (2, _copysign),
    "nan_to_num": (1, _nan_to_num),
    "asin": (1, _over_root(1.0, -1.0, 1.0)),
    "acos": (1, _over_root(-1.0, -1.0, 1.0)),
    "asinh": (1, _over_root(1.0, 1.0, 1.0)),
    "acosh": (1, _over_root(1.0, 1.0, -1.0)),
    "atan": (1, _atan),
    "atanh": (1, _atanh),
    "atan2": (2, _atan2),
    "erfc": (1, _erfc),
    "sinc": (1, _sinc),
    "logit": (1, _logit),
    "logit_within": (3, _logit_within),
    "clamp": (3, _clamp),
    "hardtanh": (3, _between),
    "hardsigmoid": (1, _hardsigmoid),
    "hardswish": (1, _hardswish),
    "shrink": (2, _shrink),
    "elu": (4, _elu),
    "softplus": (3, _softplus),
    "log_sigmoid": (1, _log_sigmoid),
    "gelu": (1, _gelu),
    "gelu_tanh": (2, _gelu_tanh),
    "silu": (1, _silu),
    "mish": (2, _mish),
}
