"""RTNeural's files, the format of neural audio plug-ins, read.

J. Chowdhury, "RTNeural: Fast Neural Inferencing for Real-Time Systems", arXiv:2106.03037 (2021).
A file is JSON in one of two forms: the layers of a Keras model with their weights (rows are
inputs; an LSTM has its columns in the order i f g o, a GRU in the order z r n and two biases), or
the state dict of a PyTorch model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cello.convert.drawn import Drawn
from cello.convert.graph import NetGraph
from cello.convert.proof import Proof, proof_of, prove, proved, together
from cello.convert.pytorch import from_torch
from cello.convert.rtneural.computed import FileSide
from cello.convert.wires import Wiring
from cello.errors import ModelError
from cello.layers import GRU, LSTM, DropIn, Stack
from cello.ranges import shown

__all__ = ["ACTIVATIONS", "from_rtneural", "r_and_z_exchanged"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}
#: A file of weights for a plug-in has some kilobytes; this is far more than one can run.
_LARGEST = 64 * 2**20
#: Steps that a convolution looks back.
_FARTHEST = 100_000


def from_rtneural(file: str | Path) -> NetGraph | Stack:
    """The network in a JSON file of RTNeural's, in eval mode.

    Both forms are read. In that of a state dict the layers follow each other in the order of the
    file, with nothing between them: which functions a model puts there, the file does not say.

    What is returned has been run beside RTNeural's equations, as they are written once more in
    `cello.convert.rtneural.computed`, and of a state dict beside PyTorch's layers; RTNeural itself,
    a library in C++, is not run. `cello.proof_of` says what that has shown.

    Returns:
        A `Stack` of `nn.Linear`, activations, `cello.LSTM` and `cello.GRU`; x is [T, B, features].
        With convolutions over steps, which read no later step, a `NetGraph`; x is [B, T, features].

    Raises:
        ModelError: the file cannot be read, is damaged, or has a layer that is not one of these;
            says which.
        ConversionError: the network does not compute what the file says; says where.
    """
    file = Path(file)
    try:
        if file.stat().st_size > _LARGEST:
            raise ModelError(f"{file} is larger than {_LARGEST // 2**20} MiB")
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is no JSON file: {error}") from error
    except MemoryError as error:
        raise ModelError(f"{file} does not fit into the memory of this machine") from error
    try:
        net = _net(data)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    proved(net, _proof(net, data, file))
    return net


def _proof(net: NetGraph | Stack, data: dict[str, Any], file: Path) -> Proof:
    if "layers" in data:
        side = FileSide(data["layers"], net.batch_first)
        if isinstance(net, NetGraph):
            drawn = Drawn(net)
            return prove(
                net, side, name=file.name, draw=drawn.one, sizes=drawn.sizes,
                lengths=False, states=False, finals=False,
            )  # fmt: skip
        return prove(net, side, name=file.name, states=False, finals=False)
    return together(found for module in net.children() if (found := proof_of(module)) is not None)


def _net(data: Any) -> NetGraph | Stack:
    if not isinstance(data, dict):
        raise ModelError("it must be a table with layers, or a state dict")
    modules = list(_layers(data) if "layers" in data else _state_dict(data))
    _check_chain(modules)
    if not any(isinstance(module, nn.Conv1d) for module in modules):
        return Stack(*modules).eval()
    graph = Wiring()
    value = graph.new_input()
    for module in modules:
        if isinstance(module, nn.Conv1d):
            back = module.dilation[0] * (module.kernel_size[0] - 1)
            value = graph.node("pad", [value], before=back)
            value = graph.node("permute", [value], axes=[0, 2, 1])
            value = graph.module(module, [value], "conv1d")
            value = graph.node("permute", [value], axes=[0, 2, 1])
        else:
            if isinstance(module, DropIn):
                module.batch_first = True
            value = graph.module(module, [value], type(module).__name__.lower())
    return graph.net([value])


def _layers(data: dict[str, Any]) -> Iterator[nn.Module]:
    """The modules of the form that Keras's models are written in."""
    if not isinstance(data["layers"], list) or not data["layers"]:
        raise ModelError("layers must be a list with at least one layer")
    width = _last_size(data.get("in_shape"), "in_shape")
    for number, layer in enumerate(data["layers"]):
        place = f"layers[{number}]"
        if not isinstance(layer, dict):
            raise ModelError(f"{place} must be a table, got {shown(layer)}")
        kind = layer.get("type")
        if kind not in (known := sorted([*_READERS, "activation", "conv1d"])):
            raise ModelError(f"{place} is of type {shown(kind)}; known are {', '.join(known)}")
        size = _last_size(layer.get("shape"), f"{place}.shape")
        activation = layer.get("activation") or None
        if kind == "activation":  # a layer of its own
            if size != width or activation is None:
                raise ModelError(f"{place} (activation) must name a function of {width} numbers")
            yield _activation(activation, f"{place} ({kind})")
            continue
        weights = layer.get("weights")
        if not isinstance(weights, list):
            raise ModelError(f"{place}.weights must be a list of arrays")
        if kind == "conv1d":
            made = _conv1d(layer, weights, width, size, place)
        else:
            made = _READERS[kind](weights, width, size, f"{place} ({kind})")
        yield made
        width = size
        if isinstance(made, DropIn):
            if activation not in (None, "tanh"):
                raise ModelError(
                    f"{place} ({kind}) has the activation {shown(activation)}, where RTNeural "
                    "computes tanh"
                )
        elif activation is not None:
            yield _activation(activation, f"{place} ({kind})")


def _activation(name: Any, place: str) -> nn.Module:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ModelError(
            f"{place} has the activation {shown(name)}; known are {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]()


def _last_size(shape: Any, place: str) -> int:
    size = shape[-1] if isinstance(shape, list) and shape else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ModelError(f"{place} must be a list that ends in a size, got {shown(shape)}")
    return size


def _array(weights: list[Any], number: int, shape: tuple[int, ...], place: str) -> Tensor:
    if number >= len(weights):
        raise ModelError(f"{place} must have {number + 1} arrays of weights, has {len(weights)}")
    return _numbers(weights[number], f"{place}.weights[{number}]", shape)


def _numbers(value: Any, place: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """A list of lists as a tensor.

    Raises:
        ModelError: they are not numbers, or not of this shape.
    """
    try:
        array = np.array(value if _all_numbers(value) else None)
    except (ValueError, RecursionError):
        array = np.array(None)
    wanted = "numbers" if shape is None else f"numbers {list(shape)}"
    if array.dtype.kind not in "fiu":
        raise ModelError(f"{place} must be {wanted}, found something else")
    if shape is not None and array.shape != shape:
        raise ModelError(f"{place} must be {wanted}, found {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ModelError(f"{place} contains NaN or infinity")
    return torch.from_numpy(array).to(torch.get_default_dtype())


def _all_numbers(value: Any) -> bool:
    """Whether lists hold numbers only: of a long text, NumPy makes an array as wide for each."""
    if isinstance(value, list):
        return all(map(_all_numbers, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _dense(weights: list[Any], width: int, size: int, place: str) -> nn.Module:
    weight = _array(weights, 0, (width, size), place).T
    bias = _array(weights, 1, (size,), place)
    return _filled(nn.utils.skip_init(nn.Linear, width, size), weight=weight, bias=bias)


def _conv1d(
    layer: dict[str, Any], weights: list[Any], width: int, size: int, place: str
) -> nn.Module:
    """A convolution over the steps up to its own."""
    K, by = (_last_size(layer.get(name), f"{place}.{name}") for name in ("kernel_size", "dilation"))
    if K * by > _FARTHEST or layer.get("groups", 1) != 1:
        raise ModelError(f"{place} (conv1d) reads more than {_FARTHEST:,} steps, or has groups")
    weight = _array(weights, 0, (K, width, size), f"{place} (conv1d)").permute(2, 1, 0)
    bias = _array(weights, 1, (size,), f"{place} (conv1d)")
    made = nn.utils.skip_init(nn.Conv1d, width, size, K, dilation=by)
    return _filled(made, weight=weight, bias=bias)


def _lstm(weights: list[Any], width: int, size: int, place: str) -> nn.Module:
    bias = _array(weights, 2, (4 * size,), place)
    return _filled(
        LSTM(width, size),
        weight_ih_l0=_array(weights, 0, (width, 4 * size), place).T,
        weight_hh_l0=_array(weights, 1, (size, 4 * size), place).T,
        bias_ih_l0=bias,
        bias_hh_l0=torch.zeros_like(bias),
    )


def _gru(weights: list[Any], width: int, size: int, place: str) -> nn.Module:
    bias = _array(weights, 2, (2, 3 * size), place)
    return _filled(
        GRU(width, size),
        weight_ih_l0=r_and_z_exchanged(_array(weights, 0, (width, 3 * size), place).T),
        weight_hh_l0=r_and_z_exchanged(_array(weights, 1, (size, 3 * size), place).T),
        bias_ih_l0=r_and_z_exchanged(bias[0]),
        bias_hh_l0=r_and_z_exchanged(bias[1]),
    )


_READERS: dict[str, Callable[[list[Any], int, int, str], nn.Module]] = {
    "dense": _dense,
    "time-distributed-dense": _dense,
    "lstm": _lstm,
    "gru": _gru,
}


def r_and_z_exchanged(rows: Tensor) -> Tensor:
    """From the order z r n to r z n, or back."""
    one, two, n = rows.chunk(3)
    return torch.cat([two, one, n])


def _filled(module: nn.Module, **weights: Tensor) -> nn.Module:
    module.load_state_dict(weights)
    return module


def _state_dict(data: dict[str, Any]) -> Iterator[nn.Module]:
    """The modules of the form that PyTorch's models are written in."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in data.items():
        module, _, name = key.rpartition(".")
        groups.setdefault(module, {})[name] = _numbers(value, key)
    if not groups:
        raise ModelError("it is empty")
    for module, weights in groups.items():
        if "weight_ih_l0" in weights:
            yield from_torch(weights)
        elif set(weights) <= {"weight", "bias"} and getattr(weights.get("weight"), "ndim", 0) == 2:
            size, width = weights["weight"].shape
            made = nn.utils.skip_init(nn.Linear, width, size, bias="bias" in weights)
            if "bias" in weights and weights["bias"].shape != (size,):
                raise ModelError(f"{module}.bias must be [{size}]")
            yield _filled(made, **weights)
        else:
            raise ModelError(f"{shown(module)} is neither a recurrent nor a linear layer")


def _check_chain(modules: list[nn.Module]) -> None:
    width = None
    for number, module in enumerate(modules):
        names = ("input_size", "in_features", "in_channels")
        reads = next((getattr(module, n) for n in names if hasattr(module, n)), width)
        if width is not None and reads != width:
            raise ModelError(f"layer {number} reads {reads} features, the one before gives {width}")
        if isinstance(module, DropIn):
            width = module.hidden_size * (1 + module.bidirectional)
        elif isinstance(module, (nn.Linear, nn.Conv1d)):
            width = module.out_features if isinstance(module, nn.Linear) else module.out_channels
