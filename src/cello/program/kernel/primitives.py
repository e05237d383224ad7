"""The pointwise functions that a fused loop has, and their derivatives.

What is not here is made of these: see `cello.program.operations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cello.program.kernel.derivatives import SLOPES, Slope
from cello.program.kernel.nodes import Graph, Node
from cello.program.operations.activations import trunc

__all__ = ["PRIMITIVES", "Primitive"]

Cotangents = tuple[Node | None, ...]
Derivative = Callable[[Graph, "tuple[Node, ...]", Node, Node], Cotangents]


@dataclass(frozen=True)
class Primitive:
    """A pointwise function.

    Attributes:
        arguments: how many it takes.
        derivative: of (graph, arguments, the result, its cotangent): the cotangent of each
            argument, None where there is none.
        cheap: whether computing it again costs no more than reading its result from memory.
        is_bool: whether the result is 0 or 1.
        passes: whether the result is the first argument: it is there for its derivative.
        truths: how many of the first arguments are read as true or false.
    """

    arguments: int
    derivative: Derivative | None = None
    cheap: bool = True
    is_bool: bool = False
    passes: bool = False
    truths: int = 0


def _unary(function: Callable[[Graph, Node, Node], Node | None], cheap: bool = False) -> Primitive:
    """`function(graph, argument, result)` is the factor."""

    def derivative(graph: Graph, args: tuple[Node, ...], y: Node, g: Node) -> Cotangents:
        factor = function(graph, args[0], y)
        return (None if factor is None else graph.call("mul", g, factor),)

    return Primitive(1, derivative, cheap)


def _passing(arguments: int, slope: Slope) -> Primitive:
    """The first argument, with the derivative of an operation of the others."""

    def derivative(graph: Graph, args: tuple[Node, ...], y: Node, g: Node) -> Cotangents:
        found = slope(graph.call, y, g, *args[1:])
        return (None, *found, *[None] * (arguments - len(found)))

    return Primitive(1 + arguments, derivative, passes=True)


def _divide(graph: Graph, args: tuple[Node, ...], y: Node, g: Node) -> Cotangents:
    less = graph.call("mul", graph.call("neg", g), graph.call("div", y, args[1]))
    return graph.call("div", g, args[1]), less


def _fmod(graph: Graph, args: tuple[Node, ...], _y: Node, g: Node) -> Cotangents:
    whole = trunc(graph.call, graph.call("div", *args))
    return g, graph.call("mul", graph.call("neg", g), whole)


def _where(graph: Graph, args: tuple[Node, ...], _y: Node, g: Node) -> Cotangents:
    return None, graph.call("where", args[0], g, 0.0), graph.call("where", args[0], 0.0, g)


def _extreme(worse: str) -> Derivative:
    """The better one gets all; both get half if they are equal, and all beside a NaN."""

    def derivative(graph: Graph, args: tuple[Node, ...], _y: Node, g: Node) -> Cotangents:
        half = graph.call("mul", g, 0.5)

        def side(a: Node, b: Node) -> Node:
            alone = graph.call("where", graph.call(worse, a, b), 0.0, g)
            return graph.call("where", graph.call("eq", a, b), half, alone)

        return side(*args), side(*args[::-1])

    return derivative


def _bounded(inside: str, beyond: str) -> Derivative:
    """The second argument is a bound; at the bound the gradient passes."""

    def derivative(graph: Graph, args: tuple[Node, ...], _y: Node, g: Node) -> Cotangents:
        passed, stopped = graph.call(inside, *args), graph.call(beyond, *args)
        return graph.call("where", passed, g, 0.0), graph.call("where", stopped, g, 0.0)

    return derivative


def _twice_over_root_pi(graph: Graph, x: Node, _y: Node) -> Node:
    bell = graph.call("exp", graph.call("neg", graph.call("mul", x, x)))
    return graph.call("mul", bell, 2 / math.sqrt(math.pi))


PRIMITIVES: dict[str, Primitive] = {
    "add": Primitive(2, lambda graph, args, y, g: (g, g)),
    "sub": Primitive(2, lambda graph, args, y, g: (g, graph.call("neg", g))),
    "mul": Primitive(
        2, lambda graph, args, y, g: (graph.call("mul", g, args[1]), graph.call("mul", g, args[0]))
    ),
    "div": Primitive(2, _divide, cheap=False),
    "fmod": Primitive(2, _fmod, cheap=False),
    "neg": Primitive(1, lambda graph, args, y, g: (graph.call("neg", g),)),
    "copy": Primitive(1, lambda graph, args, y, g: (g,)),
    "stop": Primitive(1),  # the value, without a gradient
    "abs": _unary(lambda graph, x, y: graph.call("sign", x), cheap=True),
    "sign": Primitive(1),
    "floor": Primitive(1),
    "max": Primitive(2, _extreme("lt")),
    "min": Primitive(2, _extreme("gt")),
    "at_least": Primitive(2, _bounded("ge", "lt")),
    "at_most": Primitive(2, _bounded("le", "gt")),
    "where": Primitive(3, _where, truths=1),
    # The first argument; of its gradient the second gets a share, the third.
    "share": Primitive(3, lambda graph, args, y, g: (g, graph.call("mul", g, args[2]), None)),
    "exp": _unary(lambda graph, x, y: y),
    "expm1": _unary(lambda graph, x, y: graph.call("add", y, 1.0)),
    "log": Primitive(1, lambda graph, args, y, g: (graph.call("div", g, args[0]),), cheap=False),
    "log1p": Primitive(
        1,
        lambda graph, args, y, g: (graph.call("div", g, graph.call("add", args[0], 1.0)),),
        cheap=False,
    ),
    "sqrt": _unary(lambda graph, x, y: graph.call("div", 0.5, y)),
    "rsqrt": _unary(
        lambda graph, x, y: graph.call("mul", -0.5, graph.call("mul", y, graph.call("mul", y, y)))
    ),
    "reciprocal": _unary(lambda graph, x, y: graph.call("neg", graph.call("mul", y, y))),
    "sin": _unary(lambda graph, x, y: graph.call("cos", x)),
    "cos": _unary(lambda graph, x, y: graph.call("neg", graph.call("sin", x))),
    "tan": _unary(lambda graph, x, y: graph.call("add", 1.0, graph.call("mul", y, y))),
    "sinh": _unary(lambda graph, x, y: graph.call("cosh", x)),
    "cosh": _unary(lambda graph, x, y: graph.call("sinh", x)),
    "tanh": _unary(lambda graph, x, y: graph.call("sub", 1.0, graph.call("mul", y, y))),
    "sigmoid": _unary(lambda graph, x, y: graph.call("mul", y, graph.call("sub", 1.0, y))),
    "erf": _unary(_twice_over_root_pi),
    # The derivatives of these are those of `SLOPES`.
    **{name: Primitive(1, cheap=False) for name in "erfc asin acos atan asinh acosh atanh".split()},
    **{name: Primitive(2, cheap=False) for name in ("atan2", "hypot", "copysign")},
    "rint": Primitive(1),
    "pow": Primitive(2, cheap=False),
    "feature": Primitive(1),  # the index of each feature within its vector
    **{name: Primitive(2, is_bool=True) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    **{name: Primitive(2, is_bool=True, truths=2) for name in ("and", "or")},
    "not": Primitive(1, is_bool=True, truths=1),
    **{f"{name}'": _passing(*slope) for name, slope in SLOPES.items()},
}
