"""Arithmetic, comparisons and choices, element by element; see `activations` for the rest."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from cello.program.operations.activations import ACTIVATIONS, limited, trunc
from cello.program.operations.operation import (
    Formula,
    Make,
    Operation,
    calling,
    own,
    pointwise,
    primitive,
    spelled,
    with_slope,
)

__all__ = ["POINTWISE", "floor_divide", "power", "signs_differ"]


def _add(call: Make, a: Any, b: Any, alpha: float = 1) -> Any:
    return call("add", a, call("mul", b, alpha))


def _sub(call: Make, a: Any, b: Any, alpha: float = 1) -> Any:
    return call("sub", a, call("mul", b, alpha))


def _rsub(call: Make, a: Any, b: Any, alpha: float = 1) -> Any:
    return call("sub", b, call("mul", a, alpha))


def signs_differ(call: Make, rest: Any, b: Any) -> Any:
    """Whether `fmod(a, b)` has the other sign than b: then the quotient lies between two wholes."""
    other = call("ne", call("lt", rest, 0.0), call("lt", b, 0.0))
    return call("and", call("ne", rest, 0.0), other)


def floor_divide(call: Make, a: Any, b: Any) -> Any:
    """The whole number beneath a / b, of the exact quotient: a / b may be rounded up to a whole."""
    ratio, rest = call("div", a, b), call("fmod", a, b)
    whole = call("div", call("sub", a, rest), b)
    whole = call("where", signs_differ(call, rest, b), call("sub", whole, 1.0), whole)
    down = call("floor", whole)
    far = call("gt", call("sub", whole, down), 0.5)
    near = call("where", far, call("add", down, 1.0), down)
    zero = call("mul", ratio, 0.0)
    found = call("where", call("eq", whole, 0.0), zero, near)
    return call("where", call("eq", b, 0.0), ratio, found)


def _div(call: Make, a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return call("div", a, b)
    floor = rounding_mode == "floor"
    return call("stop", floor_divide(call, a, b) if floor else trunc(call, call("div", a, b)))


def _div_written(call: Make, a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    return call("div" if rounding_mode is None else "floor_divide", a, b)


def _remainder(call: Make, a: Any, b: Any) -> Any:
    rest = call("fmod", a, b)
    value = call("where", signs_differ(call, rest, b), call("add", rest, b), rest)
    return own(call, "remainder", value, a, b)


def power(call: Make, a: Any, b: Any) -> Any:
    """The value of a to the power of b; small powers are products and roots."""
    if b == 1:
        return a
    if b == 2:
        return call("mul", a, a)
    if b == 3:
        return call("mul", a, call("mul", a, a))
    if b == -1:
        return call("reciprocal", a)
    if b == 0.5:
        return call("sqrt", a)
    if b == -0.5:
        return call("rsqrt", a)
    return call("pow", a, b)


def _power(call: Make, a: Any, b: Any) -> Any:
    return own(call, "power", power(call, a, b), a, b)


def _clamp(call: Make, x: Any, min: Any = None, max: Any = None) -> Any:  # noqa: A002
    if max is None:
        return call("at_least", x, min)
    if min is None:
        return call("at_most", x, max)
    return own(call, "clamp", limited(call, x, min, max), x, min, max)


def _clamp_written(call: Make, x: Any, min: Any = None, max: Any = None) -> Any:  # noqa: A002
    if min is None or max is None:
        return _clamp(call, x, min, max)
    return call("clamp", x, min, max)


def _lerp(call: Make, a: Any, b: Any, weight: Any) -> Any:
    way, near = call("sub", b, a), call("lt", call("abs", weight), 0.5)
    from_a = call("add", a, call("mul", weight, way))
    from_b = call("sub", b, call("mul", way, call("sub", 1.0, weight)))
    return own(call, "lerp", call("where", near, from_a, from_b), a, b, weight)


def _lerp_written(call: Make, a: Any, b: Any, weight: Any) -> Any:
    return call("add", a, call("mul", weight, call("sub", b, a)))


def _addcmul(call: Make, a: Any, b: Any, c: Any, value: float = 1) -> Any:
    made = call("add", a, call("mul", call("mul", b, value), c))
    return own(call, "addcmul", made, a, b, c, value)


def _addcdiv(call: Make, a: Any, b: Any, c: Any, value: float = 1) -> Any:
    made = call("add", a, call("div", call("mul", b, value), c))
    return own(call, "addcdiv", made, a, b, c, value)


def _log_add_exp(call: Make, a: Any, b: Any) -> Any:
    apart = call("where", call("eq", a, b), 0.0, call("sub", a, b))  # infinities may be equal
    rest = call("log1p", call("exp", call("neg", call("abs", apart))))
    return own(call, "logaddexp", call("add", call("max", a, b), rest), a, b)


def _log_add_exp2(call: Make, a: Any, b: Any) -> Any:
    apart = call("where", call("eq", a, b), 0.0, call("sub", a, b))
    part = call("pow", 2.0, call("neg", call("abs", apart)))
    rest = call("mul", call("log1p", part), 1 / math.log(2))
    return own(call, "logaddexp2", call("add", call("max", a, b), rest), a, b)


def _x_log_y(call: Make, a: Any, b: Any) -> Any:
    value = call("where", call("eq", a, 0.0), 0.0, call("mul", a, call("log", b)))
    return own(call, "xlogy", call("where", call("ne", b, b), b, value), a, b)


def _heaviside(call: Make, x: Any, at_zero: Any) -> Any:
    beside = call("where", call("gt", x, 0.0), 1.0, 0.0)
    return call("stop", call("where", call("eq", x, 0.0), at_zero, beside))


def _better(compare: str) -> Formula:
    """The better of two, unless it is NaN; the first if they are equal."""

    def formula(call: Make, a: Any, b: Any) -> Any:
        return call("where", call("or", call(compare, a, b), call("ne", b, b)), a, b)

    return formula


def _squared_error(call: Make, a: Any, b: Any, _reduction: int = 1) -> Any:
    apart = call("sub", a, b)
    return own(call, "squared_error", call("mul", apart, apart), a, b)


def _smooth_error(call: Make, a: Any, b: Any, _reduction: int = 1, beta: float = 1.0) -> Any:
    apart = call("abs", call("sub", a, b))
    if beta == 0:
        return apart
    inner = call("div", call("mul", call("mul", apart, apart), 0.5), beta)
    value = call("where", call("lt", apart, beta), inner, call("sub", apart, 0.5 * beta))
    return own(call, "smooth_error", value, a, b, beta, 1.0, beta)


def _huber_error(call: Make, a: Any, b: Any, _reduction: int = 1, delta: float = 1.0) -> Any:
    apart = call("abs", call("sub", a, b))
    inner = call("mul", call("mul", apart, apart), 0.5)
    outer = call("mul", call("sub", apart, 0.5 * delta), delta)
    value = call("where", call("lt", apart, delta), inner, outer)
    return own(call, "smooth_error", value, a, b, delta, delta, 1.0)


def _is_true(call: Make, x: Any) -> Any:
    return call("ne", x, 0.0)


def _compare(name: str) -> Operation:
    return replace(spelled(calling(name)), whole=True)


POINTWISE: dict[str, Operation] = {
    **ACTIVATIONS,
    "add": spelled(_add),
    "sub": spelled(_sub),
    "rsub": spelled(_rsub),
    "mul": spelled(calling("mul")),
    "div": pointwise(_div, _div_written),
    "floor_divide": pointwise(lambda call, a, b: _div(call, a, b, "floor")),
    "fmod": primitive("fmod"),
    "remainder": pointwise(_remainder),
    "pow": pointwise(_power, calling("pow")),
    "exp2": pointwise(lambda call, x: _power(call, 2.0, x)),
    "lerp": pointwise(_lerp, _lerp_written),
    "addcmul": spelled(_addcmul),
    "addcdiv": spelled(_addcdiv),
    "logaddexp": pointwise(_log_add_exp),
    "logaddexp2": pointwise(_log_add_exp2),
    "xlogy": pointwise(_x_log_y),
    "heaviside": pointwise(_heaviside),
    **{name: with_slope(name) for name in ("atan2", "hypot", "copysign")},
    "fmax": pointwise(_better("ge")),
    "fmin": pointwise(_better("le")),
    "mse_loss": pointwise(_squared_error),
    "smooth_l1_loss": pointwise(_smooth_error),
    "huber_loss": pointwise(_huber_error),
    "maximum": primitive("max", "max"),
    "minimum": primitive("min", "min"),
    "clamp": replace(pointwise(_clamp, _clamp_written), whole=True),
    "clamp_min": replace(spelled(calling("at_least")), whole=True),
    "clamp_max": replace(spelled(calling("at_most")), whole=True),
    **{name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    "logical_and": primitive("and"),
    "logical_or": primitive("or"),
    "logical_xor": pointwise(lambda call, a, b: call("ne", _is_true(call, a), _is_true(call, b))),
    "bitwise_and": primitive("and"),
    "bitwise_or": primitive("or"),
    "bitwise_xor": primitive("ne"),
    "where": replace(spelled(calling("where")), whole=True),
    "masked_fill": spelled(lambda call, x, mask, value: call("where", mask, value, x)),
    "fill": spelled(lambda call, _a, value: call("copy", value)),
    "bernoulli": Operation("pointwise"),  # drawn before the loop
}
