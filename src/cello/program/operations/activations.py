"""The activations, and what else is one function of a number, made of primitives.

Most have the derivative that follows, primitive by primitive; where PyTorch's own differs at a
kink, at infinity or where numbers overflow, `own` puts that of `kernel.derivatives` in its place.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from cello.program.operations.operation import (
    Make,
    Operation,
    calling,
    own,
    pointwise,
    primitive,
    spelled,
    with_slope,
)

__all__ = ["ACTIVATIONS", "limited", "trunc"]


def limited(call: Make, x: Any, least: Any, most: Any) -> Any:
    """The nearest number to x between two bounds."""
    return call("at_most", call("at_least", x, least), most)


def trunc(call: Make, x: Any) -> Any:
    """The whole number towards 0."""
    return call("where", call("lt", x, 0.0), _ceil(call, x), call("floor", x))


def _ceil(call: Make, x: Any) -> Any:
    return call("neg", call("floor", call("neg", x)))


def _relu(call: Make, x: Any) -> Any:
    return call("where", call("le", x, 0.0), 0.0, x)


def _leaky_relu(call: Make, x: Any, negative_slope: float = 0.01) -> Any:
    return call("where", call("gt", x, 0.0), x, call("mul", x, negative_slope))


def _prelu(call: Make, x: Any, slope: Any) -> Any:
    return call("where", call("gt", x, 0.0), x, call("mul", slope, x))


def _elu(
    call: Make, x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Any:
    factors = scale, alpha * scale, input_scale
    below = call("mul", call("expm1", call("mul", x, factors[2])), factors[1])
    value = call("where", call("gt", x, 0.0), call("mul", x, factors[0]), below)
    return own(call, "elu", value, x, *factors)


def _celu(call: Make, x: Any, alpha: float = 1.0) -> Any:
    return _elu(call, x, alpha, 1.0, 1.0 / alpha)


def _softplus(call: Make, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    scaled = call("mul", x, beta)
    soft = call("div", call("log1p", call("exp", scaled)), beta)
    value = call("where", call("gt", scaled, threshold), x, soft)
    return own(call, "softplus", value, x, beta, threshold)


def _log_sigmoid(call: Make, x: Any) -> Any:
    rest = call("log1p", call("exp", call("neg", call("abs", x))))
    return own(call, "log_sigmoid", call("sub", call("min", x, 0.0), rest), x)


def _gelu(call: Make, x: Any, approximate: str = "none") -> Any:
    half = call("mul", x, 0.5)
    if approximate == "tanh":
        cube = call("mul", call("mul", call("mul", x, x), x), 0.044715)
        inner = call("mul", call("add", x, cube), math.sqrt(2 / math.pi))
        tanh = call("tanh", inner)
        return own(call, "gelu_tanh", call("mul", half, call("add", tanh, 1.0)), x, tanh)
    inner = call("erf", call("mul", x, math.sqrt(0.5)))
    return own(call, "gelu", call("mul", half, call("add", inner, 1.0)), x)


def _silu(call: Make, x: Any) -> Any:
    return own(call, "silu", call("mul", x, call("sigmoid", x)), x)


def _mish(call: Make, x: Any) -> Any:
    tanh = call("tanh", call("log1p", call("exp", x)))
    return own(call, "mish", call("mul", x, tanh), x, tanh)


def _hardsigmoid(call: Make, x: Any) -> Any:
    share = limited(call, call("add", x, 3.0), 0.0, 6.0)
    return own(call, "hardsigmoid", call("div", share, 6.0), x)


def _hardtanh(call: Make, x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    return own(call, "hardtanh", limited(call, x, min_val, max_val), x, min_val, max_val)


def _hardswish(call: Make, x: Any) -> Any:
    share = limited(call, call("add", x, 3.0), 0.0, 6.0)
    return own(call, "hardswish", call("div", call("mul", x, share), 6.0), x)


def _threshold(call: Make, x: Any, threshold: float, value: float) -> Any:
    return call("where", call("le", x, threshold), value, x)


def _hardshrink(call: Make, x: Any, lambd: float = 0.5) -> Any:
    inside = call("and", call("ge", x, -lambd), call("le", x, lambd))
    return own(call, "shrink", call("where", inside, 0.0, x), x, lambd)


def _softshrink(call: Make, x: Any, lambd: float = 0.5) -> Any:
    below = call("where", call("lt", x, -lambd), call("add", x, lambd), call("mul", x, 0.0))
    value = call("where", call("gt", x, lambd), call("sub", x, lambd), below)
    return own(call, "shrink", value, x, lambd)


def _logit(call: Make, x: Any, eps: float | None = None) -> Any:
    bounds = () if eps is None or eps < 0 else (eps, 1 - eps)
    part = limited(call, x, *bounds) if bounds else x
    value = call("log", call("div", part, call("sub", 1.0, part)))
    return own(call, "logit_within" if bounds else "logit", value, x, *bounds)


def _round(call: Make, x: Any, decimals: int = 0) -> Any:
    if decimals == 0:
        return call("rint", x)
    grown, back = ("mul", "div") if decimals > 0 else ("div", "mul")
    scale = 10.0 ** abs(decimals)
    return call("stop", call(back, call("rint", call(grown, x, scale)), scale))


def _sinc(call: Make, x: Any) -> Any:
    angle = call("mul", x, math.pi)
    value = call("where", call("eq", x, 0.0), 1.0, call("div", call("sin", angle), angle))
    return own(call, "sinc", value, x)


def _nan_to_num(
    call: Make,
    x: Any,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    dtype: torch.dtype,
) -> Any:
    most = torch.finfo(dtype).max
    most, least = most if posinf is None else posinf, -most if neginf is None else neginf
    value = call("where", call("eq", x, math.inf), most, x)
    value = call("where", call("eq", x, -math.inf), least, value)
    value = call("where", call("ne", x, x), nan or 0.0, value)
    return own(call, "nan_to_num", value, x)


def _log_to(base: int) -> Operation:
    factor = 1 / math.log(base)
    return pointwise(
        lambda call, x: own(call, f"log{base}", call("mul", call("log", x), factor), x)
    )


_PRIMITIVES = "abs exp expm1 log log1p sin cos tan sinh cosh erf floor"

ACTIVATIONS: dict[str, Operation] = {
    **{name: primitive(name) for name in _PRIMITIVES.split()},
    "sigmoid": replace(primitive("sigmoid"), bounds=(0.0, 1.0)),
    "tanh": replace(primitive("tanh"), bounds=(-1.0, 1.0)),
    **dict.fromkeys(("sign", "sgn"), primitive("sign")),
    **dict.fromkeys(("logical_not", "bitwise_not"), primitive("not")),
    **{name: spelled(calling(name)) for name in ("neg", "sqrt", "rsqrt", "reciprocal")},
    "log2": _log_to(2),
    "log10": _log_to(10),
    "ceil": pointwise(_ceil),
    "trunc": pointwise(trunc),
    "frac": pointwise(lambda call, x: call("sub", x, trunc(call, x))),
    "round": pointwise(_round),
    **{name: with_slope(name) for name in "erfc asin acos atan asinh acosh atanh".split()},
    "sinc": pointwise(_sinc),
    "deg2rad": pointwise(lambda call, x: call("mul", x, math.pi / 180)),
    "rad2deg": pointwise(lambda call, x: call("mul", x, 180 / math.pi)),
    "nan_to_num": pointwise(_nan_to_num),
    "isnan": pointwise(lambda call, x: call("ne", x, x)),
    "isinf": pointwise(lambda call, x: call("eq", call("abs", x), math.inf)),
    "logit": pointwise(_logit),
    "relu": pointwise(_relu),
    "leaky_relu": pointwise(_leaky_relu),
    "_prelu_kernel": pointwise(_prelu, "prelu"),
    "elu": pointwise(_elu),
    "celu": pointwise(_celu),
    "softplus": pointwise(_softplus),
    "log_sigmoid_forward": pointwise(_log_sigmoid, lambda call, x: call("log", call("sigmoid", x))),
    "gelu": pointwise(_gelu),
    "silu": pointwise(_silu),
    "mish": pointwise(_mish),
    "hardsigmoid": replace(pointwise(_hardsigmoid, "hard_sigmoid"), bounds=(0.0, 1.0)),
    "hardtanh": replace(pointwise(_hardtanh, "hard_tanh"), bounds=(-1.0, 1.0)),
    "hardswish": pointwise(_hardswish),
    "hardshrink": pointwise(_hardshrink),
    "softshrink": pointwise(_softshrink),
    "threshold": pointwise(_threshold),
}
