"""The Triton of each pointwise function, and names that it allows."""

from __future__ import annotations

import keyword
import math
from collections.abc import Collection

from cello.engines.fused.words import ALIKE, free_name

__all__ = ["EXPRESSIONS", "identifier", "number"]

#: Arguments are blocks of rows and features; where C has masks, there are blocks of truths.
EXPRESSIONS = ALIKE | {
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
    "not": "{} == 0",
    "feature": "{columns}.to(tl.float32)",
}

_OWN = frozenset(
    "triton tl float int min max abs range s t row seq active has rows fed resets before "
    "row_before first size first_before size_before T N".split()
)


def _is_reserved(name: str) -> bool:
    """Whether Triton, or a loop around it, has the name already."""
    return keyword.iskeyword(name) or name in _OWN or name.startswith(("v_", "p_", "c_"))


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """`name` as Triton has it, different from all that are taken."""
    return free_name(name, taken, _is_reserved)


def number(value: float) -> str:
    """A number."""
    return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'
