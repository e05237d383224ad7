"""`cello.to_keras`: a net as a model of Keras's that has proved itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.graph import NetGraph
from cello.convert.keras.keras_proof import first_line, ids_of, prove_model
from cello.convert.keras.library import keras_library
from cello.convert.keras.out.building import Building, OnItsWay
from cello.convert.keras.out.wired import WiredModel, shapes_of_inputs
from cello.convert.proof import TOLERANCES, Case, prove, proved
from cello.convert.state_parts import parts_of, state_of
from cello.errors import ArgumentError, CelloError, ConversionError, ModelError
from cello.layers.mode import evaluating
from cello.layers.paths import check_module
from cello.layers.reads import dtype_of, reads_of

__all__ = ["to_keras"]


def to_keras(
    net: nn.Module, *, states: bool = False, shapes: Sequence[Sequence[Any]] | None = None
) -> Any:
    """A model of Keras's that computes what `net` does in eval mode; `net` stays as it is.

    It reads [B, T, features], as Keras does, also where `net` reads [T, B, features], or ids
    [B, T]; T and B are free. A cell becomes SimpleRNN, LSTM or GRU where its equations are that
    layer's, by whichever class. Keras runs it beside the net before it is returned;
    `cello.proof_of` says what that has shown.

    Args:
        net: a layer, or a `Stack` or `nn.Sequential` of layers, `nn.Linear`, `nn.Embedding`,
            `OneHot`, `nn.LayerNorm`, `nn.Dropout` and activations; or a graph, as `from_keras`
            returns it.
        states: whether the model also takes the initial states and returns the final ones: inputs
            [x, *states] to outputs [y, *states], cell by cell, each [B, H]; not of a graph.
        shapes: of a graph, the shape of each input without the batch, such as [(None, 3)]; by
            default as the layers say that read them.

    Returns:
        A functional model, with the backend that Keras has been imported with, else that of
        KERAS_BACKEND, else torch. `model.save("net.keras")` writes it.

    Raises:
        ModelError: Keras has no such layer; names it, and what differs.
        ConversionError: what was made does not compute what `net` does; says where.
        ArgumentError: what `net` reads is not known, or an argument is not for such a net.
        ImportError: Keras 3 is not installed.

    >>> import cello
    >>> net = cello.Stack(cello.Recurrent(cello.LSTMCell(3, 4)), nn.Linear(4, 1))
    >>> model = to_keras(net)
    >>> [type(layer).__name__ for layer in model.layers], model.output_shape
    (['InputLayer', 'LSTM', 'Dense'], (None, None, 1))
    """
    check_module(net)
    keras = keras_library()
    if isinstance(net, NetGraph):
        if states:
            raise ArgumentError("goes with layers and stacks, not with a graph", argument="states")
        return _of_graph(keras, net, shapes_of_inputs(net, shapes))
    if shapes is not None:
        raise ArgumentError("goes with a graph; a layer or a stack says itself", argument="shapes")
    reads = reads_of(net)
    if -1 in reads.shape or (reads.ids and reads.shape):
        raise ModelError("net reads several ids a step, which no layer of Keras's does")
    with evaluating(net), torch.no_grad():
        build = Building(keras, _dtype_of(net), states=states)
        kind = "int32" if reads.ids else build.dtype
        x = keras.Input((None, *reads.shape), name=build.name("x"), dtype=kind)
        y = build.tensor(build.module(net, OnItsWay(x), ""))
        model = keras.Model([x, *build.given] if states else x, [y, *build.final] if states else y)
        build.fill()
    side = _KerasSide(keras, model, net, states=states)
    proof = prove(
        net,
        side,
        name="the model",
        lengths=False,
        states=states,
        finals=states,
        tolerance=TOLERANCES[torch.float32],  # Keras rounds some of float64 to it
    )
    proved(model, proof)
    return model


def _of_graph(keras: Any, net: NetGraph, shapes: Sequence[tuple[Any, ...]]) -> Any:
    dtype, ids = _dtype_of(net), ids_of(net)
    inputs = [
        keras.Input(shape, dtype="int32" if number in ids else dtype)
        for number, shape in enumerate(shapes)
    ]
    with evaluating(net), torch.no_grad():
        try:
            build = WiredModel(keras, dtype, net, inputs)
            model = build.model(inputs)
            build.fill()
        except CelloError:
            raise
        except Exception as error:  # whatever Keras raises of what it cannot build
            told = f"Keras cannot build the model of inputs {list(shapes)}: {first_line(error)}"
            if any(size is None for shape in shapes for size in shape):
                raise ArgumentError(
                    "must give the sizes that this net needs, such as [(12, 3)] for 12 steps of 3 "
                    f"features, where None leaves one open: {told}",
                    argument="shapes",
                ) from error
            raise ModelError(told) from error
    proof = prove_model(keras, model, net, shapes)
    if proof.not_run:
        raise ConversionError(f"the model cannot be compared with net: {proof.not_run}")
    proved(model, replace(proof, only=net.only))
    return model


def _dtype_of(net: nn.Module) -> str:
    dtype = dtype_of(net)
    if dtype not in (torch.float32, torch.float64):
        raise ModelError(f"a net in {dtype} must be net.float() first: Keras computes in float32")
    return str(dtype).removeprefix("torch.")


class _KerasSide:
    """A model, run by Keras."""

    def __init__(self, keras: Any, model: Any, net: nn.Module, *, states: bool) -> None:
        self.keras, self.model, self.net, self.states = keras, model, net, states
        self.first = bool(getattr(net, "batch_first", False))

    def __call__(self, case: Case) -> tuple[Tensor, Sequence[Tensor]]:
        """The output as the net has it, and the final state."""
        x = self._turned(case.x)
        given = [x]
        if self.states:
            given += self._begin(case, len(x))
        arrays = [part.contiguous().numpy() for part in given]
        found = self.model(arrays if self.states else arrays[0], training=False)
        made = found if self.states else [found]
        y, *final = [torch.from_numpy(self.keras.ops.convert_to_numpy(part)) for part in made]
        return self._turned(y), state_of(self.net, final) if self.states else []

    def _begin(self, case: Case, B: int) -> list[Tensor]:
        if case.state is not None:
            return parts_of(self.net, case.state)
        dtype = dtype_of(self.net)
        return [torch.zeros(B, part.shape[1], dtype=dtype) for part in self.model.inputs[1:]]

    def _turned(self, x: Tensor) -> Tensor:
        return x if self.first else x.transpose(0, 1)
