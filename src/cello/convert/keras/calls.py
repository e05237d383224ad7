"""Which tensors a layer reads, as Keras writes it: by layer, call and place."""

from __future__ import annotations

from typing import Any

from cello.errors import ModelError
from cello.ranges import shown

__all__ = ["call_of", "keys_of"]


def keys_of(layers: Any) -> list[tuple[str, int, int]]:
    """The tensors that a list of inputs or outputs names."""
    if layers and isinstance(layers[0], str):
        layers = [layers]
    return [(str(name), int(node), int(place)) for name, node, place in layers]


def call_of(call: Any) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]:
    """What one call of a layer reads: its inputs, and initial states."""
    if isinstance(call, dict):
        read = list(_tensors(call.get("args", [])))
        kwargs = dict(call.get("kwargs", {}))
        states = list(_tensors(kwargs.pop("initial_state", None)))
        if "sequence" in kwargs or "inputs" in kwargs:
            read += list(_tensors(kwargs.pop("sequence", None) or kwargs.pop("inputs", None)))
        return read, [*states, *_tensors(kwargs)]
    read = []
    for name, node, place, *more in call:
        if more and more[0]:
            raise ModelError(f"the layer that reads {shown(name)} is called with arguments")
        read.append((str(name), int(node), int(place)))
    return read, []


def _tensors(value: Any) -> Any:
    """The tensors that are named anywhere in the arguments of a call."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, node, place = value["config"]["keras_history"]
            yield str(name), int(node), int(place)
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
