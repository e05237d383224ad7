"""A net as an ONNX model: its layers one after the other, its states as inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from cello._version import __version__
from cello.cells import Cell
from cello.cells.contract.shapes import INTEGER, is_several, shape_of, width_of
from cello.cells.contract.state import shapes_of
from cello.convert.onnx.modules import written
from cello.convert.onnx.pooled import pooled
from cello.convert.onnx.step import array_of
from cello.convert.onnx.through_time import Made, Time, both_ways, one_step, through_time
from cello.convert.onnx.writer import OPSET, NodeWriter
from cello.convert.proof import Reads
from cello.convert.recurrence import Step
from cello.layers import Bidirectional, DropIn, Recurrent, Stack
from cello.layers.outputs.pooling import OverTime, pooling_of
from cello.layers.paths import joined

__all__ = ["Exporting"]

_JOINS = {"concat": None, "sum": 1.0, "mean": 0.5}


class Exporting:
    """The graph of a net, in eval mode.

    Attributes:
        states: the input of each state and the output that belongs to it, in the net's order.
        operators: what each cell has become, by its place: "RNN", "LSTM", "GRU", "Scan" or "step".
        xs, ys: the names of the inputs and outputs that are no states.
        model: the model.

    Args:
        net: a layer, a stack, a drop-in, or a module from tensor to tensor.
        sample: an input with one step and one row.
        reads: what the net reads.
        stream: one step, in place of sequences.
    """

    def __init__(self, net: Any, sample: Tensor, reads: Reads, *, stream: bool) -> None:
        self.put = NodeWriter()
        self.xs, self.ys = ([self.put.name(name)] for name in ("x", "y"))
        self.stream = stream
        self.states: dict[str, str] = {}
        self.operators: dict[str, str] = {}
        self._cells: dict[str, dict[str, Any]] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._defaults: list[TensorProto] = []
        self.batch_first_net = bool(getattr(net, "batch_first", False))
        self.batch_first = self.batch_first_net and not stream
        x = self._input(reads, sample)
        self.pools = pooling_of(net) is not None
        y, made = self._module(net, x, sample, "")
        self._end(net, y, made)
        self.model = self._model(net)

    # ------------------------------------------------------------ ends

    def _lead(self) -> list[Any]:
        if self.stream:
            return ["B"]
        return ["B", "T"] if self.batch_first else ["T", "B"]

    def _input(self, reads: Reads, sample: Tensor) -> str:
        shape = [*self._lead(), *("K" if size == -1 else size for size in reads.shape)]
        kind = TensorProto.INT64 if reads.ids else _kind(sample)
        self._inputs.append(helper.make_tensor_value_info("x", kind, shape))
        x = "x"
        if self.batch_first:
            x = self.put("Transpose", x, perm=[1, 0, *range(2, len(shape))])
        size = self.put("Shape", x, start=len(self._lead()) - 1, end=len(self._lead()), name="B")
        self.batch = size
        if not self.stream:
            lengths = self.put.name("lengths")
            self._inputs.append(helper.make_tensor_value_info(lengths, TensorProto.INT64, ["B"]))
            self._defaults.append(
                numpy_helper.from_array(np.array([np.iinfo(np.int64).max]), lengths)
            )
            self.time = Time.of(self.put, x, lengths)
        return x

    def _end(self, net: Any, y: str, made: Tensor) -> None:
        if self.pools:
            self._says(y, ["B", *made.shape[1:]], made)
            return
        if not self.stream and not isinstance(_last(net), (Recurrent, Bidirectional, DropIn)):
            zero = self.put.constant(np.array(0, array_of(made).dtype))
            mask, more = self.time.mask, made.dim() - 3
            for _ in range(more):
                mask = self.put("Unsqueeze", mask, self.put.integers(-1))
            y = self.put("Where", mask, y, zero)
        if self.batch_first:
            y = self.put("Transpose", y, perm=[1, 0, *range(2, made.dim())])
        self._says(y, [*self._lead(), *made.shape[2:]], made)

    def _says(self, y: str, shape: list[Any], made: Tensor) -> None:
        self.put.same(y, "y")
        self._outputs.insert(0, helper.make_tensor_value_info("y", _kind(made), shape))

    def _model(self, net: Any) -> ModelProto:
        constants = [*self._defaults, *self.put.constants.values()]
        graph = self.put.graph(
            type(net).__name__, self._inputs, self._outputs, initializer=constants
        )
        model = helper.make_model(
            graph,
            producer_name="cello",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        model.ir_version = helper.find_min_ir_version_for(list(model.opset_import))
        told = {"version": __version__, "cells": self._cells, "states": self.states}
        helper.set_model_props(model, {f"cello.{key}": _json(part) for key, part in told.items()})
        return model

    # ------------------------------------------------------------ modules

    def _module(self, net: Any, x: str, sample: Tensor, path: str) -> tuple[str, Tensor]:
        """What `net` makes of x, and of a sample."""
        if isinstance(net, (Stack, nn.Sequential)):
            for number, part in enumerate(net):
                x, sample = self._module(part, x, sample, joined(path, str(number)))
            return x, sample
        if isinstance(net, Recurrent):
            y, after = self._recurrent(net, x, path), net(sample)[0]
            return self._shaped(y, net.output_size), after
        if isinstance(net, Bidirectional):
            return self._bidirectional(net, x, path), net(sample)[0]
        if isinstance(net, DropIn):
            return self._drop_in(net, x, path), net(sample)[0]
        if isinstance(net, OverTime):
            made = net.over(sample, None)
            return pooled(self.put, net, x, sample, self.time, joined("net", path)), made
        return written(self.put, net, x, sample, joined("net", path)), net(sample)

    def _recurrent(self, layer: Recurrent, x: str, path: str) -> str:
        start = self._start(layer, path)
        rows = self._rows(x, layer.cell.input_size, layer)
        y, final = self._cell(layer.cell, rows, start, path, reverse=layer.reverse)
        self._finish(layer, final, path)
        return y

    def _start(self, layer: Recurrent, path: str) -> list[str]:
        """The initial states as rows, each an input of the graph."""
        cell, start = layer.cell, []
        learned = layer.initial_state == "learned"
        for name, shape in shapes_of(cell).items():
            default = layer.initial[name] if learned else _zeros(layer, shape)
            state = self._state(joined(path, name), [*shape], array_of(default)[None])
            start.append(self._rows(state, cell.state_sizes[name], layer, state=True))
        return start

    def _finish(self, layer: Recurrent, final: Sequence[str], path: str) -> None:
        """The final states, each an output of the graph."""
        for part, (name, shape) in zip(final, shapes_of(layer.cell).items(), strict=True):
            size = [-1, *shape]
            part = part if len(shape) == 1 else self.put("Reshape", part, self.put.integers(*size))
            self._final(joined(path, name), part, ["B", *shape], layer.like())

    def _bidirectional(self, layer: Bidirectional, x: str, path: str) -> str:
        parts = [layer.forward_layer, layer.backward_layer]
        paths = [joined(path, way) for way in ("forward", "backward")]
        starts = [self._start(part, at) for part, at in zip(parts, paths, strict=True)]
        rows = self._rows(x, parts[0].cell.input_size, parts[0])
        made, finals = self._both_ways([part.cell for part in parts], rows, starts, paths)
        for part, final, at in zip(parts, finals, paths, strict=True):
            self._finish(part, final, at)
        if isinstance(made, str):  # [T, 2, B, H]
            return self._joined(made, layer.join)
        ys = [self._shaped(y, part.output_size) for y, part in zip(made, parts, strict=True)]
        factor = _JOINS[layer.join]
        if factor is None:
            return self.put("Concat", *ys, axis=len(self._lead()))
        total = self.put("Add", *ys)
        if factor == 1:
            return total
        half = layer.backward_layer.like().new_tensor(factor)
        return self.put("Mul", total, self.put.constant(array_of(half)))

    def _joined(self, Y: str, join: str) -> str:
        """The outputs of both directions, [T, 2, B, H], as one of each step."""
        if join != "concat":
            operator = "ReduceSum" if join == "sum" else "ReduceMean"
            return self.put(operator, Y, self.put.integers(1), keepdims=0)
        side_by_side = self.put("Transpose", Y, perm=[0, 2, 1, 3])
        return self.put("Reshape", side_by_side, self.put.integers(0, 0, -1))

    def _drop_in(self, layer: DropIn, x: str, path: str) -> str:
        cells = layer.cells()
        first = next(iter(cells.values()))
        sizes = {name: shape[0] for name, shape in shapes_of(first).items()}

        def zeros(size: int) -> Any:
            return array_of(_zeros(layer, (len(cells), 1, size)))

        whole = {
            name: self._state(joined(path, name), [size], zeros(size), len(cells))
            for name, size in sizes.items()
        }
        starts = [
            [self.put("Gather", whole[n], self._number(number), axis=0) for n in sizes]
            for number in range(len(cells))
        ]
        finals: list[list[str]] = []
        ways = 1 + layer.bidirectional
        places = [joined(path, place) for place in cells]
        each = list(cells.values())
        for number in range(0, len(cells), ways):
            here = slice(number, number + ways)
            if ways == 1:
                x, final = self._cell(
                    each[number], x, starts[number], places[number], reverse=False
                )
                finals.append(final)
                continue
            made, both = self._both_ways(each[here], x, starts[here], places[here])
            finals += both
            if isinstance(made, str):
                x = self._joined(made, "concat")
            else:
                x = self.put("Concat", *made, axis=-1)
        for number, (name, size) in enumerate(sizes.items()):
            parts = [self.put("Unsqueeze", final[number], self.put.integers(0)) for final in finals]
            part = parts[0] if len(parts) == 1 else self.put("Concat", *parts, axis=0)
            self._final(joined(path, name), part, [len(cells), "B", size], _zeros(layer, ()))
        return x

    def _both_ways(
        self, cells: Sequence[Cell], x: str, starts: Sequence[Sequence[str]], paths: Sequence[str]
    ) -> tuple[str | list[str], list[list[str]]]:
        """The outputs, of one operator [T, 2, B, H] or of each direction, and the final states."""
        steps = [self._step(cell, path) for cell, path in zip(cells, paths, strict=True)]
        found = None if self.stream else both_ways(self.put, steps, x, starts, self.time)
        if found is not None:
            kind, Y, finals = found
            for path in paths:
                self._became(path, kind)
            return Y, finals
        made = [
            self._run(steps[way], x, starts[way], paths[way], reverse=way == 1) for way in (0, 1)
        ]
        return [y for y, _ in made], [final for _, final in made]

    def _cell(self, cell: Cell, x: str, start: Sequence[str], path: str, *, reverse: bool) -> Made:
        return self._run(self._step(cell, path), x, start, path, reverse=reverse)

    def _step(self, cell: Cell, path: str) -> Step:
        step = Step(cell, joined("net", path))
        names = list(step.lowered.program.names)
        self._cells[path] = {"cell": type(cell).__name__, "values": names}
        return step

    def _run(self, step: Step, x: str, start: Sequence[str], path: str, *, reverse: bool) -> Made:
        if self.stream:
            self.operators[path] = "step"
            return one_step(self.put, step, x, start)
        kind, made = through_time(self.put, step, x, start, self.time, reverse=reverse)
        self._became(path, kind)
        return made

    def _became(self, path: str, kind: str) -> None:
        self.operators[path] = self._cells[path]["operator"] = kind

    # ------------------------------------------------------------ states and shapes

    def _state(self, name: str, shape: list[int], default: Any, layers: int | None = None) -> str:
        """An initial state [B, ...], or [layers, B, ...]; zeros or what was learned by default."""
        given = self.put.name(f"{name}_0")
        self.states[given] = self.put.name(f"{name}_n")
        lead: list[Any] = ["B"] if layers is None else [layers, "B"]
        kind = helper.np_dtype_to_tensor_dtype(default.dtype)
        self._inputs.append(helper.make_tensor_value_info(given, kind, [*lead, *shape]))
        self._defaults.append(numpy_helper.from_array(default, given))
        parts = [self.batch, self.put.integers(*shape)]
        if layers is not None:
            parts.insert(0, self.put.integers(layers))
        return self.put("Expand", given, self.put("Concat", *parts, axis=0))

    def _final(self, name: str, part: str, shape: list[Any], like: Tensor) -> None:
        out = self.states[f"{name}_0"]
        self.put.same(part, out)
        self._outputs.append(helper.make_tensor_value_info(out, _kind(like), shape))

    def _rows(self, x: str, size: Any, layer: Recurrent, *, state: bool = False) -> str:
        """What has shapes as rows, the numbers of each side by side."""
        if size == INTEGER:
            x = self.put("Cast", x, to=_kind(layer.like()))
            return self.put("Unsqueeze", x, self.put.integers(-1))
        if is_several(size) or len(shape_of(size)) == 1:
            return x
        lead = [0] if state or self.stream else [0, 0]
        return self.put("Reshape", x, self.put.integers(*lead, width_of(size)))

    def _shaped(self, y: str, size: Any) -> str:
        if len(shape_of(size)) == 1:
            return y
        lead = [0] if self.stream else [0, 0]
        return self.put("Reshape", y, self.put.integers(*lead, *shape_of(size)))

    def _number(self, number: int) -> str:
        return self.put.constant(np.array(number, np.int64))


def _last(net: Any) -> Any:
    return _last(net[-1]) if isinstance(net, (Stack, nn.Sequential)) and len(net) else net


def _kind(tensor: Tensor) -> int:
    kind: int = helper.np_dtype_to_tensor_dtype(array_of(tensor).dtype)
    return kind


def _zeros(layer: Any, shape: Sequence[int]) -> Tensor:
    like = layer.like() if isinstance(layer, Recurrent) else next(layer.parameters())
    return like.new_zeros(tuple(shape), requires_grad=False).detach()


def _json(part: Any) -> str:
    return part if isinstance(part, str) else json.dumps(part)
