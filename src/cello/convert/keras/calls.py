"""Which tensors a layer reads, as Keras writes it: by layer, call and place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from cello.errors import ModelError
from cello.ranges import shown

__all__ = ["Called", "Key", "Passed", "call_of", "keys_of", "renamed", "topological_calls"]

#: A tensor: its layer, which call of it, and which of what that gives.
Key = tuple[str, int, int]


@dataclass(frozen=True)
class Passed:
    """A tensor on its way.

    Attributes:
        number: of it in the graph.
        rank: how many dimensions it has.
        mask: the number of its mask.
        is_named: whether the call that reads it names that mask.
    """

    number: int
    rank: int
    mask: int | None = None
    is_named: bool = False


def keys_of(layers: Any) -> list[Key]:
    """The tensors that inputs or outputs name, as Keras flattens them: of a dict by sorted keys."""
    if isinstance(layers, dict):
        layers = [layers[name] for name in sorted(layers)]
    if layers and isinstance(layers[0], str):
        name, node, place = layers
        return [(name, int(node), int(place))]
    return [key for part in layers for key in keys_of(part)]


class Called(NamedTuple):
    """What one call of a layer reads.

    Attributes:
        read: its inputs.
        states: its initial states.
        mask: its mask, if the call names one.
        number: what an operation takes besides, such as the one that a mask compares with.
    """

    read: list[Key]
    states: list[Key]
    mask: Key | None = None
    number: float = 0.0

    @property
    def keys(self) -> list[Key]:
        """All of the tensors."""
        return [*self.read, *self.states, *([] if self.mask is None else [self.mask])]


def call_of(call: Any) -> Called:
    """What one call of a layer reads."""
    if isinstance(call, dict):
        args, kwargs = call.get("args", []), dict(call.get("kwargs", {}))
        read = list(_tensors(args))
        states = list(_tensors(kwargs.pop("initial_state", None)))
        mask = list(_tensors(kwargs.pop("mask", None)))
        if "sequence" in kwargs or "inputs" in kwargs:
            read += list(_tensors(kwargs.pop("sequence", None) or kwargs.pop("inputs", None)))
        if len(mask) > 1:
            raise ModelError("a layer is called with several masks")
        for name, value in kwargs.items():
            if name != "training" and value and not list(_tensors(value)) and _is_told(value):
                raise ModelError(f"a layer is called with {name}={shown(value)}")
        number = args[1] if len(args) > 1 and isinstance(args[1], (int, float)) else 0.0
        return Called(
            read, [*states, *_tensors(list(kwargs.values()))], mask[0] if mask else None, number
        )
    read = []
    for name, node, place, *more in call:
        if more and any(key != "training" for key in more[0]):
            raise ModelError(f"the layer that reads {shown(name)} is called with arguments")
        read.append((str(name), int(node), int(place)))
    return Called(read, [])


def topological_calls(
    layers: dict[str, dict[str, Any]], made: Callable[[Key], bool]
) -> Iterator[tuple[str, int, Called]]:
    """Each call of layers, by name and number, once all that it reads is made.

    Raises:
        ModelError: a layer reads what is never computed.
    """
    waiting = [
        (name, node, call_of(call))
        for name, layer in layers.items()
        for node, call in enumerate(layer.get("inbound_nodes") or [])
    ]
    while waiting:
        later = []
        for name, node, call in waiting:
            if all(map(made, call.keys)):
                yield name, node, call
            else:
                later.append((name, node, call))
        if len(later) == len(waiting):
            raise ModelError(f"the layer {waiting[0][0]} reads what is never computed")
        waiting = later


def renamed(call: Any, new: Callable[[Key], Key]) -> Any:
    """A call as Keras writes it, of other tensors."""
    if isinstance(call, list) and len(call) in (3, 4) and isinstance(call[0], str):
        return [*new((call[0], int(call[1]), int(call[2]))), *call[3:]]  # of Keras 2
    if isinstance(call, list):
        return [renamed(part, new) for part in call]
    if not isinstance(call, dict):
        return call
    if call.get("class_name") != "__keras_tensor__":
        return {name: renamed(part, new) for name, part in call.items()}
    name, node, place = call["config"]["keras_history"]
    history = list(new((str(name), int(node), int(place))))
    return {**call, "config": {**call["config"], "keras_history": history}}


def _is_told(value: Any) -> bool:
    """Whether it says anything: a list of None does not."""
    return not isinstance(value, list) or any(map(_is_told, filter(None, value)))


def _tensors(value: Any) -> Any:
    """The tensors that are named anywhere in the arguments of a call, of a dict by sorted keys."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, node, place = value["config"]["keras_history"]
            yield str(name), int(node), int(place)
            return
        value = [value[name] for name in sorted(value)]
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
