"""A whole net → what a page needs to run it: JavaScript, a description, and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cello.cells import Cell
from cello.errors import ConversionError
from cello.layers.outputs.pooling import LastStep, OverTime
from cello.layers.paths import cells_of, joined
from cello.layers.stack import Stack
from cello.layers.stages import Cells, Stage, Table, as_layers, stages_of
from cello.see.page.running.step import step_function

__all__ = ["RunningNet", "running_net"]

_DTYPES = {torch.float32: "float32", torch.float64: "float64"}


@dataclass
class RunningNet:
    """What a page runs.

    Attributes:
        about: for the page, as JSON: {dtype, stages, steps, weights}.
            stages: {kind: "table", rows, size, ids, outputs, weight}, see `Table`; or
                {kind: "cells", join, outputs, layers}, each {name, step, reverse, initial}, with
                the name of a recording's layer, none for modules without a memory.
            steps: {inputs, width, outputs, states, seen, names, forced, weights}, see
                `StepFunction`; the weights are numbers of `weights`.
            weights: {name, shape, at, gates} of each; the name, such as "0.forward.W", is empty
                for what is no parameter; `at` is where its numbers begin in `numbers`; `gates` are
                those whose rows it holds one below the other, if it is so.
        steps: JavaScript, an array of the functions of the steps.
        numbers: all weights, one after the other.
    """

    about: dict[str, Any]
    steps: str
    numbers: NDArray[Any]


def running_net(net: nn.Module, ids: int | None = None) -> RunningNet:
    """The JavaScript of a net, in the mode that it is in; `nn.Dropout` between layers is left out.

    Args:
        net: a layer, or a `Stack` or `nn.Sequential` of layers, modules that work on each step by
            itself, and at the beginning an encoder or `nn.Embedding`. What comes after a `LastStep`
            runs at every step: the net's answer is that of the last one.
        ids: how many a step has, where the first module takes any number of them.

    Raises:
        ConversionError, CaptureError: a part of it has no JavaScript.
        ArgumentError: how many ids a step has is not known.

    >>> import cello
    >>> found = running_net(cello.Stack(nn.Embedding(9, 3), cello.LSTM(3, 4), nn.Linear(4, 2)))
    >>> [stage["kind"] for stage in found.about["stages"]], len(found.numbers)
    (['table', 'cells', 'cells'], 165)
    """
    layers = _at_each_step(as_layers(net))
    return _Describer(layers).written(stages_of(layers, ids))


def _at_each_step(net: nn.Module) -> nn.Module:
    """The same net, answering at each step what it would answer if the sequence ended there."""
    if not isinstance(net, Stack) or not any(isinstance(part, OverTime) for part in net):
        return net
    for part in net:
        if isinstance(part, OverTime) and not isinstance(part, LastStep):
            raise ConversionError(f"a page has no {type(part).__name__}")
    parts = [nn.Identity() if isinstance(part, LastStep) else part for part in net]
    return Stack(*parts, batch_first=net.batch_first).train(net.training)


@dataclass
class _Weights:
    """Tensors, each once."""

    dtype: torch.dtype
    about: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[NDArray[Any]] = field(default_factory=list)
    known: dict[Any, int] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)  # for no other may come to stand in its place
    size: int = 0

    def put(self, name: str, tensor: Tensor, gates: Sequence[str] = ()) -> int:
        """The number of a tensor."""
        key = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if key not in self.known:
            self.known[key] = len(self.about)
            self.kept.append(tensor)
            values = tensor.detach().to("cpu", self.dtype).contiguous().numpy().reshape(-1)
            shape = list(tensor.shape)
            self.about.append({"name": name, "shape": shape, "at": self.size, "gates": list(gates)})
            self.numbers.append(values)
            self.size += len(values)
        return self.known[key]


class _Describer:
    def __init__(self, net: nn.Module) -> None:
        tensors = [*net.parameters(), *net.buffers()]
        dtypes = {t.dtype for t in tensors if t.is_floating_point()}
        self.dtype = dtypes.pop() if len(dtypes) == 1 else torch.get_default_dtype()
        if dtypes or self.dtype not in _DTYPES:
            raise ConversionError("the net is not of float32 or float64, all of it")
        self.names = iter(cells_of(net))
        self.parameters = {p.data_ptr(): name for name, p in net.named_parameters()}
        self.weights = _Weights(self.dtype)
        self.steps: list[dict[str, Any]] = []
        self.texts: list[str] = []

    def written(self, stages: list[Stage]) -> RunningNet:
        made = [self._stage(stage) for stage in stages]
        about = {
            "dtype": _DTYPES[self.dtype],
            "stages": made,
            "steps": self.steps,
            "weights": self.weights.about,
        }
        texts = ",\n".join(self.texts)
        numbers = np.concatenate([np.zeros(0, str(about["dtype"])), *self.weights.numbers])
        return RunningNet(about, f"[{texts}]", numbers)

    def _stage(self, stage: Stage) -> dict[str, Any]:
        if isinstance(stage, Table):
            weight = getattr(stage.encoder, "weight", None)
            name = joined(stage.path, "weight")
            number = -1 if weight is None else self.weights.put(name, weight)
            return {
                "kind": "table",
                "rows": stage.rows,
                "size": stage.size,
                "ids": stage.ids,
                "outputs": stage.outputs,
                "weight": number,
            }
        if isinstance(stage, Cells):
            layers = [
                {
                    "name": (name := next(self.names)),
                    "step": self._step(layer.cell, name),
                    "reverse": layer.reverse,
                    "initial": [
                        part.detach().flatten().tolist()
                        for part in layer.begin(1, torch.zeros((), dtype=self.dtype))
                    ],
                }
                for layer in stage.layers
            ]
            join = stage.join
        else:
            step = self._step(stage.cell, None)
            layers = [{"name": None, "step": step, "reverse": False, "initial": [[0]]}]
            join = "concat"
        return {"kind": "cells", "join": join, "outputs": stage.outputs, "layers": layers}

    def _step(self, cell: Cell, path: str | None) -> int:
        found = step_function(cell, self.dtype, forced=path is not None)
        numbers = []
        for name, tensor in found.shared:
            own = self.parameters.get(tensor.data_ptr(), "") if path is None else joined(path, name)
            packed = name and tensor.shape[:1] == (len(cell.gates) * cell.hidden_size,)
            gates = cell.gates if packed else ()
            numbers.append(self.weights.put(own if name else "", tensor, gates))
        self.texts.append(found.text)
        self.steps.append(
            {
                "inputs": found.inputs,
                "width": found.width,
                "outputs": found.outputs,
                "states": list(found.states.values()),
                "seen": found.seen,
                "names": found.names,
                "forced": found.forced,
                "weights": numbers,
            }
        )
        return len(self.steps) - 1
