"""One pass over a sequence: some nodes of a graph, run one step after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cello.convert.graph.axes_of_steps import DIFFERS, axis_of_sequences, axis_of_steps
from cello.convert.graph.graph_cell import GraphCell, HeldCell, one_step, states_of
from cello.convert.graph.net_graph import NetGraph
from cello.convert.graph.whole_run import WholeRun
from cello.convert.graph.wires import Wiring
from cello.errors import ConversionError
from cello.layers import Recurrent

__all__ = ["DiffersError", "GivenSteps", "OnePass"]


class DiffersError(Exception):
    """A node gives something else one step at a time; its number."""


@dataclass
class GivenSteps:
    """What a pass is given at each step.

    Attributes:
        values: their numbers in the graph.
        shapes: of a step of each.
        steps: of each step, in the order of time, the tensors with one step.
    """

    values: list[int]
    shapes: list[list[int]]
    steps: list[list[Tensor]]


class OnePass(Wiring):
    """One pass: a graph of its own, run one step after the other.

    Args:
        run: of the whole graph.
        number: which; odd ones begin at the last step.
        nodes: those of the whole graph that it computes.
        given: what it is given.
        of: the pass of each value.
    """

    def __init__(
        self, run: WholeRun, number: int, nodes: Sequence[int], given: GivenSteps, of: Sequence[int]
    ) -> None:
        super().__init__()
        self.run, self.backward, self.entered = run, bool(number % 2), given
        self.begins: list[Tensor | None] = []
        self.at: dict[int, int] = {}
        inputs = [self.new_input() for _ in given.values]
        for value, own, shape in zip(given.values, inputs, given.shapes, strict=True):
            self.at[value] = own
            if number:
                self._restore(value, own, shape, of[value] == number - 1)
        for place in nodes:
            self._add(place)
        self.moments: list[list[Any]] = []
        self._run_steps()

    # ------------------------------------------------------------ its graph

    def _add(self, place: int) -> None:
        what, _, options = self.run.net.wiring[place - self.run.net.inputs]
        read = [None if v is None else self.at[v] for v in self.run.data(place)]
        if isinstance(what, str):
            self.at[place] = self.node(what, read, **options)
            return
        if self.run.layer(place) is not None:
            self.begins += self.run.begin(place)
        name = self.run.net.names[what]
        self.at[place] = self.module(self.run.modules[what], read, name)

    def _restore(self, value: int, own: int, shape: list[int], is_new: bool) -> None:
        """Give what a pass before has left the axes that it has in the graph."""
        time, whole = self.run.time, self.run.values[value]
        axis, sequences = self.run.axes[value]
        rest = [a for a in range(whole.dim()) if a not in (axis, sequences)]
        number = own
        if axis is not None:
            order = [time if a == axis else 1 - time if a == sequences else 2 + rest.index(a)
                     for a in range(whole.dim())]  # fmt: skip
        else:  # of the step that the pass before has ended with
            if is_new:
                size = math.prod(shape)
                held = Recurrent(HeldCell(size), batch_first=bool(time))
                number = self.module(held, [number], "held")
                self.begins += [None, None]
            number = self.node("select", [number], axis=time, index=0)
            number = self.node("reshape", [number], shape=[whole.shape[a] for a in rest])
            order = [0 if a == sequences else 1 + rest.index(a) for a in range(whole.dim())]
        if order != sorted(order):
            number = self.node("permute", [number], axes=order)
        self.at[value] = number

    # ------------------------------------------------------------ run

    def _states(self, batch: int, like: Tensor) -> list[Tensor]:
        sizes = [size for _, size in states_of(self.graph)]
        return [
            like.new_zeros(batch, *(size if isinstance(size, tuple) else (size,)))
            if part is None
            else part.expand(batch, *part.shape)
            for part, size in zip(self.begins, sizes, strict=True)
        ]

    def _run_steps(self) -> None:
        outputs = list(self.at.values())
        self.graph = NetGraph(self.modules, self.nodes, self.inputs, outputs, self.names).eval()
        steps = self.entered.steps
        order = range(len(steps))
        self.order = order[::-1] if self.backward else order
        first = steps[self.order[0]]
        batch = 1 - self.run.time
        alone = [x.narrow(batch, 0, 1) for x in first]
        self.one, _ = self._step(alone, self._states(1, first[0]))
        state = self._states(first[0].shape[batch], first[0])
        moments = {}
        for t in self.order:
            moments[t], state = self._step(steps[t], state)
        self.moments = [moments[t] for t in order]

    def _step(
        self, given: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[list[Any], list[Tensor]]:
        values: list[Any] = []
        try:
            after = one_step(self.graph, given, state, values)
        except Exception as error:
            places = {own: place for place, own in self.at.items()}
            name = self.run.net.node_name(places[len(values)])
            raise ConversionError(f"{name} cannot run on one step alone: {error}") from error
        return values, after

    # ------------------------------------------------------------ what it leaves

    def layer(self, leaves: Sequence[int]) -> Recurrent:
        """The pass as a layer; where it has what it leaves is told to the run.

        Raises:
            DiffersError: it leaves something else than the graph has.
            ConversionError: a value has no axis of the sequences.
        """
        axes, outputs = [], 0
        for value in leaves:
            axis = self._axis(value)
            if axis is DIFFERS:
                raise DiffersError(self._first_that_differs(value))
            begin = self.moments[self.order[0]][self.at[value]]
            sequences = axis_of_sequences(begin, self.one[self.at[value]])
            if sequences is None:
                raise ConversionError(
                    f"{self.run.net.node_name(value)}, of {list(begin.shape)}, has no axis of "
                    "the sequences: one step at a time, an output must have one"
                )
            axes.append(sequences)
            outputs += begin.numel() // begin.shape[axes[-1]]
            self.run.axes[value] = axis, axes[-1]
        graph = NetGraph(
            self.modules, self.nodes, self.inputs, [self.at[v] for v in leaves], self.names
        ).eval()
        time = self.run.time
        cell = GraphCell(graph, self.entered.shapes, axes, outputs, time)
        learned = any(part is not None for part in self.begins)
        made = Recurrent(
            cell,
            reverse=self.backward,
            batch_first=bool(time),
            initial_state="learned" if learned else "zeros",
        )
        for name, part in zip(cell.state, self.begins, strict=True) if learned else ():
            if part is not None:
                made.initial[name].data.copy_(part.detach())
        return made.eval()

    def given_on(self, leaves: Sequence[int]) -> GivenSteps:
        """What the next pass is given.

        Raises:
            ConversionError: a value has the steps and something else along one axis.
        """
        shapes = []
        for value in leaves:
            axis, sequences = self.run.axes[value]
            sizes = list(self.moments[0][self.at[value]].shape)
            if axis is not None and (axis == sequences or sizes[axis] != 1):
                raise ConversionError(
                    f"{self.run.net.node_name(value)} has its steps and something else along "
                    "one axis: no layer behind it can read from the other end"
                )
            rest = [size for a, size in enumerate(sizes) if a not in (axis, sequences)]
            shapes.append([math.prod(rest)] if axis is None else rest)
        steps = [
            [self._canonical(moment[self.at[value]], value, shape)
             for value, shape in zip(leaves, shapes, strict=True)]
            for moment in self.moments
        ]  # fmt: skip
        return GivenSteps(list(leaves), shapes, steps)

    def _canonical(self, part: Tensor, value: int, shape: Sequence[int]) -> Tensor:
        """A value at one step, with the axes of an input."""
        sequences = self.run.axes[value][1]
        rows = part.movedim(sequences, 0)
        return rows.reshape(len(rows), *shape).unsqueeze(self.run.time)

    def _axis(self, value: int) -> Any:
        """See `axis_of_steps`."""
        steps = [moment[self.at[value]] for moment in self.moments]
        return axis_of_steps(self.run.values[value], steps, steps[self.order[-1]])

    def _first_that_differs(self, value: int) -> int:
        for place in self.at:
            if place in self.run.moves and self._axis(place) is DIFFERS:
                return place
        return value
