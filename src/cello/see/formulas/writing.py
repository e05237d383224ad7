"""How an operation on numbers is written; the same for one unit with numbers and for symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from cello.program import Op, Program, Value, split
from cello.program.operations import OPERATIONS
from cello.program.operations import is_pointwise as has_tag
from cello.see.formulas.notation import (
    Choice,
    Compare,
    Expression,
    FunctionCall,
    Minus,
    Number,
    Power,
    Product,
    Quotient,
    Root,
    Sum,
    Symbol,
)

__all__ = [
    "PARTS",
    "add",
    "by_numbers",
    "fixed_values",
    "function",
    "is_pointwise",
    "log_sigmoid",
    "multiply",
    "subtract",
    "write",
]


def fixed_values(program: Program) -> set[Value]:
    """Parameters, constants, and what is made of these alone: the same at every step."""
    made = (value for op in split(program).once for value in op.outputs)
    return {*program.parameters.values(), *program.constants, *made}


#: The parts of a complex number, as they lie.
PARTS = ("Re", "Im")


def is_pointwise(op: Op) -> bool:
    """Whether it works unit by unit."""
    return has_tag(op) or op.target._opname == "complex"


def write(op: Op, of: Callable[[Value], Expression]) -> Expression:
    """`op`, which works unit by unit, on what `of` writes for the values that go into it."""

    def expression(argument: Any) -> Expression:
        if isinstance(argument, Value):
            return of(argument)
        if isinstance(argument, _NUMBERS):
            return Number(argument)
        return Symbol(str(argument))

    writer = _WRITERS.get(op.target._opname)
    if writer is not None:
        return writer(op, [expression(a) if a is not None else None for a in op.args])
    shown = [expression(a) for a in op.args if a is not None]
    shown += [expression(a) for key, a in op.kwargs.items() if key not in _HIDDEN and a is not None]
    return function(op.target._opname, shown)


_NUMBERS = (bool, int, float, complex)
_HIDDEN = {"dtype", "device", "layout", "pin_memory", "memory_format"}


def function(name: str, arguments: Sequence[Expression]) -> Expression:
    """A function by PyTorch's name for it."""
    entry = OPERATIONS.get(name)
    return FunctionCall((entry and entry.written) or name, tuple(arguments))


def log_sigmoid(argument: Expression) -> Expression:
    """The logarithm of the sigmoid, which PyTorch computes in one."""
    return FunctionCall("log", (FunctionCall("sigmoid", (argument,)),))


def by_numbers(op: Op) -> Expression:
    """What is made from no other value, such as random numbers: with what it is made by."""
    numbers = [Number(a) for a in op.args if isinstance(a, _NUMBERS)]
    return function(op.target._opname, numbers)


def add(*terms: Expression) -> Expression:
    """The sum: sums inside become part of it, a bias goes to the end, a bias of 0 goes."""
    flat = [part for term in terms for part in _terms(term)]
    last = [part for part in flat if isinstance(part, (Number, Symbol)) and part.fixed]
    shown: list[Expression] = [part for part in flat if part not in last]
    shown += [part for part in last if not (isinstance(part, Number) and part.value == 0)]
    shown.extend([] if shown else last[:1])
    return shown[0] if len(shown) == 1 else Sum(tuple(shown))


def _terms(expression: Expression) -> tuple[Expression, ...]:
    return expression.terms if isinstance(expression, Sum) else (expression,)


def subtract(first: Expression, second: Expression) -> Expression:
    """The difference."""
    return Sum((*_terms(first), Minus(second)))


def multiply(*factors: Expression) -> Expression:
    """The product; products inside become part of it."""
    flat: list[Expression] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Product) else [factor])
    return Product(tuple(flat))


def _plus(op: Op, args: list[Any]) -> Expression:
    if isinstance(op.args[1], (int, float)) and op.args[1] == 0:  # with which Python's sum begins
        return cast(Expression, args[0])
    alpha = op.kwargs.get("alpha", op.args[2] if len(op.args) > 2 else 1)
    return add(args[0], args[1] if alpha == 1 else multiply(Number(alpha), args[1]))


def _minus(op: Op, args: list[Any]) -> Expression:
    alpha = op.kwargs.get("alpha", op.args[2] if len(op.args) > 2 else 1)
    return subtract(args[0], args[1] if alpha == 1 else multiply(Number(alpha), args[1]))


def _minus_from(op: Op, args: list[Any]) -> Expression:
    alpha = op.kwargs.get("alpha", op.args[2] if len(op.args) > 2 else 1)
    return subtract(args[1], args[0] if alpha == 1 else multiply(Number(alpha), args[0]))


def _times(op: Op, args: list[Any]) -> Expression:
    if isinstance(op.args[1], Value):
        return multiply(*args[:2])
    return args[0] if op.args[1] == 1 else multiply(args[1], args[0])


def _divided(op: Op, args: list[Any]) -> Expression:
    if op.kwargs.get("rounding_mode") is not None:
        return FunctionCall("floor_divide", tuple(args[:2]))
    return Quotient(args[0], args[1])


def _power(_op: Op, args: list[Any]) -> Expression:
    return Power(args[0], args[1])


def _compare(sign: str) -> Callable[[Op, list[Any]], Expression]:
    return lambda _op, args: Compare(sign, args[0], args[1])


def _choice(_op: Op, args: list[Any]) -> Expression:
    return Choice(args[0], args[1], args[2])


def _clamp(_op: Op, args: list[Any]) -> Expression:
    low, high = (*args[1:], None)[:2]
    if low is None:
        return FunctionCall("min", (args[0], high))
    return (
        FunctionCall("max", (args[0], low))
        if high is None
        else FunctionCall("clamp", (args[0], low, high))
    )


def _add_product(op: Op, args: list[Any]) -> Expression:
    value = op.kwargs.get("value", 1)
    factors = args[1:3] if value == 1 else [Number(value), *args[1:3]]
    return add(args[0], multiply(*factors))


def _between(_op: Op, args: list[Any]) -> Expression:
    return add(args[0], multiply(args[2], subtract(args[1], args[0])))


_WRITERS: dict[str, Callable[[Op, list[Any]], Expression]] = {
    "add": _plus,
    "sub": _minus,
    "rsub": _minus_from,
    "mul": _times,
    "div": _divided,
    "neg": lambda _op, args: Minus(args[0]),
    "pow": _power,
    "square": lambda _op, args: Power(args[0], Number(2)),
    "reciprocal": lambda _op, args: Quotient(Number(1), args[0]),
    "sqrt": lambda _op, args: Root(args[0]),
    "rsqrt": lambda _op, args: Quotient(Number(1), Root(args[0])),
    "where": _choice,
    "clamp": _clamp,
    "addcmul": _add_product,
    "lerp": _between,
    "eq": _compare("=="),
    "ne": _compare("!="),
    "lt": _compare("<"),
    "le": _compare("<="),
    "gt": _compare(">"),
    "ge": _compare(">="),
}
