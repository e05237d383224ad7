"""Questions about formulas: whether one is fixed, linear, or depends on a single value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from cello.see.formulas.notation import (
    Choice,
    Compare,
    Expression,
    FunctionCall,
    MatrixProduct,
    Minus,
    Number,
    Part,
    Power,
    Product,
    Quotient,
    Root,
    Sum,
    Symbol,
    Transposed,
)

__all__ = [
    "changed",
    "is_arithmetic_of_one",
    "is_fixed",
    "is_linear",
    "is_linear_term",
    "parts",
    "symbols",
    "terms_of",
    "unsigned",
]

_ARITHMETIC = (
    Choice, Compare, MatrixProduct, Minus, Number, Part, Power, Product, Quotient, Root, Sum,
    Symbol, Transposed,
)  # fmt: skip


def parts(node: Expression) -> Iterator[Expression]:
    """The formulas that it is made of."""
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        inside = getattr(node, field.name)
        several = inside if isinstance(inside, tuple) else (inside,)
        yield from (part for part in several if isinstance(part, Expression))


def changed(node: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """The same formula of other parts."""
    new: dict[str, object] = {}
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        inside = getattr(node, field.name)
        if isinstance(inside, Expression):
            new[field.name] = change(inside)
        elif isinstance(inside, tuple):
            new[field.name] = tuple(change(p) if isinstance(p, Expression) else p for p in inside)
    return dataclasses.replace(node, **new)  # type: ignore[type-var]


def symbols(node: Expression) -> Iterator[str]:
    """The names of all values in it that are not parameters."""
    if isinstance(node, Symbol) and not node.fixed:
        yield node.name
    for part in parts(node):
        yield from symbols(part)


def is_fixed(node: Expression) -> bool:
    """Whether it is the same at every step: made of parameters and constants alone."""
    if isinstance(node, FunctionCall) and not node.arguments:  # random numbers
        return False
    if isinstance(node, Symbol):
        return node.fixed
    return all(map(is_fixed, parts(node)))


def unsigned(node: Expression) -> Expression:
    """Without the minus before it."""
    return node.part if isinstance(node, Minus) else node


def terms_of(node: Expression) -> tuple[Expression, ...]:
    """The terms of a sum; anything else is one term."""
    return node.terms if isinstance(node, Sum) else (node,)


def is_linear_term(node: Expression) -> bool:
    """Whether it is a value multiplied by parameters: W x, p ⊙ c or 0.1·(W x)."""
    node = unsigned(node)
    if isinstance(node, MatrixProduct):
        return is_fixed(node.matrix)
    if not isinstance(node, Product):
        return False
    values = [factor for factor in node.factors if not is_fixed(factor)]
    weights = [factor for factor in node.factors if is_fixed(factor)]
    if len(values) != 1:
        return False
    is_symbol = any(isinstance(weight, Symbol) for weight in weights)
    return is_linear_term(values[0]) or (is_symbol and isinstance(values[0], Symbol))


def is_linear(node: Expression) -> bool:
    """Whether it is a sum of linear terms and parameters."""
    terms = [term for term in terms_of(node) if not is_fixed(term)]
    return bool(terms) and all(map(is_linear_term, terms))


def is_arithmetic_of_one(node: Expression) -> bool:
    """Whether it is plain arithmetic with one value: 1 − z, 0.1·h or z / (|z| + 1)."""
    return len(set(symbols(node))) == 1 and not isinstance(node, Symbol) and _is_arithmetic(node)


def _is_arithmetic(node: Expression) -> bool:
    known = isinstance(node, _ARITHMETIC) or (isinstance(node, FunctionCall) and node.name == "abs")
    return known and all(map(_is_arithmetic, parts(node)))
