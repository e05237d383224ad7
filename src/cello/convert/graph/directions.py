"""A graph with a layer for each direction, in place of layers for both and of sequences turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from cello.convert.graph.net_graph import NetGraph
from cello.convert.graph.wires import Wiring
from cello.layers import Bidirectional, Recurrent

__all__ = ["one_way", "reads_from_the_end"]


def reads_from_the_end(net: NetGraph) -> bool:
    """Whether a part of it does, or may, behind a sequence that is turned around."""
    turned = any(what == "flip" for what, _, _ in net.wiring)
    return turned or any(
        isinstance(part, Bidirectional) or (isinstance(part, Recurrent) and part.reverse)
        for part in net.parts.values()
    )


def one_way(net: NetGraph, time: int) -> NetGraph:
    """The same graph, whose layers read in one direction each.

    A layer that reads what was turned around reads from the end instead, if nothing else reads it
    together with what was not turned.

    Args:
        net: the graph; its modules are shared.
        time: the axis of the steps.
    """
    return _OneWay(net, time).made()


#: What joins two directions.
_JOINS: dict[str, tuple[str, dict[str, Any]]] = {
    "concat": ("concatenate", {"axis": 2}),
    "sum": ("add", {}),
    "mean": ("average", {}),
}


class _OneWay(Wiring):
    def __init__(self, net: NetGraph, time: int) -> None:
        super().__init__()
        self.graph, self.time = net, time
        self.at = [(self.new_input(), False) for _ in range(net.inputs)]  # and whether turned
        self.moves = net.moving()
        self.layers: dict[int, list[tuple[int, int]]] = {}  # of a value: layers, and their states

    def made(self) -> NetGraph:
        """The graph."""
        for place, (what, values, options) in enumerate(self.graph.wiring, self.graph.inputs):
            self.at.append(self._node(place, what, values, options))
        total = len(self.at)
        outputs = [self._upright(place % total) for place in self.graph.outputs]
        made = NetGraph(self.modules, self.nodes, self.inputs, outputs, self.names)
        return made.train(self.graph.training)

    def _upright(self, place: int) -> int:
        number, turned = self.at[place]
        return self.node("flip", [number], axis=self.time) if turned else number

    def _node(
        self, place: int, what: Any, values: Sequence[Any], options: dict[str, Any]
    ) -> tuple[int, bool]:
        if what == "state":
            return self._state(values[0], options["index"]), False
        if what == "flip" and options["axis"] == self.time:
            number, turned = self.at[values[0]]
            return number, not turned
        count = len(values) - options.get("states", 0)
        moving = [self.at[v][1] for v in values[:count] if v in self.moves]
        turned = any(moving)
        if turned and not all(moving):
            turned = False
            read = [None if v is None else self._upright(v) for v in values]
        else:
            read = [None if v is None else self.at[v][0] for v in values[:count]]
            read += [None if v is None else self._upright(v) for v in values[count:]]
        part = list(self.graph.parts.values())[what] if isinstance(what, int) else None
        if isinstance(part, (Recurrent, Bidirectional)):
            return self._layer(place, part, read, options, turned), turned
        if turned and what == "select" and options["axis"] == self.time:
            index = -1 - options["index"]
            return self.node(what, read, axis=self.time, index=index), False
        if part is None:
            return self.node(what, read, **options), turned
        return self.module(part, read, self.graph.names[what], **options), turned

    def _layer(
        self,
        place: int,
        part: Recurrent | Bidirectional,
        read: Sequence[int | None],
        options: dict[str, Any],
        turned: bool,
    ) -> int:
        name = self.graph.names[self.graph.wiring[place - self.graph.inputs][0]]
        if isinstance(part, Recurrent):
            number = self.module(_turned(part, part, turned), read, name, **options)
            self.layers[place] = [(number, len(part.cell.state))]
            return number
        ways = (part.forward_layer, part.backward_layer)
        states = options.get("states", 0)
        first = len(read) - states
        found = []
        for way, layer in zip(("forward", "backward"), ways, strict=True):
            own, count = dict(options), len(layer.cell.state)
            begin = read[first : first + count] if states else []
            first += count
            if states:
                own["states"] = count
            reads = [*read[: len(read) - states], *begin]
            number = self.module(_turned(layer, part, turned), reads, f"{name}_{way}", **own)
            found.append((number, count))
        self.layers[place] = found
        what, join = _JOINS[part.join]
        return self.node(what, [number for number, _ in found], **join)

    def _state(self, read: int, index: int) -> int:
        states = [(number, place) for number, count in self.layers[read] for place in range(count)]
        number, place = states[index]
        return self.node("state", [number], index=place)


def _turned(layer: Recurrent, outer: Recurrent | Bidirectional, turned: bool) -> nn.Module:
    """A layer as it stands in the graph, in the other direction if need be."""
    if layer is outer and not turned:
        return layer
    made = Recurrent(
        layer.cell,
        reverse=layer.reverse != turned,
        batch_first=outer.batch_first,
        initial_state=layer.initial_state,
        engine=layer.engine,
    )
    if layer.initial_state == "learned":
        made.initial = layer.initial
    return made
