"""The Triton of each pointwise function, and names that it allows."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Collection

from cello.program.kernel.primitives import PRIMITIVES

__all__ = ["EXPRESSIONS", "identifier", "number"]

# Arguments are blocks of rows and features; those of and, or, not and the first of where are masks.
EXPRESSIONS: dict[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "copy": "{}",
    "stop": "{}",
    "abs": "tl.abs({})",
    "sign": "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, 0.0))",
    "floor": "tl.floor({})",
    "max": "v_greater({}, {})",
    "min": "v_less({}, {})",
    "at_least": "tl.where(({0} < {1}) | ({1} != {1}), {1}, {0})",
    "at_most": "tl.where(({0} > {1}) | ({1} != {1}), {1}, {0})",
    "where": "tl.where({}, {}, {})",
    "share": "tl.where({2} == {2}, {0}, {1})",
    "exp": "tl.exp({})",
    "log": "tl.log({})",
    "sqrt": "tl.sqrt({})",
    "rsqrt": "1.0 / tl.sqrt({})",
    "reciprocal": "1.0 / {}",
    "sin": "tl.sin({})",
    "cos": "tl.cos({})",
    "sigmoid": "1.0 / (1.0 + tl.exp(-{}))",
    "erf": "tl.erf({})",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "{} == 0",
    "feature": "{columns}.to(tl.float32)",
}
for _name, _primitive in PRIMITIVES.items():
    _own = "{0}" if _primitive.passes else f"v_{_name}({', '.join(['{}'] * _primitive.arguments)})"
    EXPRESSIONS.setdefault(_name, _own)

_OWN = frozenset("triton tl float int min max abs range s t row seq active has rows".split())


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """`name` as Triton has it, different from all that are taken."""
    plain = re.sub(r"\W", lambda found: f"u{ord(found[0]):x}", name, flags=re.ASCII).lstrip("_")
    plain = plain if re.match(r"[A-Za-z]", plain) else f"v{plain}"
    if keyword.iskeyword(plain) or plain in _OWN or plain.startswith(("v_", "p_", "c_")):
        plain = f"n_{plain}"
    unique, serial = plain, 1
    while unique in taken:
        serial += 1
        unique = f"{plain}_{serial}"
    return unique


def number(value: float) -> str:
    """A number."""
    return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'
