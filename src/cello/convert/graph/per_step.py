"""A graph that can run one step at a time, as a layer: what exports and streams of layers take.

A graph that runs on one step after the other, while its layers keep their states, gives what it
gives on whole sequences, unless a node looks ahead, back, or over all steps. Which graphs those are
stands in no table of functions: both are run, and compared node by node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.cells import Cell
from cello.cells.cell import is_name
from cello.convert.graph.axes import LENGTHS, graph_reads
from cello.convert.graph.net_graph import NetGraph, run_node
from cello.convert.proof import TOLERANCES
from cello.engines import engine
from cello.errors import ConversionError
from cello.layers import DropIn, Recurrent, Stack
from cello.layers.layer import Layer
from cello.layers.mode import evaluating
from cello.layers.reads import Reads, dtype_of

__all__ = ["GraphCell", "per_step"]

#: In place of an axis: a value is not what its steps are.
_DIFFERS = object()
#: (T, B) that are tried: few steps, more for what pools them, one sequence where that is built in.
_SIZES = ((7, 3), (26, 3), (7, 1))


class GraphCell(Cell):
    """One step of a graph: all its nodes, on sequences of one step; its layers keep their states.

    Args:
        net: the graph.
        shapes: of a step of each input; their numbers stand side by side in x.
        axes: of each output, the axis of the sequences.
        outputs: numbers of all outputs of a step, side by side.
        time: which axis of an input holds the steps, 0 or 1.
        tables: for one input of ids: the nodes whose values, [*shapes], x has in its place.

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
        tables: Sequence[int] = (),
    ) -> None:
        sizes = dict(_states(net))
        self.state = tuple(sizes) or ("nothing",)  # type: ignore[misc, assignment]
        self.widths = [torch.Size(shape).numel() for shape in shapes]
        super().__init__(
            sum(self.widths), 1, output_size=outputs, state_sizes=sizes or {"nothing": 1}
        )
        self.net, self.time, self.tables = net, time, list(tables)
        self.shapes, self.axes = [list(shape) for shape in shapes], list(axes)
        self.train(net.training)

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: the inputs side by side [B, I] and all states → the outputs, the states."""
        parts = x.split(self.widths, 1) if len(self.widths) > 1 else (x,)
        given = [
            part.reshape(part.shape[0], *shape).unsqueeze(self.time)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]
        found, after = _one_step(self.net, given, state, self.tables, [])
        rows = [
            part.movedim(axis, 0).reshape(part.shape[axis], -1)
            for part, axis in zip(found, self.axes, strict=True)
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows, 1), tuple(after) or state


def _states(net: NetGraph) -> Iterator[tuple[str, Any]]:
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


def _one_step(
    net: NetGraph,
    given: Sequence[Tensor],
    state: Sequence[Tensor],
    tables: Sequence[int],
    values: list[Any],
) -> tuple[Sequence[Tensor], list[Tensor]]:
    """The outputs of a step, as the graph has them, and all states after it; `values` of nodes."""
    left, after = list(state), list[Tensor]()
    ready = dict(zip(tables, given, strict=True)) if tables else {}

    def each(part: Any, read: Sequence[Any], options: dict[str, Any]) -> tuple[Any, list[Tensor]]:
        if len(values) in ready:
            return ready[len(values)], []
        if not isinstance(part, Recurrent):
            return run_node(part, read, options)
        count = len(read) - options.get("states", 0) - bool(options.get("lengths"))
        time = 1 if part.batch_first else 0
        steps = [value.select(time, 0) for value in read[:count]]
        own = [left.pop(0) for _ in part.cell.state]
        y, new = part.cell.step(steps[0] if count == 1 else tuple(steps), *own)
        after.extend(new)
        return y.unsqueeze(time), list(new)

    found = net.run(given[:1] if tables else given, each, values)
    return found if isinstance(found, tuple) else (found,), after


# ------------------------------------------------------------ from a graph


def per_step(net: NetGraph) -> Recurrent | Stack:
    """A graph as a layer that runs one step at a time, proved equal to it; it shares the modules.

    The layer's input has the graph's inputs side by side, its output the graph's outputs. Where the
    graph gives what a last step leaves, the layer gives that after each step: what the graph would
    give if the sequence ended there. Ids go through an `nn.Embedding` before it.

    Raises:
        ConversionError: the graph gives something else one step at a time; names the first node
            that does.

    >>> from cello.cells import LSTMCell
    >>> last = ["select", [1], {"axis": 0, "index": -1}]
    >>> net = NetGraph([Recurrent(LSTMCell(3, 2))], [[0, [0], {}], last], outputs=[2])
    >>> x = torch.randn(5, 1, 3)
    >>> torch.allclose(per_step(net)(x)[0][-1], net(x))
    True
    """
    _check_layers(net)
    if "T" in net.fixed:
        sizes = net.only or "fixed sizes"
        raise ConversionError(f"the net is for {sizes} only: it cannot run one step at a time")
    reads = [graph_reads(net, number) for number in range(net.inputs)]
    if LENGTHS in reads:
        raise ConversionError(
            f"input {reads.index(LENGTHS)} of the net is how long each sequence is: it cannot run "
            "one step at a time"
        )
    tables = _tables(net) if any(part.ids for part in reads) else []
    return _Compared(net, reads, int(net.batch_first), tables).layer()


def _check_layers(net: NetGraph) -> None:
    for name, part in zip(net.names, net.parts.values(), strict=True):
        some = [m for m in part.modules() if isinstance(m, (Layer, DropIn))]
        if not some or (isinstance(part, Recurrent) and not part.reverse):
            continue
        back = any(getattr(m, "reverse", False) or getattr(m, "bidirectional", False) for m in some)
        raise ConversionError(
            f"{name} ({type(part).__name__}) cannot run one step at a time in a graph: "
            + ("it reads from the end; in a cello.Stack, as C, it can be run on whole sequences"
               if back else "it holds several layers; give the graph each by itself")
        )  # fmt: skip


def _tables(net: NetGraph) -> list[int]:
    """The nodes that read ids; each must look only at one id at a time."""
    found = []
    modules = list(net.parts.values())
    for place, (what, values, _) in enumerate(net.wiring, net.inputs):
        if 0 not in values:
            continue
        if net.inputs > 1 or not (
            what == "differs" or (isinstance(what, int) and isinstance(modules[what], nn.Embedding))
        ):
            raise ConversionError(
                f"{net.node_name(place)} reads ids: one step at a time, only an embedding of a "
                "net's one input can"
            )
        found.append(place)
    return found


class _Compared:
    """A graph run on whole sequences, and one step at a time.

    Args:
        net: the graph.
        reads: what each input holds.
        time: which axis of an input holds the steps.
        tables: see `GraphCell`.
    """

    def __init__(
        self, net: NetGraph, reads: Sequence[Reads], time: int, tables: Sequence[int]
    ) -> None:
        self.net, self.reads, self.time, self.tables = net, reads, time, tables

    def layer(self) -> Recurrent | Stack:
        """The graph as a layer; see `per_step`."""
        with torch.no_grad(), evaluating(self.net), engine("reference"):
            for T, B in _SIZES:
                try:
                    given, whole = self._whole(T, B, 0)
                    break
                except ConversionError as error:
                    failed = error
            else:
                raise failed
            begin = self._begin(whole, self._whole(T, B, 1)[1])
            return self._made(given, whole, begin)

    def _whole(self, T: int, B: int, seed: int) -> tuple[list[Tensor], list[Any]]:
        """Random inputs, and the value of each node."""
        generator = torch.Generator().manual_seed(seed)
        lead = (B, T) if self.time else (T, B)
        dtype = dtype_of(self.net)
        given = [
            torch.randint(part.ids, (*lead, *part.shape), generator=generator)
            if part.ids
            else torch.randn(*lead, *part.shape, generator=generator, dtype=dtype)
            for part in self.reads
        ]
        values: list[Any] = []
        try:
            self.net.run(given, run_node, values)
        except Exception as error:
            name = self.net.node_name(len(values))
            raise ConversionError(f"{name} cannot run on {T} steps: {error}") from error
        return given, values

    def _begin(self, one: Sequence[Any], other: Sequence[Any]) -> list[Tensor | None]:
        """What each state begins with, the same for all inputs; None for zeros."""
        found: list[Tensor | None] = []
        modules = list(self.net.parts.values())
        for place, (what, values, options) in enumerate(self.net.wiring, self.net.inputs):
            layer = modules[what] if isinstance(what, int) else None
            if not isinstance(layer, Recurrent):
                continue
            count = options.get("states", 0)
            if not count:
                learned = layer.initial_state == "learned"
                found += [layer.initial[n] if learned else None for n in layer.cell.state]
            for number in values[len(values) - count :] if count else ():
                first = one[number][:1]
                if not ((one[number] == first).all() and (other[number] == first).all()):
                    raise ConversionError(
                        f"{self.net.node_name(place)} begins with a state that is computed from "
                        "an input: it cannot run one step at a time"
                    )
                found.append(first[0] if first.any() else None)
        return found

    def _made(
        self, given: Sequence[Tensor], whole: Sequence[Any], begin: Sequence[Tensor | None]
    ) -> Recurrent | Stack:
        net, time = self.net, self.time
        inputs = [whole[place] for place in self.tables] or given
        shapes = [list(part.shape[2:]) for part in inputs]
        T, B = given[0].shape[time], given[0].shape[1 - time]
        sizes = [size for _, size in _states(net)]
        state = [
            inputs[0].new_zeros(B, *(size if isinstance(size, tuple) else (size,)))
            if part is None
            else part.expand(B, *part.shape)
            for part, size in zip(begin, sizes, strict=True)
        ]
        one, _ = self._step([x.narrow(time, 0, 1).narrow(1 - time, 0, 1) for x in inputs],
                            [part[:1] for part in state])  # fmt: skip
        steps: list[list[Any]] = []
        for t in range(T):
            values, state = self._step([x.narrow(time, t, 1) for x in inputs], state)
            steps.append(values)
        places = [place % len(whole) for place in net.outputs]
        ends = {p: self._axis(whole[p], [values[p] for values in steps]) for p in set(places)}
        if any(axis is _DIFFERS for axis in ends.values()):
            for place in range(net.inputs, len(whole)):
                each = [values[place] for values in steps]
                if isinstance(whole[place], Tensor) and self._axis(whole[place], each) is _DIFFERS:
                    raise ConversionError(
                        f"{net.node_name(place)} gives something else one step at a time: it "
                        "looks at other steps than those up to its own, or keeps a state that is "
                        "not a layer's"
                    )
            raise ConversionError("the net gives something else one step at a time")
        axes = [self._sequences(place, steps[0][place], one[place]) for place in places]
        outputs = sum(steps[0][place].numel() for place in places) // B
        cell = GraphCell(net, shapes, axes, outputs, time, self.tables)
        return self._layer(cell, begin)

    def _step(
        self, given: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[list[Any], list[Tensor]]:
        """The value of each node at one step, and all states after it."""
        values: list[Any] = []
        try:
            _, state = _one_step(self.net, given, state, self.tables, values)
        except Exception as error:
            name = self.net.node_name(len(values))
            raise ConversionError(f"{name} cannot run on one step alone: {error}") from error
        return values, list(state)

    def _sequences(self, place: int, value: Tensor, one: Tensor) -> int:
        """The axis along which an output of a step has the sequences; `one` is that of the first.

        Raises:
            ConversionError: there is none.
        """
        allowed = TOLERANCES[value.dtype] if value.is_floating_point() else 0
        for axis in range(value.dim()):
            first = value.narrow(axis, 0, 1)
            if first.shape == one.shape and torch.allclose(first, one, allowed, allowed, True):
                return axis
        raise ConversionError(
            f"{self.net.node_name(place)}, of {list(value.shape)}, has no axis of the sequences: "
            "one step at a time, an output must have one"
        )

    def _axis(self, whole: Any, steps: Sequence[Any]) -> Any:
        """Where a value has its steps, None if it is what the last leaves, or `_DIFFERS`."""
        if not isinstance(whole, Tensor):
            return None if whole == steps[-1] else _DIFFERS
        one = steps[0]
        allowed = TOLERANCES.get(whole.dtype, 0.0)

        def close(other: Tensor) -> bool:
            return torch.allclose(other, whole, rtol=allowed, atol=allowed, equal_nan=True)

        if one.shape == whole.shape:
            return None if close(steps[-1]) else _DIFFERS
        for axis in range(whole.dim()):
            wanted = list(one.shape)
            if len(wanted) == whole.dim() and whole.shape[axis] == len(steps) * wanted[axis]:
                wanted[axis] = whole.shape[axis]
                ways = (torch.cat(list(steps), axis), torch.stack(list(steps), axis + 1))
                if list(whole.shape) == wanted and any(
                    close(way.reshape(whole.shape)) for way in ways
                ):
                    return axis
        return _DIFFERS

    def _layer(self, cell: GraphCell, begin: Sequence[Tensor | None]) -> Recurrent | Stack:
        learned = any(part is not None for part in begin)
        first = bool(self.time)
        layer = Recurrent(cell, batch_first=first, initial_state="learned" if learned else "zeros")
        for name, part in zip(cell.state, begin, strict=True) if learned else ():
            if part is not None:
                layer.initial[name].data.copy_(part.detach())
        if not self.tables:
            return layer.eval()
        return Stack(self._table(cell), layer, batch_first=first).eval()

    def _table(self, cell: GraphCell) -> nn.Embedding:
        """What all readers of ids make of each id, side by side."""
        ids = torch.arange(self.reads[0].ids)
        values: list[Any] = []
        try:  # up to what a table has not: one sequence of all ids is as good as any
            self.net.run([ids.unsqueeze(1 - self.time)], run_node, values)
        except Exception:
            assert len(values) > max(self.tables)
        parts = [values[place].reshape(len(ids), -1) for place in self.tables]
        return nn.Embedding.from_pretrained(torch.cat(parts, 1))
