"""The layers of an RTNeural file in the form of Keras's models, as modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cello.errors import ModelError
from cello.layers import GRU, LSTM, DropIn
from cello.ranges import is_number, shown

__all__ = ["ACTIVATIONS", "filled", "layers_of", "numbers", "r_and_z_exchanged"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "softmax": lambda: nn.Softmax(-1),
    "elu": nn.ELU,
}
#: Steps that a convolution looks back.
_FARTHEST = 100_000


def layers_of(data: dict[str, Any]) -> Iterator[nn.Module]:
    """The modules, one after the other; a convolution looks back only.

    Raises:
        ModelError: the file is damaged, or has a layer that is none of these; says which.
    """
    if not isinstance(data["layers"], list) or not data["layers"]:
        raise ModelError("layers must be a list with at least one layer")
    width = _last_size(data.get("in_shape"), "in_shape")
    for number, layer in enumerate(data["layers"]):
        place = f"layers[{number}]"
        if not isinstance(layer, dict):
            raise ModelError(f"{place} must be a table, got {shown(layer)}")
        kind = layer.get("type")
        if kind not in (known := sorted([*_READERS, "activation"])):
            raise ModelError(f"{place} is of type {shown(kind)}; known are {', '.join(known)}")
        size = _last_size(layer.get("shape"), f"{place}.shape")
        activation = layer.get("activation") or None
        if kind == "activation":  # a layer of its own
            if size != width or activation is None:
                raise ModelError(f"{place} (activation) must name a function of {width} numbers")
            yield _activation(activation, f"{place} ({kind})")
            continue
        if not isinstance(layer.get("weights"), list):
            raise ModelError(f"{place}.weights must be a list of arrays")
        made = _READERS[kind](layer, width, size, f"{place} ({kind})")
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


# ------------------------------------------------------------ arrays


def _array(layer: dict[str, Any], number: int, shape: tuple[int, ...], place: str) -> Tensor:
    weights = layer["weights"]
    if number >= len(weights):
        raise ModelError(f"{place} must have {number + 1} arrays of weights, has {len(weights)}")
    return numbers(weights[number], f"{place}.weights[{number}]", shape)


def numbers(value: Any, place: str, shape: tuple[int, ...] | None = None) -> Tensor:
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
    return is_number(value)


def filled(module: nn.Module, **weights: Tensor) -> nn.Module:
    """The module with these weights."""
    module.load_state_dict(weights)
    return module


def r_and_z_exchanged(rows: Tensor) -> Tensor:
    """From the order z r n to r z n, or back."""
    one, two, n = rows.chunk(3)
    return torch.cat([two, one, n])


# ------------------------------------------------------------ a layer each


def _dense(layer: dict[str, Any], width: int, size: int, place: str) -> nn.Module:
    given = {"weight": _array(layer, 0, (width, size), place).T}
    if len(layer["weights"]) > 1:
        given["bias"] = _array(layer, 1, (size,), place)
    made = nn.utils.skip_init(nn.Linear, width, size, bias="bias" in given)
    return filled(made, **given)


def _conv1d(layer: dict[str, Any], width: int, size: int, place: str) -> nn.Module:
    """A convolution over the steps up to its own."""
    K, by = (_last_size(layer.get(name), f"{place}.{name}") for name in ("kernel_size", "dilation"))
    groups = _last_size([layer.get("groups", 1)], f"{place}.groups")
    if K * by > _FARTHEST or width % groups or size % groups:
        raise ModelError(
            f"{place} reads more than {_FARTHEST:,} steps, or has {groups} groups of {width} inputs"
        )
    weight = _array(layer, 0, (K, width // groups, size), place).permute(2, 1, 0)
    bias = _array(layer, 1, (size,), place)
    made = nn.utils.skip_init(nn.Conv1d, width, size, K, dilation=by, groups=groups)
    return filled(made, weight=weight, bias=bias)


def _lstm(layer: dict[str, Any], width: int, size: int, place: str) -> nn.Module:
    bias = _array(layer, 2, (4 * size,), place)
    return filled(
        LSTM(width, size),
        weight_ih_l0=_array(layer, 0, (width, 4 * size), place).T,
        weight_hh_l0=_array(layer, 1, (size, 4 * size), place).T,
        bias_ih_l0=bias,
        bias_hh_l0=torch.zeros_like(bias),
    )


def _gru(layer: dict[str, Any], width: int, size: int, place: str) -> nn.Module:
    bias = _array(layer, 2, (2, 3 * size), place)
    return filled(
        GRU(width, size),
        weight_ih_l0=r_and_z_exchanged(_array(layer, 0, (width, 3 * size), place).T),
        weight_hh_l0=r_and_z_exchanged(_array(layer, 1, (size, 3 * size), place).T),
        bias_ih_l0=r_and_z_exchanged(bias[0]),
        bias_hh_l0=r_and_z_exchanged(bias[1]),
    )


def _prelu(layer: dict[str, Any], width: int, size: int, place: str) -> nn.Module:
    slopes = numbers(layer["weights"][:1], f"{place}.weights").flatten()
    if size != width or len(slopes) not in (1, width):
        raise ModelError(f"{place} must have a slope, or one for each of {width} numbers")
    return filled(nn.PReLU(len(slopes)), weight=slopes)


def _batchnorm(layer: dict[str, Any], width: int, size: int, place: str) -> nn.Module:
    """With scale and shift, or with mean and variance alone."""
    epsilon, count = layer.get("epsilon"), len(layer["weights"])
    if size != width or not isinstance(epsilon, (int, float)) or not 0 <= epsilon < 1e9:
        raise ModelError(f"{place} must keep {width} numbers and have an epsilon from 0 on")
    given = [_array(layer, n, (size,), place) for n in range(4 if count > 2 else 2)]
    if count <= 2:
        given = [torch.ones(size), torch.zeros(size), *given]
    names = ("weight", "bias", "running_mean", "running_var")
    made = filled(
        nn.BatchNorm1d(size, eps=float(epsilon)),
        **dict(zip(names, given, strict=True)),
        num_batches_tracked=torch.tensor(0),
    )
    return made.eval()


_READERS: dict[str, Callable[[dict[str, Any], int, int, str], nn.Module]] = {
    "dense": _dense,
    "time-distributed-dense": _dense,
    "conv1d": _conv1d,
    "lstm": _lstm,
    "gru": _gru,
    "prelu": _prelu,
    "batchnorm": _batchnorm,
}
