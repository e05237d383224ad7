"""A graph of modules as a model of Keras's, node by node.

What Keras does within a layer, such as a mask that travels with its tensor or the last step of a
sequence, is several nodes here: they are put off until it is known what reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from cello.convert.graph import NetGraph
from cello.convert.keras.masked import MaskedCell
from cello.convert.keras.out.building import Building, OnItsWay
from cello.errors import ArgumentError, ModelError
from cello.layers import Bidirectional, Recurrent

__all__ = ["WiredModel", "shapes_of_inputs"]


@dataclass(frozen=True)
class _Mask:
    """Which steps there are.

    Attributes:
        tensor: what carries it in Keras, if it is made already.
        source, number: otherwise, the value that it is of, and the number that is left out.
    """

    tensor: Any = None
    source: int = 0
    number: float = 0.0


class WiredModel(Building):
    """Puts the nodes of a graph one after the other.

    Args:
        keras: the library.
        dtype: of all numbers.
        net: the graph.
        inputs: a tensor of Keras's for each input.

    Raises:
        ModelError: Keras has no layer for a node; names it.
    """

    def __init__(self, keras: Any, dtype: str, net: NetGraph, inputs: Sequence[Any]) -> None:
        super().__init__(keras, dtype, states=False)
        self.net, self.modules = net, list(net.parts.values())
        self.values: list[OnItsWay | _Mask] = [OnItsWay(x) for x in inputs]
        self.finals: dict[int, list[Any]] = {}
        self.only_last: set[int] = set()
        for what, numbers, options in net.wiring:
            if isinstance(what, int):
                made = self._module(what, numbers, options)
            elif what == "state":
                made = self._state(numbers[0], **options)
            elif what in _NODES:
                made = _NODES[what](self, numbers, **options)
            else:
                raise ModelError(
                    f"net computes {what!r} between its layers; as layers of Keras's can be "
                    f"written {', '.join(sorted(_NODES))}"
                )
            self.values.append(made)

    def model(self, inputs: Sequence[Any]) -> Any:
        """The model; a Sequential one where each layer reads the one before.

        Masks stand in a Sequential model's file as what layers do, in others as what is computed.
        """
        outputs = [self.read(number) for number in self.net.outputs]
        model = self.keras.Model(
            inputs[0] if len(inputs) == 1 else list(inputs),
            outputs[0] if len(outputs) == 1 else outputs,
        )
        x = inputs[0]
        layers = [part for part in model.layers if isinstance(part, self.layers.Layer)][1:]
        for layer in layers if len(inputs) == len(outputs) == 1 else ():
            read = layer.input if isinstance(layer.input, list) else [layer.input]
            if len(read) > 1 or read[0] is not x:
                return model
            x = layer.output
        if x is not outputs[0]:
            return model
        first = self.keras.Input(batch_shape=inputs[0].shape, dtype=inputs[0].dtype)
        return self.keras.Sequential([first, *layers])

    def tensor(self, flow: OnItsWay) -> Any:
        """The value itself.

        Raises:
            ModelError: it would lose its mask.
        """
        if flow.backwards and getattr(flow.tensor, "_keras_mask", None) is not None:
            raise ModelError(
                "net turns a masked sequence around: of Keras's layers only Bidirectional does"
            )
        return super().tensor(flow)

    def read(self, number: int) -> Any:
        """A value as a tensor."""
        return self.tensor(self.value(number))

    def value(self, number: int | None) -> OnItsWay:
        """A value that is there, and is no mask."""
        if number is None:
            raise ModelError("net has a node that leaves an input out, as no layer of Keras's does")
        value = self.values[number]
        if isinstance(value, _Mask):
            raise ModelError("net does something with a mask, which Keras keeps beside a tensor")
        return value

    def _readers(self, number: int) -> list[tuple[Any, dict[str, Any]]]:
        return [(what, options) for what, read, options in self.net.wiring if number in read]

    # ------------------------------------------------------------ modules

    def _module(self, what: int, numbers: Sequence[int], options: dict[str, Any]) -> OnItsWay:
        module, path = self.modules[what], self.net.names[what]
        if not numbers:
            raise ModelError(
                f"net.{path} ({type(module).__name__}) reads nothing, where each layer of Keras's "
                "reads something"
            )
        flow = self.value(numbers[0])
        if isinstance(module, (Recurrent, Bidirectional)) and not module.batch_first:
            raise ModelError(
                f"net.{path} reads [T, B, features], where a graph has [B, T, features]"
            )
        if isinstance(module, Recurrent):
            return self._recurrent(module, flow, path, numbers, options.get("states", 0))
        if len(numbers) > 1:
            raise ModelError(f"net.{path} ({type(module).__name__}) reads {len(numbers)} tensors")
        if isinstance(module, nn.Embedding):
            words = self._readers(numbers[0])
            masks = any(name == "differs" and more["number"] == 0 for name, more in words)
            return self._plain(module, flow, path, **({"mask_zero": True} if masks else {}))
        return self.module(module, flow, path)

    def _recurrent(
        self, layer: Recurrent, flow: OnItsWay, path: str, numbers: Sequence[int], states: int
    ) -> OnItsWay:
        here = len(self.values)
        read, given = numbers[: len(numbers) - states], numbers[len(numbers) - states :]
        if len(read) != 1 + isinstance(layer.cell, MaskedCell):
            raise ModelError(f"net.{path} reads {len(read)} tensors")
        if len(read) > 1:
            flow, given = self._masked(flow, read[1]), given[:-1]  # but for the output so far
        readers = self._readers(here)
        last = {"axis": 1, "index": -1}
        outputs = [number % (len(self.net.wiring) + self.net.inputs) for number in self.net.outputs]
        wants_last = any(what == "select" for what, _ in readers) and here not in outputs
        if wants_last and all(w == "state" or (w == "select" and o == last) for w, o in readers):
            self.only_last.add(here)
        made, self.finals[here] = self.recurrent(
            layer,
            flow,
            path,
            given=[self.read(number) for number in given],
            sequences=here not in self.only_last,
            finals=any(what == "state" for what, _ in readers),
        )
        return made

    def _state(self, number: int, index: int) -> OnItsWay:
        """A final state of a recurrent layer of one direction."""
        if number not in self.finals:
            place = number - self.net.inputs
            what = self.net.wiring[place][0] if place >= 0 else "an input"
            path = self.net.names[what] if isinstance(what, int) else what
            raise ModelError(
                f"net reads a final state of {path}; as a model of Keras's, only a recurrent layer "
                "of one direction gives these: read its output instead, at the last step of what "
                "reads forward and at the first step of what reads backward"
            )
        return OnItsWay(self.finals[number][index])

    def _masked(self, flow: OnItsWay, number: int) -> OnItsWay:
        """A sequence whose tensor carries this mask."""
        mask = self.values[number]
        if getattr(flow.tensor, "_keras_mask", None) is not None:
            return flow
        if not isinstance(mask, _Mask) or mask.tensor is None:
            raise ModelError("net leaves steps out by numbers that are no mask of Keras's")
        return replace(flow, tensor=mask.tensor)  # with 0 in what is left out, which nothing reads

    # ------------------------------------------------------------ nodes

    def flip(self, numbers: Sequence[int], axis: int) -> OnItsWay | _Mask:
        value = self.values[numbers[0]]
        if isinstance(value, _Mask):
            return value
        if axis != 1:
            raise ModelError(f"net turns axis {axis} around, where Keras's layers do that of time")
        value = OnItsWay(self.tensor(value)) if value.time_last else value
        return replace(value, backwards=not value.backwards)

    def permute(self, numbers: Sequence[int], axes: Sequence[int]) -> OnItsWay:
        if list(axes) == [0, 2, 1]:
            value = self.value(numbers[0])
            return replace(value, time_last=not value.time_last)
        name = self.name("permute")
        return OnItsWay(self.layers.Permute(tuple(axes[1:]), name=name)(self.read(numbers[0])))

    def pad(self, numbers: Sequence[int], before: int, after: int = 0) -> OnItsWay:
        if not after:
            return OnItsWay(self.read(numbers[0]), before=before)
        layer = self.layers.ZeroPadding1D((before, after), name=self.name("zero_padding1d"))
        return OnItsWay(layer(self.read(numbers[0])))

    def crop(self, numbers: Sequence[int], before: int, after: int) -> OnItsWay:
        layer = self.layers.Cropping1D((before, after), name=self.name("cropping1d"))
        return OnItsWay(layer(self.read(numbers[0])))

    def select(self, numbers: Sequence[int], axis: int, index: int) -> OnItsWay:
        if numbers[0] in self.only_last:
            return self.value(numbers[0])
        x = self.read(numbers[0])
        return OnItsWay(x[(*[slice(None)] * (axis % len(x.shape)), index)])

    def any_differs(self, numbers: Sequence[int], number: float) -> _Mask:
        value = self.values[numbers[0]]
        if isinstance(value, _Mask):  # what Keras makes of any number that is not the one
            numbers, number = [value.source], value.number
        layer = self.layers.Masking(number, name=self.name("masking"), dtype=self.dtype)
        return _Mask(layer(self.read(numbers[0])))

    def differs(self, numbers: Sequence[int], number: float) -> _Mask:
        return _Mask(None, numbers[0], number)

    def keep(self, numbers: Sequence[int]) -> OnItsWay:
        mask = self.values[numbers[1]]
        if not isinstance(mask, _Mask) or mask.tensor is None:
            raise ModelError("net leaves steps out by numbers that are no mask of Keras's")
        return OnItsWay(mask.tensor)


def _layer(kind: str, **fixed: Any) -> Callable[..., OnItsWay]:
    """A node that is a layer of Keras's, its options under the layer's names."""

    def add(model: WiredModel, numbers: Sequence[int], **options: Any) -> OnItsWay:
        arguments = {fixed[name]: value for name, value in options.items() if fixed.get(name)}
        layer = getattr(model.layers, kind)(**arguments, name=model.name(kind.lower()))
        read = [model.read(number) for number in numbers]
        return OnItsWay(layer(read if len(read) > 1 else read[0]))

    return add


_NODES: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(WiredModel, name)
        for name in ("any_differs", "crop", "differs", "flip", "keep", "pad", "permute", "select")
    },
    "add": _layer("Add"),
    "average": _layer("Average"),
    "concatenate": _layer("Concatenate", axis="axis"),
    "dot": _layer("Dot", axes="axes", normalize="normalize"),
    "max": _layer("GlobalMaxPooling1D"),
    "maximum": _layer("Maximum"),
    "mean": _layer("GlobalAveragePooling1D"),
    "minimum": _layer("Minimum"),
    "multiply": _layer("Multiply"),
    "repeat": _layer("RepeatVector", times="n"),
    "rescale": _layer("Rescaling", scale="scale", offset="offset"),
    "reshape": _layer("Reshape", shape="target_shape"),
    "subtract": _layer("Subtract"),
    "upsample": _layer("UpSampling1D", times="size"),
}


# ------------------------------------------------------------ inputs


def shapes_of_inputs(
    net: NetGraph, shapes: Sequence[Sequence[Any]] | None
) -> list[tuple[Any, ...]]:
    """The shape of each input without the batch, None for any size.

    Raises:
        ArgumentError: `shapes` does not fit, or is needed.
    """
    if shapes is None and net.shapes:
        return [tuple(shape[1:]) for shape in net.shapes]
    if shapes is None:
        return [_reached(net, number) for number in range(net.inputs)]
    if len(shapes) != net.inputs:
        raise ArgumentError(
            f"must be {net.inputs}, one for each input, got {len(shapes)}", argument="shapes"
        )
    return [tuple(shape) for shape in shapes]


def _reached(net: NetGraph, number: int) -> tuple[Any, ...]:
    modules = list(net.parts.values())
    time_last = {number: False}  # of each value that is the input, moved about
    for place, (what, numbers, _) in enumerate(net.wiring):
        if not numbers or numbers[0] not in time_last:
            continue
        module = modules[what] if isinstance(what, int) else None
        turned = time_last[numbers[0]]
        if isinstance(module, (Recurrent, Bidirectional)) and not turned:
            cell = getattr(module, "cell", None)
            return (None, (cell.cell if isinstance(cell, MaskedCell) else module).input_size)
        if isinstance(module, nn.Embedding):
            return (None,)
        if isinstance(module, nn.Conv1d) and turned:
            return (None, module.in_channels)
        if what in ("flip", "pad", "permute", "keep"):
            time_last[net.inputs + place] = turned != (what == "permute")
    raise ArgumentError(
        f"must be given, such as [(None, 3)], one for each input: what reads input {number} first "
        "does not say whether it is a sequence, and of how many features",
        argument="shapes",
    )
