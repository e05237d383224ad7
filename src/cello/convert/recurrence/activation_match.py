"""Activations by name, seen in the vectors of a step: by what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from torch import Tensor

from cello.cells import Cell
from cello.cells.activations import ACTIVATIONS
from cello.convert.recurrence.vectors import Step
from cello.program.kernel.nodes import Apply, Constant, Load, Node

__all__ = ["activated"]

#: Those that a layer of somebody else's may have, what is found most often first.
_NAMES = (
    "sigmoid", "tanh", "relu", "hard_sigmoid", "hard_tanh", "elu", "gelu", "leaky_relu", "silu",
    "softplus", "softsign",
)  # fmt: skip


def activated(node: Node) -> Iterator[tuple[str, Node]]:
    """Each activation that `node` may be, with what it is of; itself is the identity of itself."""
    for name in _NAMES:
        inner = _hole(_pattern(name), node)
        if inner is not None:
            yield name, inner
    yield "identity", node


class _Alone(Cell):
    """A step that is an activation and nothing else."""

    state = ("h",)

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(2, 2)
        self.function = function

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, 2] → f(x); h stays."""
        return self.function(x), (h,)


@cache
def _pattern(name: str) -> Node:
    """What an activation of a whole input is made of."""
    return Step(_Alone(ACTIVATIONS[name]), name).output[0]


def _hole(pattern: Node, node: Node) -> Node | None:
    """What stands in `node` where the pattern has its input; None if it is something else."""
    found: set[Node] = set()
    pairs = [(pattern, node)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, Load):
            found.add(b)
        elif isinstance(a, Constant):
            if not isinstance(b, Constant) or a.value != b.value:
                return None
        elif isinstance(a, Apply) and isinstance(b, Apply) and a.function == b.function:
            pairs += zip(a.args, b.args, strict=True)
        else:
            return None
    return found.pop() if len(found) == 1 else None
