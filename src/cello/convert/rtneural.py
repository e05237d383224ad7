"""RTNeural's files, the format of neural audio plug-ins: read and written.

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

from cello.convert.pytorch import from_torch
from cello.convert.row_wise import in_order
from cello.convert.same_as_torch import TorchWeights, torch_weights
from cello.errors import ModelError
from cello.files import replace
from cello.layers import GRU, LSTM, DropIn, Recurrent, Stack
from cello.layers.mode import evaluating
from cello.layers.paths import joined
from cello.ranges import shown

__all__ = ["from_rtneural", "to_rtneural"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}
#: A file of weights for a plug-in has some kilobytes; this is far more than one can run.
_LARGEST = 256 * 2**20


# ------------------------------------------------------------ in


def from_rtneural(file: str | Path) -> Stack:
    """The network in a JSON file of RTNeural's, in eval mode.

    Both forms are read. In that of a state dict the layers follow each other in the order of the
    file, with nothing between them: which functions a model puts there, the file does not say.

    Returns:
        A `Stack` of `nn.Linear`, activations, `cello.LSTM` and `cello.GRU`; x is [T, B, features].

    Raises:
        ModelError: the file cannot be read, is damaged, or has a layer that is not one of these;
            says which.
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
    try:
        return _stack(data)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def _stack(data: Any) -> Stack:
    if not isinstance(data, dict):
        raise ModelError("it must be a table with layers, or a state dict")
    modules = list(_layers(data) if "layers" in data else _state_dict(data))
    _check_chain(modules)
    return Stack(*modules).eval()


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
        if not isinstance(kind, str) or kind not in _READERS:
            raise ModelError(
                f"{place} is of type {shown(kind)}; known are {', '.join(sorted(_READERS))}"
            )
        size = _last_size(layer.get("shape"), f"{place}.shape")
        weights = layer.get("weights")
        if not isinstance(weights, list):
            raise ModelError(f"{place}.weights must be a list of arrays")
        made = _READERS[kind](weights, width, size, f"{place} ({kind})")
        yield made
        width, activation = size, layer.get("activation") or None
        if isinstance(made, DropIn):
            if activation not in (None, "tanh"):
                raise ModelError(
                    f"{place} ({kind}) has the activation {shown(activation)}, where RTNeural "
                    "computes tanh"
                )
        elif activation is not None:
            if not isinstance(activation, str) or activation not in _ACTIVATIONS:
                raise ModelError(
                    f"{place} ({kind}) has the activation {shown(activation)}; known are "
                    + ", ".join(_ACTIVATIONS)
                )
            yield _ACTIVATIONS[activation]()


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
        array = np.array(value)
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


def _dense(weights: list[Any], width: int, size: int, place: str) -> nn.Module:
    weight = _array(weights, 0, (width, size), place).T
    bias = _array(weights, 1, (size,), place)
    return _filled(nn.utils.skip_init(nn.Linear, width, size), weight=weight, bias=bias)


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
        weight_ih_l0=_r_and_z_exchanged(_array(weights, 0, (width, 3 * size), place).T),
        weight_hh_l0=_r_and_z_exchanged(_array(weights, 1, (size, 3 * size), place).T),
        bias_ih_l0=_r_and_z_exchanged(bias[0]),
        bias_hh_l0=_r_and_z_exchanged(bias[1]),
    )


_READERS: dict[str, Callable[[list[Any], int, int, str], nn.Module]] = {
    "dense": _dense,
    "time-distributed-dense": _dense,
    "lstm": _lstm,
    "gru": _gru,
}


def _r_and_z_exchanged(rows: Tensor) -> Tensor:
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
        reads = getattr(module, "input_size", getattr(module, "in_features", width))
        if width is not None and reads != width:
            raise ModelError(f"layer {number} reads {reads} features, the one before gives {width}")
        if isinstance(module, DropIn):
            width = module.hidden_size * (1 + module.bidirectional)
        elif isinstance(module, nn.Linear):
            width = module.out_features


# ------------------------------------------------------------ out


def to_rtneural(net: nn.Module, file: str | Path) -> None:
    """Write `net` as JSON for RTNeural, in the form of Keras's models.

    What is written is read again and compared with `net` before the file is put in its place.

    Args:
        net: a recurrent layer, or a `Stack` of them, of `nn.Linear` and of Tanh, ReLU and Sigmoid
            behind a Linear. LSTM and GRU as PyTorch has them, by whichever class; Dropout and
            Identity are left out.
        file: where to; one that is there is replaced.

    Raises:
        ModelError: RTNeural has no such layer, or the file cannot be written; names it.

    >>> import tempfile, cello
    >>> net = cello.Stack(cello.Recurrent(cello.GRUCell(1, 8)), nn.Linear(8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_rtneural(net, f"{folder}/net.json")
    ...     again = from_rtneural(f"{folder}/net.json")
    >>> again[0]
    GRU(1, 8)
    """
    file = Path(file)
    layers: list[dict[str, Any]] = []
    for names, module in in_order(net):
        path = "net" + "".join(f"[{name}]" for name in names)
        name = next((n for n, kind in _ACTIVATIONS.items() if type(module) is kind), None)
        if name is not None:
            if not layers or layers[-1]["type"] != "dense" or layers[-1]["activation"]:
                raise ModelError(f"{path} ({type(module).__name__}) must follow an nn.Linear")
            layers[-1]["activation"] = name
        elif isinstance(module, nn.Linear):
            bias = torch.zeros(module.out_features) if module.bias is None else module.bias
            layers.append(_entry("dense", "", module.out_features, module.weight.T, bias))
            layers[-1]["reads"] = module.in_features
        else:
            layers += _recurrent_entries(module, path)
    if not layers:
        raise ModelError("net has no layer that RTNeural knows")
    width = layers[0]["reads"]
    for layer in layers:
        del layer["reads"]
    text = json.dumps({"in_shape": [None, None, width], "layers": layers}, indent=1)
    _prove(net, text, width)
    try:
        replace(file, text.encode())
    except OSError as error:
        raise ModelError(f"cannot write {file}: {error}") from error


def _recurrent_entries(module: nn.Module, path: str) -> list[dict[str, Any]]:
    """The layers of a recurrent module, one for each cell."""
    if isinstance(module, DropIn) and not module.bidirectional:
        cells = {joined(path, place): cell for place, cell in module.cells().items()}
    elif isinstance(module, Recurrent) and not module.reverse and module.initial_state == "zeros":
        cells = {f"{path}.cell": module.cell}
    else:
        raise ModelError(
            f"{path} ({type(module).__name__}) is no layer that RTNeural knows: dense, LSTM and "
            "GRU that read forward from zeros"
        )
    return [_recurrent_entry(torch_weights(cell, place), place) for place, cell in cells.items()]


def _recurrent_entry(part: TorchWeights, path: str) -> dict[str, Any]:
    if part.kind == "RNN" or part.weight_hr is not None:
        raise ModelError(f"{path}: RTNeural has no RNN, and no LSTM with a projection")
    W, R = part.weight_ih, part.weight_hh
    zero = W.new_zeros(W.shape[0])
    both = [zero if b is None else b for b in (part.bias_ih, part.bias_hh)]
    if part.kind == "LSTM":
        return _entry("lstm", "tanh", R.shape[1], W.T, R.T, both[0] + both[1])
    W, R, *both = (_r_and_z_exchanged(rows) for rows in (W, R, *both))
    return _entry("gru", "tanh", R.shape[1], W.T, R.T, torch.stack(both))


def _entry(kind: str, activation: str, size: int, *weights: Tensor) -> dict[str, Any]:
    return {
        "type": kind,
        "activation": activation,
        "shape": [None, None, size],
        "weights": [weight.detach().tolist() for weight in weights],
        "reads": weights[0].shape[0],
    }


def _prove(net: nn.Module, text: str, width: int) -> None:
    """Compare what is to be written with `net`, on random inputs.

    Raises:
        ModelError: they differ.
    """
    again = _stack(json.loads(text)).double()
    draw = torch.Generator().manual_seed(0)
    with evaluating(net), torch.no_grad():
        for T, B, scale in ((1, 1, 1.0), (50, 2, 1.0), (7, 3, 10.0)):
            x = scale * torch.randn(T, B, width, generator=draw)
            like = next(net.parameters())
            given = x.transpose(0, 1) if getattr(net, "batch_first", False) else x
            found = net(given.to(like))
            y = found[0] if isinstance(found, tuple) else found
            y = y.transpose(0, 1) if getattr(net, "batch_first", False) else y
            largest = float((again(x.double())[0] - y.double().cpu()).abs().max())
            if not largest < 1e-4:
                raise ModelError(
                    f"what was written differs from net by {largest:.1e} at x [{T}, {B}, {width}]"
                )
