"""A model that was opened, run beside Keras's own layers with the arrays of the file.

Keras's own way of opening a file is not taken: it imports what a file names. Its layers are built
here, by the names that are known, of numbers and words alone, and called as the file says.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.graph import NetGraph
from cello.convert.graph.fixed import open_sizes
from cello.convert.keras.archive import Archive
from cello.convert.keras.calls import keys_of, topological_calls
from cello.convert.keras.library import keras_library
from cello.convert.keras.nested import input_shape
from cello.convert.keras.operations import called, is_operation
from cello.convert.proof import TOLERANCES, Case, Proof, prove, run_net
from cello.errors import CelloError

__all__ = ["ids_of", "open_shapes", "prove_beside_keras", "prove_model"]

#: Steps that a layer adds or repeats, and sizes of an input: what asks for more is not run.
_LONGEST = 10_000
#: (T, B), and what is added to the T that is the least that a model runs with.
_SIZES = ((0, 1), (0, 3), (5, 1), (4, 4), (8, 2))


def prove_beside_keras(net: Any, archive: Archive, shapes: Sequence[Sequence[Any]]) -> Proof:
    """Compare a network with the model of Keras's in the file that it was made of.

    Args:
        net: what was made.
        archive: the file.
        shapes: of each input, without the batch.

    Returns:
        What was found; with `not_run` where Keras is not installed or cannot build the model.

    Raises:
        ConversionError: the two are not equal; says where.
    """
    try:
        keras = keras_library()
    except ImportError as error:
        return Proof(not_run=f"nothing was run, only sizes were compared: {error}")
    try:
        model = _Rebuilt(keras, archive).model()
    except Exception as error:  # whatever Keras raises of what it does not take
        return Proof(not_run=f"Keras cannot build the model: {first_line(error)}")

    return prove_model(keras, model, net, shapes)


def prove_model(keras: Any, model: Any, net: Any, shapes: Sequence[Sequence[Any]]) -> Proof:
    """Compare a network that reads [B, T, features] with a model of Keras's.

    Args:
        keras: the library.
        model: of the same inputs and outputs.
        net: a graph or a stack.
        shapes: of each input, without the batch.

    Returns:
        What was found; with `not_run` where it would take too much memory, or cannot be run.

    Raises:
        ConversionError: the two are not equal; says where.
    """
    longest = _longest_of(net, shapes)
    if longest > _LONGEST:
        return Proof(not_run=f"something in it is {longest:,} steps or numbers long")

    def other(case: Case) -> tuple[Any, list[Tensor]]:
        given = case.x if isinstance(case.x, tuple) else (case.x,)
        arrays = [part.contiguous().numpy() for part in given]
        with warnings.catch_warnings():  # sequences of one step are what is asked for here
            warnings.filterwarnings("ignore", "You are using a softmax over axis")
            found = model(arrays if len(arrays) > 1 else arrays[0], training=False)
        several = found if isinstance(found, (list, tuple)) else [found]
        made = [torch.from_numpy(keras.ops.convert_to_numpy(part)) for part in several]
        return (made[0] if len(made) == 1 else tuple(made)), []

    inputs = _Inputs(net, shapes)
    least = inputs.least()
    if least is None:
        return Proof(not_run="no number of steps up to 64 was found that the network runs with")
    try:
        other(Case("", inputs.draw(least, 1, torch.Generator().manual_seed(0))))
    except Exception as error:
        return Proof(not_run=f"Keras cannot run the model: {first_line(error)}")
    fixed = all(None not in shape for shape in shapes)
    sizes = [(least if fixed else least + more, B) for more, B in _SIZES]

    return prove(
        net,
        other,
        name="the model of Keras's",
        draw=inputs.draw,
        sizes=sizes,
        lengths=False,
        states=False,
        finals=False,
        tolerance=TOLERANCES[torch.float32],  # Keras rounds some of float64 to it
    )


def open_shapes(net: NetGraph, shapes: Sequence[Sequence[Any]]) -> list[list[int | None]]:
    """The shape of each input with the batch; None for a size that a file fixes and a net does not.

    Args:
        net: what was made.
        shapes: of each input in the file, without the batch.
    """
    found = [[None, *shape] for shape in shapes]
    inputs = _Inputs(net, shapes)
    least = inputs.least() if _longest_of(net, shapes) <= _LONGEST else None
    if least is None:
        return found
    given = inputs.draw(least, 1, torch.Generator().manual_seed(0))
    return open_sizes(net, given if isinstance(given, tuple) else (given,), found)


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _longest_of(net: Any, shapes: Sequence[Sequence[Any]]) -> int:
    """The most steps or numbers that anything in it is long."""
    return max(
        [_longest(options) for _, _, options in getattr(net, "wiring", [])]
        + [size for shape in shapes for size in shape if size is not None],
        default=0,
    )


def _longest(options: dict[str, Any]) -> int:
    """Steps that a node makes."""
    shape = [size for size in options.get("shape", []) if size > 0]
    return max([options.get(name, 0) for name in ("times", "before", "after")] + shape)


def ids_of(net: Any) -> dict[int, int]:
    """How many ids there are, of each input that has them."""
    if not isinstance(net, NetGraph):
        return {0: net[0].num_embeddings} if isinstance(net[0], nn.Embedding) else {}
    modules = list(net.parts.values())
    tables = [
        (values[0], modules[what])
        for what, values, _ in net.wiring
        if isinstance(what, int) and values
    ]
    return {
        number: module.num_embeddings
        for number, module in tables
        if isinstance(module, nn.Embedding)
    }


class _Inputs:
    """Random inputs of a model; where it masks, some steps are masked."""

    def __init__(self, net: Any, shapes: Sequence[Sequence[Any]]) -> None:
        self.net, self.shapes = net, shapes
        self.ids = ids_of(net)
        wiring = net.wiring if isinstance(net, NetGraph) else []
        masks = [options["number"] for what, _, options in wiring if what == "any_differs"]
        self.masked: float | None = masks[-1] if masks else None

    def draw(self, T: int, B: int, generator: torch.Generator) -> Any:
        """One tensor, or a tuple of several."""
        made = []
        for place, wanted in enumerate(self.shapes):
            shape = [B, *(T if size is None else size for size in wanted)]
            if place in self.ids:
                made.append(torch.randint(0, self.ids[place], shape, generator=generator))
                continue
            x = torch.randn(shape, generator=generator, dtype=self._dtype())
            if self.masked is not None and len(shape) == 3:
                x[torch.rand(shape[:2], generator=generator) < 0.3] = self.masked
            made.append(x)
        return made[0] if len(made) == 1 else tuple(made)

    def _dtype(self) -> torch.dtype:
        floats = (p.dtype for p in self.net.parameters() if p.is_floating_point())
        return next(floats, torch.float32)

    def least(self) -> int | None:
        """The least number of steps that the network runs with."""
        for T in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64):
            try:
                run_net(self.net, Case("", self.draw(T, 1, torch.Generator().manual_seed(0))))
            except CelloError:
                continue
            return T
        return None


class _Rebuilt:
    """Builds the model in a file of Keras's own layers."""

    def __init__(self, keras: Any, archive: Archive) -> None:
        self.keras, self.archive = keras, archive

    def model(self) -> Any:
        """The model, with its weights."""
        config = self.archive.config["config"]
        if self.archive.config["class_name"] == "Sequential":
            inputs, outputs = self._sequential(config["layers"])
        else:
            inputs, outputs = self._functional(config)
        one = len(inputs) == 1
        return self.keras.Model(
            inputs[0] if one else inputs, outputs[0] if len(outputs) == 1 else outputs
        )

    def _sequential(self, layers: Sequence[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
        x: Any = None
        inputs = []
        for layer in layers:
            if x is None:
                x = self._input(layer)
                inputs.append(x)
                if layer["class_name"] == "InputLayer":
                    continue
            x = self._call(layer, [x], {})[0]
        return inputs, [x]

    def _functional(self, config: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        layers = {layer["config"]["name"]: layer for layer in config["layers"]}
        keys = keys_of(config["input_layers"])
        inputs = [self._input(layers[name]) for name, _, _ in keys]
        values: dict[tuple[str, int, int], Any] = dict(zip(keys, inputs, strict=True))
        for name, node, call in topological_calls(layers, values.__contains__):
            given: dict[str, Any] = {}
            if call.states:
                given["initial_state"] = [values[key] for key in call.states]
            if call.mask is not None:
                given["mask"] = values[call.mask]
            elif given and not self.archive.is_keras_3:  # which heeds masks beside states
                given["mask"] = getattr(values[call.read[0]], "_keras_mask", None)
            if is_operation(layers[name]):
                written = layers[name]["inbound_nodes"][node]
                found = [called(self.keras, layers[name], written, values)]
            else:
                found = self._call(layers[name], [values[key] for key in call.read], given)
            values |= {(name, node, place): value for place, value in enumerate(found)}
        return inputs, [values[key] for key in keys_of(config["output_layers"])]

    def _input(self, layer: dict[str, Any]) -> Any:
        config = layer["config"]
        shape = input_shape(layer)
        dtype = _dtype(config)
        kind = layer["class_name"]
        return self.keras.Input(tuple(shape[1:]), dtype="int32" if kind == "Embedding" else dtype)

    def _call(self, layer: dict[str, Any], read: list[Any], more: dict[str, Any]) -> list[Any]:
        kind, config = layer["class_name"], layer["config"]
        made = self._made(kind, config)
        found = made(read if len(read) > 1 else read[0], **more)
        arrays = self.archive.arrays.get(str(config["name"]), [])
        if arrays:
            made.set_weights(arrays)
        return list(found) if isinstance(found, (list, tuple)) else [found]

    def _made(self, kind: str, config: dict[str, Any]) -> Any:
        maker = getattr(self.keras.layers, kind)
        return maker(**dict(self._arguments(maker, kind, config)))

    def _arguments(
        self, maker: Callable[..., Any], kind: str, config: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """Numbers, words and lists of them, and layers in it; no objects that a file names."""
        known = {*inspect.signature(maker).parameters, "zero_output_for_mask"}
        for name, value in config.items():
            if name not in known or name.endswith(_LEFT_OUT) or name in ("stateful", "dtype"):
                continue
            if name in ("layer", "backward_layer", "cell") and isinstance(value, dict):
                yield name, self._nested(value)
            elif name.endswith("activation"):
                yield name, self._activation(value)
            elif _is_plain(value):
                yield name, value
        if "dtype" in config:
            yield "dtype", _dtype(config)
        if kind in ("GRU", "GRUCell"):
            yield from [] if "reset_after" in config else [("reset_after", False)]
        if kind == "LeakyReLU" and "alpha" in config:
            yield "negative_slope", config["alpha"]

    def _activation(self, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value["config"], dict):  # a layer stands for one
            return self._made(value["class_name"], value["config"])
        name = value["config"] if isinstance(value, dict) else value
        if name == "hard_sigmoid" and not self.archive.is_keras_3:
            return lambda x: self.keras.ops.clip(0.2 * x + 0.5, 0, 1)
        return name

    def _nested(self, part: dict[str, Any]) -> Any:
        kind, config = part["class_name"], part["config"]
        if kind == "StackedRNNCells":
            return [self._made(cell["class_name"], cell["config"]) for cell in config["cells"]]
        return self._made(kind, config)


_LEFT_OUT = ("_initializer", "_regularizer", "_constraint")


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _dtype(config: dict[str, Any]) -> str:
    dtype = config.get("dtype") or "float32"
    return str(dtype["config"]["name"] if isinstance(dtype, dict) else dtype)
