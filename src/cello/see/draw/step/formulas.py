"""Questions about formulas: whether one is fixed, linear, or depends on a single value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from cello.see.formulas.notation import (
    Apply,
    Choice,
    Compare,
    FunctionCall,
    Minus,
    Node,
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
    Apply, Choice, Compare, Minus, Number, Part, Power, Product, Quotient, Root, Sum, Symbol,
    Transposed,
)  # fmt: skip


def parts(node: Node) -> Iterator[Node]:
    """The formulas that it is made of."""
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        inside = getattr(node, field.name)
        several = inside if isinstance(inside, tuple) else (inside,)
        yield from (part for part in several if isinstance(part, Node))


def changed(node: Node, change: Callable[[Node], Node]) -> Node:
    """The same formula of other parts."""
    new: dict[str, object] = {}
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        inside = getattr(node, field.name)
        if isinstance(inside, Node):
            new[field.name] = change(inside)
        elif isinstance(inside, tuple):
            new[field.name] = tuple(change(p) if isinstance(p, Node) else p for p in inside)
    return dataclasses.replace(node, **new)  # type: ignore[type-var]


def symbols(node: Node) -> Iterator[str]:
    """The names of all values in it that are not parameters."""
    if isinstance(node, Symbol) and not node.fixed:
        yield node.name
    for part in parts(node):
        yield from symbols(part)


def is_fixed(node: Node) -> bool:
    """Whether it is the same at every step: made of parameters and constants alone."""
    if isinstance(node, FunctionCall) and not node.arguments:  # random numbers
        return False
    if isinstance(node, Symbol):
        return node.fixed
    return all(map(is_fixed, parts(node)))


def unsigned(node: Node) -> Node:
    """Without the minus before it."""
    return node.part if isinstance(node, Minus) else node


def terms_of(node: Node) -> tuple[Node, ...]:
    """The terms of a sum; anything else is one term."""
    return node.terms if isinstance(node, Sum) else (node,)


def is_linear_term(node: Node) -> bool:
    """Whether it is a value multiplied by parameters: W x, p ⊙ c or 0.1·(W x)."""
    node = unsigned(node)
    if isinstance(node, Apply):
        return is_fixed(node.matrix)
    if not isinstance(node, Product):
        return False
    values = [factor for factor in node.factors if not is_fixed(factor)]
    weights = [factor for factor in node.factors if is_fixed(factor)]
    if len(values) != 1:
        return False
    is_symbol = any(isinstance(weight, Symbol) for weight in weights)
    return is_linear_term(values[0]) or (is_symbol and isinstance(values[0], Symbol))


def is_linear(node: Node) -> bool:
    """Whether it is a sum of linear terms and parameters."""
    terms = [term for term in terms_of(node) if not is_fixed(term)]
    return bool(terms) and all(map(is_linear_term, terms))


def is_arithmetic_of_one(node: Node) -> bool:
    """Whether it is plain arithmetic with one value: 1 − z, 0.1·h or z / (|z| + 1)."""
    return len(set(symbols(node))) == 1 and not isinstance(node, Symbol) and _is_arithmetic(node)


def _is_arithmetic(node: Node) -> bool:
    known = isinstance(node, _ARITHMETIC) or (isinstance(node, FunctionCall) and node.name == "abs")
    return known and all(map(_is_arithmetic, parts(node)))
