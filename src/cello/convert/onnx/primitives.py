"""The ONNX of each primitive that formulas are made of; see `cello.program.kernel.primitives`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cello.program.kernel.primitives import PRIMITIVES

__all__ = ["FUNCTIONS", "exact_sigmoid"]

#: `put("Add", a, b)` writes a node; numbers among the operands become constants.
Put = Callable[..., Any]


def _compared(operator: str) -> Callable[..., Any]:
    return lambda put, a, b: put("Where", put("Or", put(operator, a, b), put("IsNaN", b)), b, a)


def exact_sigmoid(put: Put, x: Any) -> Any:
    """1 / (1 + exp(−x)): ONNX Runtime's Sigmoid is 0 from −18 on, where some steps divide by it."""
    return put("Reciprocal", put("Add", put("Exp", put("Neg", x)), 1.0))


def _expm1(put: Put, x: Any) -> Any:
    """tanh(x / 2) · (exp(x) + 1), which loses nothing near 0."""
    return put("Mul", put("Tanh", put("Mul", x, 0.5)), put("Add", put("Exp", x), 1.0))


def _log1p(put: Put, x: Any) -> Any:
    """By W. Kahan: log(u) · x / (u − 1) of u = 1 + x as it was rounded."""
    u = put("Add", x, 1.0)
    ratio = put("Div", x, put("Sub", u, 1.0))
    made = put("Where", put("Equal", u, math.inf), u, put("Mul", put("Log", u), ratio))
    return put("Where", put("Equal", u, 1.0), x, made)


def _is_negative(put: Put, x: Any) -> Any:
    """Whether it has a minus sign, as -0 has."""
    return put("Or", put("Less", x, 0.0), put("Less", put("Reciprocal", x), 0.0))


def _copysign(put: Put, a: Any, b: Any) -> Any:
    size = put("Abs", a)
    return put("Where", _is_negative(put, b), put("Neg", size), size)


def _atan2(put: Put, y: Any, x: Any) -> Any:
    inner = put("Atan", put("Div", y, x))
    half = _copysign(put, math.pi, y)
    turned = put("Add", inner, half)
    origin = put("Where", _is_negative(put, x), half, y)
    upright = put("Where", put("Equal", y, 0.0), origin, _copysign(put, math.pi / 2, y))
    beside = put("Where", put("Less", x, 0.0), turned, inner)
    return put("Where", put("Equal", x, 0.0), upright, beside)


def _hypot(put: Put, a: Any, b: Any) -> Any:
    return put("Sqrt", put("Add", put("Mul", a, a), put("Mul", b, b)))


def _first(_put: Put, a: Any, *_rest: Any) -> Any:
    return a


_OPERATORS = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "abs": "Abs",
    "sign": "Sign", "floor": "Floor", "max": "Max", "min": "Min", "where": "Where", "exp": "Exp",
    "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "sigmoid": "Sigmoid",
    "erf": "Erf", "asin": "Asin", "acos": "Acos", "atan": "Atan", "asinh": "Asinh",
    "acosh": "Acosh", "atanh": "Atanh", "rint": "Round", "pow": "Pow", "lt": "Less",
    "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "eq": "Equal", "and": "And",
    "or": "Or", "not": "Not",
}  # fmt: skip


def _operator(name: str) -> Callable[..., Any]:
    return lambda put, *args: put(name, *args)


#: Each of (put, arguments). "feature", which has no argument to speak of, is the step's own affair.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _operator(operator) for name, operator in _OPERATORS.items()},
    **{name: _first for name, entry in PRIMITIVES.items() if entry.passes},
    **dict.fromkeys(("copy", "stop", "share"), _first),
    "at_least": _compared("Less"),
    "at_most": _compared("Greater"),
    "ne": lambda put, a, b: put("Not", put("Equal", a, b)),
    "fmod": lambda put, a, b: put("Mod", a, b, fmod=1),
    "rsqrt": lambda put, x: put("Reciprocal", put("Sqrt", x)),
    "expm1": _expm1,
    "log1p": _log1p,
    "erfc": lambda put, x: put("Sub", 1.0, put("Erf", x)),
    "copysign": _copysign,
    "atan2": _atan2,
    "hypot": _hypot,
}
