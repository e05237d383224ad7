"""A network while a reader puts it together: modules, and which value each of them reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from cello.convert.graph.net_graph import NetGraph
from cello.errors import ModelError
from cello.layers import Bidirectional, Recurrent, Stack

__all__ = ["Wiring"]


class Wiring:
    """The modules so far, their names, and the nodes of a `NetGraph`."""

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self.names: list[str] = []
        self.taken: dict[str, int] = {}  # names so far, and the number for the next of each
        self.nodes: list[list[Any]] = []
        self.inputs = 0

    def new_input(self) -> int:
        """One more input of the network; its number."""
        if self.nodes:
            raise ModelError("an input stands behind a layer")
        self.inputs += 1
        return self.inputs - 1

    def node(self, what: str | int, values: Sequence[int | None], **options: Any) -> int:
        """One more node; the number of its value."""
        self.nodes.append([what, list(values), options])
        return self.inputs + len(self.nodes) - 1

    def module(
        self, module: nn.Module, values: Sequence[int | None], name: str, **options: Any
    ) -> int:
        """One more module, called on these values; the number of what it gives."""
        name = str(name).replace(".", "_")
        self.modules.append(module)
        self.names.append(self._free(name))
        return self.node(len(self.modules) - 1, values, **options)

    def _free(self, name: str) -> str:
        """The name, or it with the first number behind it that is not taken."""
        found = name
        while found in self.taken:
            found = f"{name}/{self.taken[name]}"
            self.taken[name] += 1
        self.taken[found] = 1
        return found

    def net(self, outputs: Sequence[int], *, states: bool = False) -> NetGraph | Stack:
        """The network that returns these values: a stack if its modules stand in one line.

        With `states` it is one too if the final states of all layers are returned as well.
        """
        if self._is_line() and list(outputs) in self._ends(states):
            return Stack(*self.modules, batch_first=self._layers()[0].batch_first).eval()
        return NetGraph(self.modules, self.nodes, self.inputs, outputs, self.names).eval()

    def _layers(self) -> list[Recurrent | Bidirectional]:
        return [m for m in self.modules if isinstance(m, (Recurrent, Bidirectional))]

    def _line(self) -> list[tuple[int, list[Any]]]:
        """The nodes that compute, with the numbers of their values."""
        return [(at, node) for at, node in enumerate(self.nodes, 1) if node[0] != "state"]

    def _is_line(self) -> bool:
        """Whether each module reads the one before, a recurrent one among them."""
        places = [0, *(at for at, _ in self._line())]
        straight = all(n == [k, [places[k]], {}] for k, (_, n) in enumerate(self._line()))
        kinds = {layer.batch_first for layer in self._layers()}
        norm = any(isinstance(m, nn.BatchNorm1d) for m in self.modules)
        return straight and len(kinds) == 1 and self.inputs == 1 and not norm

    def _ends(self, states: bool) -> list[list[int]]:
        """What a stack may return: its output, and all its states in order."""
        last = self._line()[-1][0]
        finals = {(node[1][0], node[2]["index"]): at for at, node in enumerate(self.nodes, 1)
                  if node[0] == "state"}  # fmt: skip
        wanted = [
            (at, index)
            for at, (what, _, _) in self._line()
            if isinstance(self.modules[what], (Recurrent, Bidirectional))
            for index in range(sum(len(cell.state) for cell in self.modules[what]._own_cells()))
        ]
        if not states or set(wanted) != set(finals):
            return [[last]]
        return [[last], [last, *(finals[key] for key in wanted)]]
