"""Functions of numbers that Triton's language lacks, for what a fused loop computes on a GPU.

What has a formula that keeps float32's accuracy is written in Triton; the rest is libdevice's,
which comes with it. Triton's interpreter, on which tests run without a GPU, has no libdevice: there
NumPy computes the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import triton
import triton.language as tl
from triton.language.extra import libdevice

__all__ = ["FUNCTIONS", "is_interpreted"]


def is_interpreted() -> bool:
    """Whether Triton's functions run on its interpreter (TRITON_INTERPRET=1), without a GPU."""
    return bool(triton.knobs.runtime.interpret)


@triton.jit
def v_tanh(x):
    """Near 0 a minimax polynomial (Cephes), elsewhere of e^-2|x|."""
    a, z = tl.abs(x), x * x
    e = tl.exp(-2.0 * a)
    far = (1.0 - e) / (1.0 + e)
    p = (-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2
    near = ((p * z + 1.33314422036e-1) * z - 3.33332819422e-1) * z * x + x
    return tl.where(a < 0.625, near, tl.where(x < 0, -far, far))


@triton.jit
def v_expm1(x):
    """Near 0 Taylor's series, which keeps what e^x - 1 loses."""
    p = ((x / 5040.0 + 1.0 / 720.0) * x + 1.0 / 120.0) * x + 1.0 / 24.0
    near = ((p * x + 1.0 / 6.0) * x + 0.5) * x * x + x
    return tl.where(tl.abs(x) < 0.4, near, tl.exp(x) - 1.0)


@triton.jit
def v_log1p(x):
    """The logarithm of u = 1 + x rounded, and what the rounding lost."""
    u = 1.0 + x
    lost = (x - (u - 1.0)) / u
    y = tl.log(u) + tl.where((x > -1.0) & (x < 1e30), lost, 0.0)
    return tl.where(x == 0, x, y)


@triton.jit
def v_sinh(x):
    y = v_expm1(tl.abs(x))
    half = tl.where(y < 1e30, 0.5 * (y + y / (y + 1.0)), 0.5 * y)
    return tl.where(x < 0, -half, half)


@triton.jit
def v_cosh(x):
    e = tl.exp(tl.abs(x))
    return 0.5 * (e + 1.0 / e)


@triton.jit
def v_asinh(x):
    a = tl.abs(x)
    y = tl.where(
        a < 1e9, v_log1p(a + a * a / (1.0 + tl.sqrt(a * a + 1.0))), tl.log(a) + 0.6931471805599453
    )
    return tl.where(x < 0, -y, y)


@triton.jit
def v_acosh(x):
    t = x - 1.0
    return tl.where(x < 1e9, v_log1p(t + tl.sqrt(t * (t + 2.0))), tl.log(x) + 0.6931471805599453)


@triton.jit
def v_atanh(x):
    a = tl.abs(x)
    y = 0.5 * v_log1p(2.0 * a / (1.0 - a))
    return tl.where(x < 0, -y, y)


@triton.jit
def v_greater(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def v_less(a, b):
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


def _with_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of libdevice's on the interpreter, whose tensors hold arrays of NumPy's."""
    from triton.runtime.interpreter import TensorHandle

    def computed(*args: Any) -> Any:
        args = tl.broadcast(*args) if len(args) > 1 else args
        with np.errstate(all="ignore"):
            found = function(*(arg.handle.data for arg in args)).astype(np.float32)
        return tl.tensor(TensorHandle(found, args[0].handle.dtype), args[0].type)

    return computed


def _erfc(x: Any) -> Any:
    import torch

    return torch.special.erfc(torch.from_numpy(np.ascontiguousarray(x))).numpy()


def _pow(x: Any, y: Any) -> Any:
    import torch

    both = (torch.from_numpy(np.ascontiguousarray(part)) for part in (x, y))
    return torch.pow(*both).numpy()


_LIBDEVICE: dict[str, Callable[..., Any]] = {
    "rint": np.rint,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "erfc": _erfc,
    "pow": _pow,
    "fmod": np.fmod,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "copysign": np.copysign,
}

#: What the text of a loop names.
FUNCTIONS: dict[str, Any] = {
    "triton": triton,
    "tl": tl,
    **{
        f.__name__ if hasattr(f, "__name__") else f.fn.__name__: f
        for f in (
            v_tanh, v_expm1, v_log1p, v_sinh, v_cosh, v_asinh, v_acosh, v_atanh, v_greater, v_less,
        )
    },
    **{
        f"v_{name}": _with_numpy(computed) if is_interpreted() else getattr(libdevice, name)
        for name, computed in _LIBDEVICE.items()
    },
}  # fmt: skip
