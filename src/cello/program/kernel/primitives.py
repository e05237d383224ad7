"""The pointwise functions that a fused loop has, and their derivatives.

What is not here is made of these: see `operations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from cello.program.kernel.nodes import Graph, Node

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
    """

    arguments: int
    derivative: Derivative | None = None
    cheap: bool = True
    is_bool: bool = False


def _unary(function: Callable[[Graph, Node, Node], Node | None], cheap: bool = False) -> Primitive:
    """`function(graph, argument, result)` is the factor."""

    def derivative(graph: Graph, args: tuple[Node, ...], y: Node, g: Node) -> Cotangents:
        factor = function(graph, args[0], y)
        return (None if factor is None else graph.call("mul", g, factor),)

    return Primitive(1, derivative, cheap)


def _divide(graph: Graph, args: tuple[Node, ...], y: Node, g: Node) -> Cotangents:
    part = graph.call("div", g, args[1])
    return part, graph.call("neg", graph.call("mul", part, y))


def _where(graph: Graph, args: tuple[Node, ...], _y: Node, g: Node) -> Cotangents:
    return None, graph.call("where", args[0], g, 0.0), graph.call("where", args[0], 0.0, g)


def _extreme(better: str) -> Derivative:
    def derivative(graph: Graph, args: tuple[Node, ...], _y: Node, g: Node) -> Cotangents:
        half = graph.call("mul", g, 0.5)

        def side(a: Node, b: Node) -> Node:
            alone = graph.call("where", graph.call(better, a, b), g, 0.0)
            return graph.call("where", graph.call("eq", a, b), half, alone)

        return side(*args), side(*args[::-1])

    return derivative


def _clamped(inside: str) -> Derivative:
    """The second argument is a bound; at the bound the gradient passes."""

    def derivative(graph: Graph, args: tuple[Node, ...], _y: Node, g: Node) -> Cotangents:
        within = graph.call(inside, *args)
        return graph.call("where", within, g, 0.0), graph.call("where", within, 0.0, g)

    return derivative


def _pow(graph: Graph, args: tuple[Node, ...], y: Node, g: Node) -> Cotangents:
    base, exponent = args
    less = graph.call("pow", base, graph.call("sub", exponent, 1.0))
    slope = graph.call("mul", exponent, less)
    slope = graph.call("where", graph.call("eq", exponent, 0.0), 0.0, slope)
    growth = graph.call("mul", y, graph.call("log", base))
    at_zero = graph.call("and", graph.call("eq", base, 0.0), graph.call("ge", exponent, 0.0))
    growth = graph.call("where", at_zero, 0.0, growth)
    return graph.call("mul", g, slope), graph.call("mul", g, growth)


def _twice_over_root_pi(graph: Graph, x: Node, _y: Node) -> Node:
    bell = graph.call("exp", graph.call("neg", graph.call("mul", x, x)))
    return graph.call("mul", bell, 2 / math.sqrt(math.pi))


_SIXTH = torch.tensor(1 / 6, dtype=torch.float32).item()

PRIMITIVES: dict[str, Primitive] = {
    "add": Primitive(2, lambda graph, args, y, g: (g, g)),
    "sub": Primitive(2, lambda graph, args, y, g: (g, graph.call("neg", g))),
    "mul": Primitive(
        2, lambda graph, args, y, g: (graph.call("mul", g, args[1]), graph.call("mul", g, args[0]))
    ),
    "div": Primitive(2, _divide, cheap=False),
    # PyTorch divides by 6, but its derivative of hardsigmoid has 1/6 as a float32.
    "sixth": Primitive(1, lambda graph, args, y, g: (graph.call("mul", g, _SIXTH),), cheap=False),
    "neg": Primitive(1, lambda graph, args, y, g: (graph.call("neg", g),)),
    "copy": Primitive(1, lambda graph, args, y, g: (g,)),
    "stop": Primitive(1),  # the value, without a gradient
    "abs": _unary(lambda graph, x, y: graph.call("sign", x), cheap=True),
    "sign": Primitive(1),
    "floor": Primitive(1),
    "max": Primitive(2, _extreme("gt")),
    "min": Primitive(2, _extreme("lt")),
    "at_least": Primitive(2, _clamped("ge")),
    "at_most": Primitive(2, _clamped("le")),
    "where": Primitive(3, _where),
    # The first argument; of its gradient the second gets a share, the third.
    "share": Primitive(3, lambda graph, args, y, g: (g, graph.call("mul", g, args[2]), None)),
    "exp": _unary(lambda graph, x, y: y),
    "expm1": _unary(lambda graph, x, y: graph.call("add", y, 1.0)),
    "log": _unary(lambda graph, x, y: graph.call("div", 1.0, x)),
    "log1p": _unary(lambda graph, x, y: graph.call("div", 1.0, graph.call("add", x, 1.0))),
    "sqrt": _unary(lambda graph, x, y: graph.call("div", 0.5, y)),
    "rsqrt": _unary(
        lambda graph, x, y: graph.call("mul", -0.5, graph.call("mul", y, graph.call("mul", y, y)))
    ),
    "reciprocal": _unary(lambda graph, x, y: graph.call("neg", graph.call("mul", y, y))),
    "sin": _unary(lambda graph, x, y: graph.call("cos", x)),
    "cos": _unary(lambda graph, x, y: graph.call("neg", graph.call("sin", x))),
    "tanh": _unary(lambda graph, x, y: graph.call("sub", 1.0, graph.call("mul", y, y))),
    "sigmoid": _unary(lambda graph, x, y: graph.call("mul", y, graph.call("sub", 1.0, y))),
    "erf": _unary(_twice_over_root_pi),
    "pow": Primitive(2, _pow, cheap=False),
    "feature": Primitive(1),  # the index of each feature within its vector
    **{name: Primitive(2, is_bool=True) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    **{name: Primitive(2, is_bool=True) for name in ("and", "or")},
    "not": Primitive(1, is_bool=True),
}
