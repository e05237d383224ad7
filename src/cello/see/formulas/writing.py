"""How an operation on numbers is written; the same for one unit with numbers and for symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cello.program import BATCH, Op, Program, Value, map_leaves, split
from cello.program.operations import OPERATIONS, argument, facts
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
    "along",
    "by_numbers",
    "called",
    "cut_off",
    "features",
    "fixed_values",
    "function",
    "is_pointwise",
    "multiply",
    "subtract",
    "write",
]


def fixed_values(program: Program) -> set[Value]:
    """Parameters, constants, and what is made of these alone: the same at every step."""
    made = (value for op in split(program).once for value in op.outputs)
    return {*program.parameters.values(), *program.constants, *made}


def cut_off(program: Program) -> set[Value]:
    """What the step detaches from what gradients would otherwise flow back through."""
    reached = {program.x, *program.state.values()}
    found: set[Value] = set()
    for op in program.ops:
        if not reached.isdisjoint(op.inputs):
            if op.target._opname == "detach":
                found.update(op.outputs)
            elif op.grad:
                real = (v for v in op.outputs if v.dtype.is_floating_point or v.dtype.is_complex)
                reached.update(real)
    return found


#: The parts of a complex number, as they lie.
PARTS = ("Re", "Im")


def is_pointwise(op: Op) -> bool:
    """Whether it works unit by unit."""
    return facts(op).kind == "pointwise" or op.target._opname == "complex"


def write(op: Op, of: Callable[[Value], Expression]) -> Expression:
    """`op`, which works unit by unit, on what `of` writes for the values that go into it."""

    def expression(argument: Any) -> Any:
        return of(argument) if isinstance(argument, Value) else argument

    written = facts(op).written
    if not isinstance(written, str):  # the very formula that a fused loop computes
        args, kwargs = map_leaves(expression, (op.args, op.kwargs))
        return _expression(written(_spelled_out, *args, **kwargs))
    given = [*op.args, *(a for key, a in op.kwargs.items() if key not in _HIDDEN)]
    shown = [_expression(expression(a)) for a in given if a is not None]
    return function(op.target._opname, shown)


_NUMBERS = (bool, int, float, complex)
_HIDDEN = {"dtype", "device", "layout", "pin_memory", "memory_format"}


def _expression(argument: Any) -> Expression:
    if isinstance(argument, Expression):
        return argument
    return Number(argument) if isinstance(argument, _NUMBERS) else Symbol(str(argument))


def function(name: str, arguments: Sequence[Expression], dim: tuple[int, ...] = ()) -> FunctionCall:
    """A function by PyTorch's name for it."""
    entry = OPERATIONS.get(name)
    written = entry.written if entry is not None else ""
    shown = written if written and isinstance(written, str) else name
    return FunctionCall(shown, tuple(arguments), dim)


#: What each result is, of operations with several.
_RESULTS = {
    **{name: (name, f"arg{name}") for name in ("max", "min")},
    "aminmax": ("min", "max"),
    "var_mean": ("var", "mean"),
    "std_mean": ("std", "mean"),
}


def called(
    op: Op, value: Value, arguments: Sequence[Expression], dim: tuple[int, ...] = ()
) -> Expression:
    """The function by which the operation makes this one of its results."""
    names = _RESULTS.get(op.target._opname) if len(op.outputs) > 1 else None
    name = names[op.outputs.index(value)] if names else op.target._opname
    return function(name, arguments, dim)


def features(value: Value) -> list[int]:
    """The axes of a value beside that of the batch."""
    return [axis for axis, size in enumerate(value.shape) if size is not BATCH]


def along(op: Op, value: Value) -> tuple[int, ...]:
    """The axes that the operation works along, counted from the last; none if there is no other."""
    widest = max(*op.inputs, value, key=lambda part: len(part.shape))
    rank, known = len(widest.shape), features(widest)
    if facts(op).rule == "layer_norm":
        given: Any = range(-len(op.args[1]), 0)
    else:
        names = [part.name for part in op.target._schema.arguments]
        name = next((name for name in ("dim", "dims") if name in names), None)
        given = None if name is None else argument(op, names.index(name), name)
    axes = sorted(axis % rank for axis in ([given] if isinstance(given, int) else given or ()))
    return () if axes == known or len(known) < 2 else tuple(axis - rank for axis in axes)


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


def _times(a: Any, b: Any) -> Any:
    if isinstance(b, _NUMBERS):
        if isinstance(a, _NUMBERS):
            return a * b
        return _expression(a) if b == 1 else multiply(Number(b), _expression(a))
    return multiply(_expression(a), b)


def _plus(a: Any, b: Any) -> Expression:
    if isinstance(b, _NUMBERS) and b == 0:  # with which Python's sum begins
        return _expression(a)
    return add(_expression(a), _expression(b))


def _spelled_out(name: str, *args: Any) -> Any:
    """A primitive, for the formulas of operations that are written as what they are made of."""
    if name == "add":
        return _plus(*args)
    if name == "mul":
        return _times(*args)
    if name.endswith("'") or name in (
        "stop",
        "copy",
    ):  # the first argument, with another derivative
        return _expression(args[0])
    shown = tuple(map(_expression, args))
    if name in _SIGNS:
        return Compare(_SIGNS[name], *shown)
    return _SIGNS_OF[name](*shown) if name in _SIGNS_OF else FunctionCall(name, shown)


_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_SIGNS_OF: dict[str, Callable[..., Expression]] = {
    "sub": subtract,
    "div": Quotient,
    "neg": Minus,
    "pow": Power,
    "where": Choice,
    "sqrt": Root,
    "rsqrt": lambda x: Quotient(Number(1), Root(x)),
    "reciprocal": lambda x: Quotient(Number(1), x),
    "at_least": lambda x, bound: FunctionCall("max", (x, bound)),
    "at_most": lambda x, bound: FunctionCall("min", (x, bound)),
}
