"""Operations between the layers of a model, such as `x[:, -1]` and `2 * x`, as layers.

Keras 3 writes down each function of `keras.ops` that a functional model calls, beside its layers.
Each is read as the layer that computes the same; the proof calls the function itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from cello.convert.keras.layers import refuse
from cello.ranges import is_number, shown

__all__ = ["MASKS", "as_layer", "called", "is_operation"]

#: The operations that Keras makes a mask with.
MASKS = ("Any", "ExpandDims", "LogicalOr", "NotEqual", "OnesLike", "ZerosLike")
#: A layer's class and what its configuration says besides its name.
Told = tuple[str, dict[str, Any]]


def is_operation(layer: Mapping[str, Any]) -> bool:
    """Whether an entry among a model's layers is a function of `keras.ops`."""
    kind, module = layer["class_name"], layer.get("module")
    if layer.get("registered_name") not in (None, kind):
        return False
    if module is not None:
        return "ops" in str(module).split(".")
    # A file .h5 does not say where a class is from; a layer says whether it is trainable.
    return kind in (*_READ, *MASKS) and "trainable" not in layer["config"]


def as_layer(layer: Mapping[str, Any], call: Any) -> dict[str, Any]:
    """The layer that computes what an operation does where it is called like this.

    Raises:
        ModelError: there is none; names the operation.
    """
    kind, config = layer["class_name"], layer["config"]
    place = f"the operation {shown(config['name'])} ({kind})"
    if kind not in _READ:
        raise refuse(place, "it has no equal here")
    made, told = _READ[kind](kind, config, call["args"], place)
    return {"class_name": made, "config": {"name": config["name"], **told}}


def called(keras: Any, layer: Mapping[str, Any], call: Any, values: Mapping[Any, Any]) -> Any:
    """What Keras makes of an operation that `as_layer` has read, of its tensors."""
    kind, config = layer["class_name"], layer["config"]
    args = _given(call["args"], values)
    if kind == "GetItem":
        return args[0][tuple(args[1])]
    function = getattr(keras.ops, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower())
    known = inspect.signature(function).parameters
    return function(*args, **{name: config[name] for name in ("axis", "keepdims") if name in config
                              and name in known})  # fmt: skip


def _given(value: Any, values: Mapping[Any, Any]) -> Any:
    """An argument with the tensors and slices that it names."""
    if isinstance(value, list):
        return [_given(part, values) for part in value]
    if not isinstance(value, dict):
        return value
    if value["class_name"] == "__slice__":
        return slice(*(value["config"][name] for name in ("start", "stop", "step")))
    name, node, place = value["config"]["keras_history"]
    return values[name, node, place]


# ------------------------------------------------------------ how each is read


def _of_two(kind: str, _config: dict[str, Any], args: list[Any], place: str) -> Told:
    """Of two tensors the layer of this name; of a tensor and a number, what scales and adds."""
    numbers = [float(part) for part in args if is_number(part)]
    if len(args) != 2 or len(numbers) > 1:
        raise refuse(place, "it must read a tensor, and another or a number")
    if not numbers:
        if kind in ("Divide", "TrueDivide"):
            raise refuse(place, "it divides by a tensor")
        return kind, {}
    (number,), first = numbers, is_number(args[0])
    if kind == "Multiply":
        return "Rescaling", {"scale": number, "offset": 0.0}
    if kind == "Add":
        return "Rescaling", {"scale": 1.0, "offset": number}
    if kind == "Subtract":
        return "Rescaling", {
            "scale": -1.0 if first else 1.0,
            "offset": number if first else -number,
        }
    if kind in ("Divide", "TrueDivide") and not first and number:
        return "Rescaling", {"scale": 1 / number, "offset": 0.0}
    raise refuse(place, f"of a tensor and {number!r}")


def _negative(*_: Any) -> Told:
    return "Rescaling", {"scale": -1.0, "offset": 0.0}


def _activation(kind: str, *_: Any) -> Told:
    return "Activation", {"activation": kind.lower()}


def _same(kind: str, config: dict[str, Any], *_: Any) -> Told:
    return kind, {"axis": config.get("axis")}


def _pooled(layer: str) -> Callable[..., Told]:
    def read(_kind: str, config: dict[str, Any], args: list[Any], place: str) -> Told:
        if config.get("axis") not in (1, [1]) or config.get("keepdims") or len(args) != 1:
            raise refuse(place, f"axis={shown(config.get('axis'))}, where that of time is known")
        return layer, {}

    return read


def _item(_kind: str, _config: dict[str, Any], args: list[Any], place: str) -> Told:
    """One place along an axis behind that of the sequences."""
    index = args[1] if isinstance(args[1], list) else [args[1]]
    whole = {"start": None, "stop": None, "step": None}
    picked = [axis for axis, part in enumerate(index) if type(part) is int]
    rest = [part for part in index if type(part) is not int]
    if picked in ([], [0]) or len(picked) > 1 or any(p.get("config") != whole for p in rest):
        raise refuse(
            place, "it takes something else than one place along one axis, as x[:, -1] does"
        )
    return "GetItem", {"axis": picked[0], "index": index[picked[0]]}


#: How each operation is read, of its class, configuration, arguments, and its place for an error.
_READ: dict[str, Callable[..., Told]] = {
    **dict.fromkeys(
        ("Add", "Divide", "Maximum", "Minimum", "Multiply", "Subtract", "TrueDivide"), _of_two
    ),
    **dict.fromkeys(("Relu", "Sigmoid", "Silu", "Softplus", "Softsign", "Tanh"), _activation),
    **dict.fromkeys(("Concatenate", "Flip"), _same),
    "GetItem": _item,
    "Max": _pooled("GlobalMaxPooling1D"),
    "Mean": _pooled("GlobalAveragePooling1D"),
    "Negative": _negative,
}
