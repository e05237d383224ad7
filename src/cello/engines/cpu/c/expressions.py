"""Each pointwise function as C and as JavaScript writes it, and names that C allows."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from functools import cache

from cello.engines.cpu.c.prelude import driver, prelude
from cello.engines.fused.words import ALIKE, free_name

__all__ = ["EXPRESSIONS", "JAVASCRIPT", "identifier", "number", "scalar"]

#: Arguments are vectors; those of and, or, not and the first of where are masks.
EXPRESSIONS = ALIKE | {
    "at_least": "select((mask)({0} < {1}) | is_nan({1}), {1}, {0})",
    "at_most": "select((mask)({0} > {1}) | is_nan({1}), {1}, {0})",
    "where": "select({}, {}, {})",
    "share": "select((mask)({2} == {2}), {0}, {1})",
    "rsqrt": "v_recip(v_sqrt({}))",
    "reciprocal": "v_recip({})",
    "lt": "(mask)({} < {})",
    "le": "(mask)({} <= {})",
    "gt": "(mask)({} > {})",
    "ge": "(mask)({} >= {})",
    "eq": "(mask)({} == {})",
    "ne": "(mask)({} != {})",
    "not": "~{}",
    "feature": "splat((real)unit) + lane_numbers()",
}

#: The same in JavaScript, number by number; a mask is true or false there.
JAVASCRIPT = EXPRESSIONS | {
    "at_least": "({0} < {1} || {1} !== {1} ? {1} : {0})",
    "at_most": "({0} > {1} || {1} !== {1} ? {1} : {0})",
    "where": "({} ? {} : {})",
    "share": "({2} === {2} ? {0} : {1})",
    "lt": "({} < {})",
    "le": "({} <= {})",
    "gt": "({} > {})",
    "ge": "({} >= {})",
    "eq": "({} === {})",
    "ne": "({} !== {})",
    "and": "({} && {})",
    "or": "({} || {})",
    "not": "!{}",
    "feature": "unit",
}

# Keywords, what a region's function has itself, and words that compilers know without a header.
_OWN = """
    asm auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch typedef typeof
    union unsigned void volatile while real vec mask whole kernel team at row seq unit left sum
    first count block blocks tiles rows r u from to main linux unix i386 exp log sin cos tan abs j0
    j1 jn y0 y1 yn gamma round index div time signal times
"""


@cache
def _reserved() -> frozenset[str]:
    """Names that would hide what stands in front of every kernel: its functions and macros."""
    front = prelude() + driver()
    called = re.findall(r"\b([A-Za-z]\w+)\s*\(|#define\s+([A-Za-z]\w+)", front)
    return frozenset(_OWN.split()).union(name for pair in called for name in pair if name)


_MACRO = re.compile(r"[A-Z][A-Z0-9_]+")  # so macros are named, ours and those of the headers


def _is_reserved(name: str) -> bool:
    """Whether C, or what stands in front of every kernel, has the name already."""
    return name in _reserved() or name.startswith("v_") or bool(_MACRO.fullmatch(name))


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """`name` as C has it, different from all that are taken."""
    return free_name(name, taken, _is_reserved)


def scalar(value: float) -> str:
    """A number."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"(real){value!r}"


def number(value: float) -> str:
    """A number as a vector."""
    return f"splat({scalar(value)})"
