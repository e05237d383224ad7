"""A graph as an ONNX model: its layers as operators, each node beside them as ONNX has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from torch import Tensor

from cello.convert.graph import NetGraph, run_node
from cello.convert.onnx.graph_functions import function, module
from cello.convert.onnx.modules import written
from cello.convert.onnx.net import Exporting
from cello.convert.onnx.step import array_of
from cello.convert.onnx.through_time import Time
from cello.convert.onnx.writer import NodeWriter
from cello.convert.onnx_read.operators.constants import Held
from cello.errors import ConversionError
from cello.layers import Bidirectional, DropIn, Recurrent
from cello.layers.layer import Layer

__all__ = ["WiredExporting"]


class WiredExporting(Exporting):
    """The graph of a `NetGraph`, for sequences: its own inputs, and its own outputs.

    Args:
        net: in eval mode.
        samples: two sets of inputs, of two sizes T and B: (7, 3) and (8, 5).
    """

    def __init__(self, net: NetGraph, samples: Sequence[Sequence[Tensor]]) -> None:
        self.put = NodeWriter()
        self.stream = self.batch_first = self.batch_first_net = False
        self.states: dict[str, str] = {}
        self.operators: dict[str, str] = {}
        self._cells: dict[str, dict[str, Any]] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._defaults: list[Any] = []
        self._given: list[str] = []
        self._ends: list[str] = []
        values: list[list[Any]] = [[], []]
        for given, made in zip(samples, values, strict=True):
            net.run(given, run_node, made)
        one, two = values
        self.xs = [self.put.name(name) for name in _called("x", net.inputs)]
        self.ys = [self.put.name(name) for name in _called("y", len(net.outputs))]
        self._inputs = [
            self._told(*parts) for parts in zip(self.xs, *samples, strict=True)
        ]  # fmt: skip
        names = self._nodes(net, one)
        for y, number in zip(self.ys, net.outputs, strict=True):
            self.put.same(names[number], y)
            self._outputs.append(self._told(y, one[number], two[number]))
        self.model = self._model(net)

    @staticmethod
    def _told(name: str, one: Tensor, two: Tensor) -> Any:
        """An input or output; its sizes are open where the samples differ."""
        known = {(7, 8): "T", (3, 5): "B"}
        shape: list[Any] = [
            a if a == b else known.get((a, b), f"{name}_{axis}")
            for axis, (a, b) in enumerate(zip(one.shape, two.shape, strict=True))
        ]
        kind = helper.np_dtype_to_tensor_dtype(array_of(one).dtype)
        return helper.make_tensor_value_info(name, kind, shape)

    def _nodes(self, net: NetGraph, samples: Sequence[Any]) -> list[Any]:
        names: list[Any] = list(self.xs)
        finals: dict[int, list[str]] = {}
        modules = list(net.parts.values())
        for place, (what, numbers, options) in enumerate(net.wiring, net.inputs):
            if what == "state":
                names.append(finals[numbers[0]][options["index"]])
                continue
            read = ["" if number is None else names[number] for number in numbers]
            given: list[Any] = [None if n is None else samples[n] for n in numbers]
            try:
                if isinstance(what, str):
                    names.append(function(self.put, what, read, given, options))
                    continue
                part, name = modules[what], net.names[what]
                if isinstance(part, (Layer, DropIn)):
                    names.append(self._layer(part, read, given, options, name))
                    finals[place] = self._ends
                elif isinstance(part, Held):
                    names.append(self.put.constant(array_of(part.value), name))
                else:
                    made = module(self.put, part, read[0])
                    names.append(made or written(self.put, part, read[0], given[0], name))
            except Exception as error:
                raise ConversionError(
                    f"{net.node_name(place)} cannot be written as ONNX: {error}"
                ) from error
        return names

    def _layer(
        self, layer: Any, read: list[str], given: list[Any], options: dict[str, Any], name: str
    ) -> str:
        """A layer's output as the graph has it; its final states stand in `_ends` then."""
        count = len(read) - options.get("states", 0)
        self._given, self._ends = read[count:], []
        lengths = self.put.integers(np.iinfo(np.int64).max)
        if options.get("lengths"):
            count -= 1
            lengths = self.put("Cast", read[count], to=TensorProto.INT64)
        parts = []
        for part, sample in zip(read[:count], given[:count], strict=True):
            if count > 1 and sample.dim() == 2:  # one number a step
                part = self.put("Unsqueeze", part, self.put.integers(-1))
            rank = max(sample.dim(), 3) if count > 1 else sample.dim()
            if layer.batch_first:
                part = self.put("Transpose", part, perm=[1, 0, *range(2, rank)])
            parts.append(part)
        x = parts[0] if len(parts) == 1 else self.put("Concat", *parts, axis=-1)
        self.batch = self.put("Shape", x, start=1, end=2, name="B")
        self.time = Time.of(self.put, x, lengths)
        if isinstance(layer, Recurrent):
            y = self._shaped(self._recurrent(layer, x, name), layer.output_size)
        elif isinstance(layer, Bidirectional):
            y = self._bidirectional(layer, x, name)
        elif isinstance(layer, DropIn):
            y = self._drop_in(layer, x, name)
        else:
            raise ConversionError(f"a {type(layer).__name__} within a graph")
        return self.put("Transpose", y, perm=[1, 0, 2]) if layer.batch_first else y

    def _state(self, name: str, shape: list[int], default: Any, layers: int | None = None) -> str:
        """What a state begins with: what the graph gives it, zeros, or what was learned."""
        if self._given:
            return self._given.pop(0)
        lead = [self.batch] if layers is None else [self.put.integers(layers), self.batch]
        size = self.put("Concat", *lead, self.put.integers(*shape), axis=0)
        return self.put("Expand", self.put.constant(default), size)

    def _final(self, name: str, part: str, shape: list[Any], like: Tensor) -> None:
        self._ends.append(part)


def _called(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}{number}" for number in range(count)]
