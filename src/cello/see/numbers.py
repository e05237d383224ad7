"""How a number is shown, with few digits; and the check that a number is a whole one."""

from __future__ import annotations

import math
import operator
from typing import Any

from cello.errors import DtypeError

__all__ = ["short", "whole"]


def short(value: float | complex | bool, digits: int = 5) -> str:
    """`value` with at most `digits` significant digits; very small and very large ones shorter.

    >>> [short(v) for v in (3.0, 6.999501, -0.25, 4.5397868702e-05, 1234567.0, True, 2 - 1j)]
    ['3', '6.9995', '-0.25', '4.54e-5', '1.23e6', '1', '2-1i']
    """
    if isinstance(value, complex):
        imaginary = short(value.imag, digits)
        sign = "" if imaginary.startswith("-") else "+"
        return f"{short(value.real, digits)}{sign}{imaginary}i"
    if isinstance(value, (bool, int)):
        return str(int(value))
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size == 0:
        return "0"
    if not 1e-3 <= size < 1e6:
        mantissa, exponent = f"{value:.{max(digits - 3, 0)}e}".split("e")
        return f"{_trimmed(mantissa)}e{int(exponent)}"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    return _trimmed(f"{value:.{decimals}f}")


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def whole(argument: str, number: Any) -> int:
    """`number` if it is a whole one.

    Raises:
        DtypeError: it is not; names the argument.
    """
    try:
        if not isinstance(number, bool):
            return operator.index(number)
    except TypeError:
        pass
    raise DtypeError(f"{argument} must be a whole number, got {number!r}")
