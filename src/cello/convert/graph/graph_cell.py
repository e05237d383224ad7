"""One step of a graph as a cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.cells.cell import is_name
from cello.convert.graph.net_graph import NetGraph, run_node
from cello.layers import Recurrent

__all__ = ["GraphCell", "HeldCell", "one_step", "states_of"]


class GraphCell(Cell):
    """One step of a graph: all its nodes, on sequences of one step; its layers keep their states.

    Args:
        net: the graph, in which layers are given no states.
        shapes: of a step of each input; their numbers stand side by side in x.
        axes: of each output, the axis of the sequences.
        outputs: numbers of all outputs of a step, side by side.
        time: which axis of an input holds the steps, 0 or 1.

    >>> from cello.cells import LSTMCell
    >>> net = NetGraph([Recurrent(LSTMCell(3, 2))], [[0, [0], {}], ["Tanh", [1], {}]], outputs=[2])
    >>> GraphCell(net, [[3]], [0], 2).state
    ('l0_h', 'l0_c')
    """

    state = ("nothing",)

    def __init__(
        self,
        net: NetGraph,
        shapes: Sequence[Sequence[int]],
        axes: Sequence[int],
        outputs: int,
        time: int = 0,
    ) -> None:
        sizes = dict(states_of(net))
        self.state = tuple(sizes) or ("nothing",)  # type: ignore[misc, assignment]
        self.widths = [torch.Size(shape).numel() for shape in shapes]
        super().__init__(
            sum(self.widths), 1, output_size=outputs, state_sizes=sizes or {"nothing": 1}
        )
        self.net, self.time = net, time
        self.shapes, self.axes = [list(shape) for shape in shapes], list(axes)
        self.train(net.training)

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: the inputs side by side [B, I] and all states → the outputs, the states."""
        parts = x.split(self.widths, 1) if len(self.widths) > 1 else (x,)
        given = [
            part.reshape(part.shape[0], *shape).unsqueeze(self.time)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]
        values: list[Any] = []
        after = one_step(self.net, given, state, values)
        rows = [
            values[place].movedim(axis, 0).reshape(values[place].shape[axis], -1)
            for place, axis in zip(self.net.outputs, self.axes, strict=True)
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows, 1), tuple(after) or state


class HeldCell(Cell):
    """What stands in the first step, at all steps: y = x at the first, y = y_prev behind it.

    >>> y, _ = Recurrent(HeldCell(1))(torch.tensor([[[3.0]], [[4.0]]]))
    >>> y.flatten()
    tensor([3., 3.])
    """

    state = ("held", "begun")

    def __init__(self, size: int) -> None:
        super().__init__(size, size, state_sizes={"held": size, "begun": 1})

    def step(self, x: Tensor, held: Tensor, begun: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I] → what is held."""
        held = torch.where(begun != 0, held, x)
        return held, (held, torch.ones_like(begun))


def states_of(net: NetGraph) -> Iterator[tuple[str, Any]]:
    """The name and the size of each state, in the order in which the layers run."""
    taken: set[str] = set()
    modules = list(net.parts.values())
    for what, _, _ in net.wiring:
        layer = modules[what] if isinstance(what, int) else None
        if not isinstance(layer, Recurrent):
            continue
        for state, size in layer.cell.state_sizes.items():
            wish = re.sub(r"\W", "_", f"{net.names[what]}_{state}", flags=re.ASCII)
            wish = wish if is_name(wish) else f"l{wish}"
            name, number = wish, 1
            while name in taken:
                number += 1
                name = f"{wish}{number}"
            taken.add(name)
            yield name, size


def one_step(
    net: NetGraph, given: Sequence[Tensor], state: Sequence[Tensor], values: list[Any]
) -> list[Tensor]:
    """All states after a step of which the inputs are given; `values` of all nodes are added."""
    left, after = list(state), list[Tensor]()

    def each(part: Any, read: Sequence[Any], options: dict[str, Any]) -> tuple[Any, list[Tensor]]:
        if not isinstance(part, Recurrent):
            return run_node(part, read, options)
        time = 1 if part.batch_first else 0
        steps = [value.select(time, 0) for value in read]
        own = [left.pop(0) for _ in part.cell.state]
        y, new = part.cell.step(steps[0] if len(steps) == 1 else tuple(steps), *own)
        after.extend(new)
        return y.unsqueeze(time), list(new)

    net.run(given, each, values)
    return after
