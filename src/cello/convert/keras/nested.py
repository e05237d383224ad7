"""Models inside a model of Keras's: all layers as those of one functional model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cello.convert.keras.archive import FUNCTIONAL, Archive, is_model
from cello.convert.keras.calls import Key, call_of, keys_of, renamed, topological_calls
from cello.convert.onnx_read.limits import MOST
from cello.errors import ModelError
from cello.ranges import shown

__all__ = ["flattened", "input_shape"]

#: Calls of layers in all models together; shared models within shared models multiply.
_MOST_CALLS = 20_000


def flattened(archive: Archive) -> Archive:
    """The same model without models in it: their layers are called `model.layer`.

    A model that is called several times has layers that are called several times.

    Raises:
        ModelError: the configuration is none, or calls layers more than 20,000 times.
    """
    if not any(is_model(layer) for layer in archive.config["config"]["layers"]):
        return archive
    flat = _Flat(archive.is_keras_3)
    outputs = flat.model(archive.config, "", None)
    config = {
        "layers": list(flat.layers.values()),
        "input_layers": flat.inputs,
        "output_layers": [list(key) for key in outputs],
    }
    return archive._replace(config={"class_name": "Functional", "config": config})


def input_shape(layer: dict[str, Any]) -> Sequence[Any]:
    """What a layer reads, as it says, with the batch.

    Raises:
        ModelError: it does not say it, or reads nothing, or more than can be tried.
    """
    shape = _told_shape(layer)
    sizes = [1 if size is None else size for size in shape]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ModelError(f"the model's input must be of sizes from 1, or None, is {shown(shape)}")
    if math.prod(sizes) > MOST:
        raise ModelError(f"the model's input is {shown(shape)}, too large to try")
    return shape


def _told_shape(layer: dict[str, Any]) -> list[Any]:
    config = layer["config"]
    for name in ("batch_shape", "batch_input_shape"):
        if config.get(name):
            return list(config[name])
    build = layer.get("build_config", {}).get("input_shape")
    if not build and is_model(layer):
        return _told_shape(config["layers"][0])
    if not build:
        raise ModelError("the model's input has no shape: it was saved before it was built")
    return list(build)


class _Flat:
    """The layers so far, each with its calls, and the inputs of the whole.

    Args:
        is_keras_3: whether Keras 3 wrote the model.
    """

    def __init__(self, is_keras_3: bool) -> None:
        self.is_keras_3 = is_keras_3
        self.layers: dict[str, dict[str, Any]] = {}
        self.inputs: list[list[Any]] = []
        self.calls = 0

    def model(self, model: dict[str, Any], prefix: str, given: Sequence[Key] | None) -> list[Key]:
        """Add one call of a model on these tensors, or on inputs of the whole; what it gives."""
        config = model["config"]
        if model["class_name"] == "Sequential":
            return self._sequential(config["layers"], prefix, given)
        layers = {layer["config"]["name"]: layer for layer in config["layers"]}
        entries = keys_of(config["input_layers"])
        if given is None:
            given = [self._input(layers[name]) for name, _, _ in entries]
        if len(given) != len(entries):
            raise ModelError(
                f"the model {shown(prefix)} has {len(entries)} inputs, reads {len(given)}"
            )
        made = {(name, node): [key] for (name, node, _), key in zip(entries, given, strict=True)}
        outputs = keys_of(config["output_layers"])
        begin: dict[str, int] = {}
        if self.is_keras_3:  # which counts calls of models from 1, among the outputs alone
            outputs = [
                (name, node - (layers[name]["class_name"] in FUNCTIONAL), place)
                for name, node, place in outputs
            ]
        else:
            begin = _counted_from_1(layers, outputs)

        def found(key: Key) -> Key:
            name, node, place = key
            keys = made[name, node]
            return keys[place] if is_model(layers[name]) else (*keys[0][:2], keys[0][2] + place)

        for name, node, call in topological_calls(layers, lambda key: key[:2] in made):
            layer = layers[name]
            if not is_model(layer):
                written = layer["inbound_nodes"][node]
                made[name, node] = [self._call(layer, prefix, renamed(written, found))]
                continue
            if call.states or call.mask is not None:
                raise ModelError(
                    f"the model {shown(prefix + name)} is called with more than inputs"
                )
            read = [
                found(key) for key in _as_listed(call.read, layer, layer["inbound_nodes"][node])
            ]
            made[name, node + begin.get(name, 0)] = self.model(
                layer, f"{_full(prefix, layer)}.", read
            )
        return [found(key) for key in outputs]

    def _sequential(
        self, layers: Sequence[dict[str, Any]], prefix: str, given: Sequence[Key] | None
    ) -> list[Key]:
        if not layers:
            raise ModelError("the model has no layers")
        value = list(given) if given is not None else [self._input(layers[0])]
        for layer in layers:
            if layer["class_name"] == "InputLayer":
                continue
            if is_model(layer):
                value = self.model(layer, f"{_full(prefix, layer)}.", value)
            else:
                value = [self._call(layer, prefix, [[*key, {}] for key in value])]
        return value

    def _input(self, layer: dict[str, Any]) -> Key:
        name = f".input{len(self.inputs)}"
        ids = layer["class_name"] == "Embedding"
        config = {"name": name, "batch_shape": input_shape(layer)}
        config["dtype"] = "int32" if ids else layer["config"].get("dtype")
        self.layers[name] = {"class_name": "InputLayer", "config": config}
        self.inputs.append([name, 0, 0])
        return name, 0, 0

    def _call(self, layer: dict[str, Any], prefix: str, call: Any) -> Key:
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise ModelError(f"its models call layers more than {_MOST_CALLS:,} times")
        name = _full(prefix, layer)
        config = {**layer["config"], "name": name}
        flat = self.layers.setdefault(name, {**layer, "config": config, "inbound_nodes": []})
        flat["inbound_nodes"].append(call)
        return name, len(flat["inbound_nodes"]) - 1, 0


def _counted_from_1(layers: dict[str, dict[str, Any]], outputs: Sequence[Key]) -> dict[str, int]:
    """The models whose first call has the number 1: something reads as many as there are."""
    calls = [
        call_of(call) for layer in layers.values() for call in layer.get("inbound_nodes") or ()
    ]
    named = [*outputs, *(key for call in calls for key in call.keys)]
    return {
        name: 1
        for name, node, _ in named
        if is_model(layers[name]) and node == len(layers[name].get("inbound_nodes") or ())
    }


def _as_listed(read: list[Key], model: dict[str, Any], call: Any) -> list[Key]:
    """What a call of a model reads, in the order of its inputs.

    A dict is given to a model with a list of inputs by their names.
    """
    told = call["args"][0] if isinstance(call, dict) and call.get("args") else None
    inputs = model["config"].get("input_layers")
    if not isinstance(told, dict) or "class_name" in told or isinstance(inputs, dict):
        return read
    by_name = dict(zip(sorted(told), read, strict=True))
    return [by_name[name] for name, _, _ in keys_of(inputs)]


def _full(prefix: str, layer: dict[str, Any]) -> str:
    name = str(layer["config"]["name"])
    if "." in name:
        raise ModelError(
            f"the layer {shown(name)} has a point in its name, beside models in a model"
        )
    return prefix + name
