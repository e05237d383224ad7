"""Arithmetic, comparisons and choices, element by element; see `activations` for the rest."""

from __future__ import annotations

from typing import Any

from cello.program.operations.activations import ACTIVATIONS, limited, own, trunc
from cello.program.operations.operation import Formula, Make, Operation

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


def _is_true(call: Make, x: Any) -> Any:
    return call("ne", x, 0.0)


def _two(formula: Formula, written: str | Formula = "") -> Operation:
    return Operation("pointwise", formula=formula, written=written)


def _primitive(name: str, written: str = "") -> Operation:
    return _two(lambda call, a, b: call(name, a, b), written)


def _spelled(formula: Formula) -> Operation:
    """Written in formulas as what it is made of."""
    return _two(formula, formula)


def _compare(name: str) -> Operation:
    return _spelled(lambda call, a, b: call(name, a, b))


POINTWISE: dict[str, Operation] = {
    **ACTIVATIONS,
    "add": _spelled(_add),
    "sub": _spelled(_sub),
    "rsub": _spelled(_rsub),
    "mul": _spelled(lambda call, a, b: call("mul", a, b)),
    "div": _two(_div, _div_written),
    "floor_divide": _two(lambda call, a, b: _div(call, a, b, "floor")),
    "fmod": _primitive("fmod"),
    "remainder": _two(_remainder),
    "pow": _two(_power, lambda call, a, b: call("pow", a, b)),
    "exp2": _two(lambda call, x: _power(call, 2.0, x)),
    "lerp": _two(_lerp, _lerp_written),
    "addcmul": _spelled(_addcmul),
    "addcdiv": _spelled(_addcdiv),
    "logaddexp": _two(_log_add_exp),
    "maximum": _primitive("max", "max"),
    "minimum": _primitive("min", "min"),
    "clamp": _two(_clamp, _clamp_written),
    "clamp_min": _spelled(lambda call, x, least: call("at_least", x, least)),
    "clamp_max": _spelled(lambda call, x, most: call("at_most", x, most)),
    **{name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    "logical_and": _primitive("and"),
    "logical_or": _primitive("or"),
    "logical_xor": _two(lambda call, a, b: call("ne", _is_true(call, a), _is_true(call, b))),
    "bitwise_and": _primitive("and"),
    "bitwise_or": _primitive("or"),
    "bitwise_xor": _primitive("ne"),
    "where": _spelled(lambda call, condition, a, b: call("where", condition, a, b)),
    "masked_fill": _spelled(lambda call, x, mask, value: call("where", mask, value, x)),
    "bernoulli": Operation("pointwise"),  # drawn before the loop
}
