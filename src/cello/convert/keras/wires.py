"""A network while it is put together: modules, and which value each of them reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from cello.convert.graph import NetGraph
from cello.errors import ModelError
from cello.layers import Bidirectional, Recurrent, Stack

__all__ = ["Passed", "Wiring"]


@dataclass(frozen=True)
class Passed:
    """A tensor on its way: its number in the graph, its dimensions, the number of its mask."""

    number: int
    rank: int
    mask: int | None = None


class Wiring:
    """The modules so far, their names, and the nodes of a `NetGraph`."""

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self.names: list[str] = []
        self.nodes: list[list[Any]] = []
        self.inputs = 0

    def input(self, shape: Sequence[Any]) -> Passed:
        if self.nodes:
            raise ModelError("an input stands behind a layer")
        self.inputs += 1
        return Passed(self.inputs - 1, len(shape))

    def node(self, what: str | int, values: Sequence[int], **options: Any) -> int:
        self.nodes.append([what, list(values), options])
        return self.inputs + len(self.nodes) - 1

    def module(self, module: nn.Module, values: Sequence[int], name: str, **options: Any) -> int:
        name = str(name).replace(".", "_")
        taken = sum(known == name or known.startswith(f"{name}/") for known in self.names)
        self.modules.append(module)
        self.names.append(f"{name}/{taken}" if taken else name)
        return self.node(len(self.modules) - 1, values, **options)

    def net(self, outputs: Sequence[Passed]) -> NetGraph | Stack:
        """The network that returns these: a stack if its modules stand in one line."""
        if self._is_line(outputs):
            return Stack(*self.modules, batch_first=True).eval()
        numbers = [value.number for value in outputs]
        return NetGraph(self.modules, self.nodes, self.inputs, numbers, self.names).eval()

    def _is_line(self, outputs: Sequence[Passed]) -> bool:
        """Whether each module reads the one before, a recurrent one among them."""
        straight = all(node == [place, [place], {}] for place, node in enumerate(self.nodes))
        recurrent = any(isinstance(m, (Recurrent, Bidirectional)) for m in self.modules)
        norm = any(isinstance(m, nn.BatchNorm1d) for m in self.modules)
        at_the_end = [value.number for value in outputs] == [len(self.nodes)]
        return straight and recurrent and at_the_end and self.inputs == 1 and not norm
