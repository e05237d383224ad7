"""A graph run on whole sequences: what its passes are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.convert.graph.axes import drawn
from cello.convert.graph.net_graph import NetGraph, run_node
from cello.errors import ConversionError
from cello.layers import Recurrent
from cello.layers.reads import Reads

__all__ = ["WholeRun"]

#: (T, B) that are tried: few steps, more for what pools them, one sequence where that is built in.
_SIZES = ((7, 3), (26, 3), (7, 1))


class WholeRun:
    """A graph, and the value of each node for random inputs.

    Args:
        net: the graph, in eval mode.
        reads: what each input holds.
        time: which axis of an input holds the steps.

    Attributes:
        steps: how many there are.
        values: of each input and each node.
        moves: the numbers that depend on an input, which go from pass to pass; all others are
            computed again where they are needed.
        axes: of what passes leave, the axis of the steps, None for what the last step of a pass
            leaves, and that of the sequences; passes put it there.

    Raises:
        ConversionError: it does not run.
    """

    def __init__(self, net: NetGraph, reads: Sequence[Reads], time: int) -> None:
        self.net, self.reads, self.time = net, reads, time
        self.modules = list(net.parts.values())
        for T, B in _SIZES:
            try:
                self.steps, self.values = T, self._run(T, B, 0)
                break
            except ConversionError as error:
                failed = error
        else:
            raise failed
        self._other = self._run(T, B, 1)
        self.moves = self._moving()
        self.axes: dict[int, tuple[int | None, int]] = {}

    def outputs(self) -> list[Tensor]:
        """What the graph gives."""
        return [self.values[place] for place in self.net.outputs]

    def layer(self, place: int) -> Recurrent | None:
        """The recurrent layer that gives a value, if one does."""
        if place < self.net.inputs:
            return None
        what = self.net.wiring[place - self.net.inputs][0]
        part = self.modules[what] if isinstance(what, int) else None
        return part if isinstance(part, Recurrent) else None

    def data(self, place: int) -> list[int | None]:
        """What a node reads but initial states, which a pass begins with."""
        _, values, options = self.net.wiring[place - self.net.inputs]
        found: list[int | None] = values[: len(values) - options.get("states", 0)]
        return found

    def begin(self, place: int) -> list[Tensor | None]:
        """What the states of a layer begin with, the same for all inputs; None for zeros.

        Raises:
            ConversionError: they are not.
        """
        layer = self.layer(place)
        assert layer is not None
        _, values, options = self.net.wiring[place - self.net.inputs]
        count = options.get("states", 0)
        if not count:
            learned = layer.initial_state == "learned"
            return [layer.initial[n] if learned else None for n in layer.cell.state]
        found: list[Tensor | None] = []
        for number in values[len(values) - count :]:
            one, other = self.values[number], self._other[number]
            first = one[:1]
            if not ((one == first).all() and (other == first).all()):
                raise ConversionError(
                    f"{self.net.node_name(place)} begins with a state that is computed from an "
                    "input: it cannot run one step at a time"
                )
            found.append(first[0] if first.any() else None)
        return found

    def _run(self, T: int, B: int, seed: int) -> list[Any]:
        """The value of each node, of random inputs."""
        generator = torch.Generator().manual_seed(seed)
        leads = ["BT" if self.time else "TB"] * len(self.reads)
        given = drawn(self.net, self.reads, leads, {"T": T, "B": B}, generator)
        values: list[Any] = []
        try:
            self.net.run(given, run_node, values)
        except Exception as error:
            name = self.net.node_name(len(values))
            raise ConversionError(f"{name} cannot run on {T} steps: {error}") from error
        return values

    def _moving(self) -> set[int]:
        return {
            place
            for place in self.net.moving()
            if isinstance(self.values[place], Tensor)
            and (self.values[place].is_floating_point() or place < self.net.inputs)
        }
