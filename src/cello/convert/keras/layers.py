"""Keras's layers without memory, each as modules of PyTorch's.

Keras puts features last and time second, and writes kernels as [inputs, outputs].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cello.convert.keras.functions import ACTIVATIONS, KERAS_2
from cello.errors import ModelError
from cello.ranges import is_number, shown

__all__ = [
    "Arrays",
    "activation",
    "check_last_axis",
    "filled",
    "plain_layer",
    "refuse",
    "whole",
]


class Arrays:
    """The arrays of one layer, taken in order.

    Args:
        arrays: as the file lists them.
        place: the layer, for errors.
        is_keras_3: whether Keras 3 wrote them.
    """

    def __init__(
        self, arrays: Sequence[np.ndarray[Any, Any]], place: str, is_keras_3: bool
    ) -> None:
        self.arrays = list(arrays)
        self.place = place
        self.is_keras_3 = is_keras_3

    def take(self, what: str, *shape: int | None) -> Tensor:
        """The next one, which must have this shape; None stands for any size.

        Raises:
            ModelError: there is none, or it has another.
        """
        if not self.arrays:
            raise ModelError(f"{self.place} has no {what} in the file")
        array = self.arrays.pop(0)
        fits = array.ndim == len(shape) and all(
            size is None or size == found for size, found in zip(shape, array.shape, strict=False)
        )
        if not fits or 0 in array.shape:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ModelError(f"{self.place}: {what} must be [{wanted}], found {list(array.shape)}")
        dtype = torch.float64 if array.dtype == np.float64 else torch.float32
        return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)


def refuse(place: str, why: str) -> ModelError:
    """The error for what cannot be opened."""
    return ModelError(f"{place} cannot be opened: {why}")


#: Sizes that Keras writes as a list, with one for each axis.
_BY_AXIS = ("dilation_rate", "kernel_size", "pool_size", "strides")


def whole(config: dict[str, Any], name: str, place: str) -> int:
    """A size in a layer's configuration."""
    value = config.get(name)
    if name == "units" and value is None and "output_dim" in config:
        raise refuse(place, "the file was written by Keras 1")
    if name in _BY_AXIS and isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
        raise ModelError(f"{place}: {name} must be a positive whole number, got {shown(value)}")
    return value


def activation(config: dict[str, Any], arrays: Arrays, name: str = "activation") -> Any:
    """An activation: its name, as in `ACTIVATIONS`, or the module of a layer that stands for one.

    Raises:
        ModelError: it is none that is known.
    """
    value = config.get(name) or "linear"
    if isinstance(value, dict):
        told = value.get("config")
        if value.get("class_name") in _AS_ACTIVATION and isinstance(told, dict):
            return _one_of(_PLAIN[value["class_name"]](told, arrays, 0).modules)
        value = told if isinstance(told, str) else value  # as a registered object
    if not isinstance(value, str) or value not in ACTIVATIONS or value == KERAS_2:
        known = ", ".join(known for known in ACTIVATIONS if known != KERAS_2)
        raise refuse(arrays.place, f"{name}={shown(value)} is none of {known}")
    old = value == "hard_sigmoid" and not arrays.is_keras_3
    return KERAS_2 if old else value


def _one_of(modules: list[nn.Module]) -> nn.Module:
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def filled(module: Any, **weights: Tensor | None) -> Any:
    """The module with these weights, in their dtype; None stands for one that it has not."""
    given = {name: value for name, value in weights.items() if value is not None}
    module.to(next(iter(given.values())).dtype).load_state_dict(given)
    return module


# ------------------------------------------------------------ layers without memory


class Plain(NamedTuple):
    """A layer without memory.

    Attributes:
        modules: what runs, one after the other.
        time_last: whether they want [B, F, T].
        before: steps of zeros to put before the first.
    """

    modules: list[nn.Module]
    time_last: bool = False
    before: int = 0


def plain_layer(kind: str, config: dict[str, Any], arrays: Arrays, rank: int) -> Plain | None:
    """The modules of a layer that is one function of one tensor; None if it is none of these."""
    read = _PLAIN.get(kind)
    return read(config, arrays, rank) if read else None


def _dense(config: dict[str, Any], arrays: Arrays, _rank: int) -> Plain:
    size = whole(config, "units", arrays.place)
    W = arrays.take("kernel", None, size)
    bias = arrays.take("bias", size) if config.get("use_bias", True) else None
    made = nn.utils.skip_init(nn.Linear, W.shape[0], size, bias=bias is not None)
    return Plain([filled(made, weight=W.T, bias=bias), *_then(config, arrays)])


def _then(config: dict[str, Any], arrays: Arrays) -> list[nn.Module]:
    """The activation of a layer, if it has one."""
    value = activation(config, arrays)
    if isinstance(value, str):
        return [] if value == "linear" else [ACTIVATIONS[value]()]
    return [value]


def _embedding(config: dict[str, Any], arrays: Arrays, _rank: int) -> Plain:
    rows, size = (whole(config, name, arrays.place) for name in ("input_dim", "output_dim"))
    table = arrays.take("embeddings", rows, size)
    return Plain([nn.Embedding.from_pretrained(table, freeze=False)])


def _layer_norm(config: dict[str, Any], arrays: Arrays, rank: int) -> Plain:
    check_last_axis(config, arrays, rank)
    scale, center = config.get("scale", True), config.get("center", True)
    weight = arrays.take("gamma", None) if scale else None
    bias = arrays.take("beta", None if weight is None else weight.shape[0]) if center else None
    given = weight if weight is not None else bias
    if given is None:
        raise refuse(arrays.place, "a LayerNormalization without scale and center has no size")
    made = nn.LayerNorm(given.shape[0], eps=_real(config, "epsilon", arrays.place))
    weight = torch.ones_like(given) if weight is None else weight
    return Plain(
        [filled(made, weight=weight, bias=torch.zeros_like(given) if bias is None else bias)]
    )


def _batch_norm(config: dict[str, Any], arrays: Arrays, rank: int) -> Plain:
    check_last_axis(config, arrays, rank)
    if rank not in (2, 3):
        raise refuse(arrays.place, "batch normalization needs [B, F] or [B, T, F]")
    weight = arrays.take("gamma", None) if config.get("scale", True) else None
    bias = arrays.take("beta", None) if config.get("center", True) else None
    mean, variance = arrays.take("moving_mean", None), arrays.take("moving_variance", None)
    made = nn.BatchNorm1d(
        mean.shape[0],
        eps=_real(config, "epsilon", arrays.place),
        momentum=1 - _real(config, "momentum", arrays.place),
    )
    filled(
        made,
        weight=torch.ones_like(mean) if weight is None else weight,
        bias=torch.zeros_like(mean) if bias is None else bias,
        running_mean=mean,
        running_var=variance,
        num_batches_tracked=torch.tensor(0),
    )
    return Plain([made], time_last=rank == 3)


def _conv(config: dict[str, Any], arrays: Arrays, rank: int) -> Plain:
    if rank != 3 or config.get("data_format", "channels_last") != "channels_last":
        raise refuse(arrays.place, "Conv1D needs [B, T, F]")
    names = ("filters", "kernel_size", "strides", "dilation_rate")
    size, kernel, stride, dilation = (whole(config, name, arrays.place) for name in names)
    groups = whole({"groups": config.get("groups", 1)}, "groups", arrays.place)
    W = arrays.take("kernel", kernel, None, size)
    bias = arrays.take("bias", size) if config.get("use_bias", True) else None
    padding = config.get("padding")
    if padding not in ("valid", "same", "causal") or (padding == "same" and stride > 1):
        raise refuse(arrays.place, f"padding={shown(padding)} with strides={stride}")
    if size % groups:
        raise ModelError(f"{arrays.place}: {size} filters in {groups} groups")
    made = nn.Conv1d(
        W.shape[1] * groups,
        size,
        kernel,
        stride,
        padding="same" if padding == "same" else 0,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
    )
    filled(made, weight=W.permute(2, 1, 0), bias=bias)
    before = (kernel - 1) * dilation if padding == "causal" else 0
    return Plain([made, *_then(config, arrays)], time_last=True, before=before)


def _pool(make: Callable[[int, int], nn.Module]) -> Any:
    def read(config: dict[str, Any], arrays: Arrays, rank: int) -> Plain:
        if rank != 3 or config.get("data_format", "channels_last") != "channels_last":
            raise refuse(arrays.place, "pooling needs [B, T, F]")
        size = whole(config, "pool_size", arrays.place)
        stride = whole(config, "strides", arrays.place) if config.get("strides") else size
        if config.get("padding") != "valid":
            raise refuse(arrays.place, f"padding={shown(config.get('padding'))}")
        return Plain([make(size, stride)], time_last=True)

    return read


def _real(config: dict[str, Any], name: str, place: str) -> float:
    value = config.get(name)
    if not is_number(value) or not 0 <= value < 1e9:
        raise ModelError(f"{place}: {name} must be a number from 0 on, got {shown(value)}")
    return float(value)


def check_last_axis(config: dict[str, Any], arrays: Arrays, rank: int) -> None:
    """Refuse a layer that works along another axis than that of the features."""
    axis = config.get("axis", -1)
    if axis not in (-1, [-1], rank - 1, [rank - 1]):
        raise refuse(arrays.place, f"axis={shown(axis)} is not that of the features")


def _softmax(config: dict[str, Any], arrays: Arrays, _rank: int) -> Plain:
    if config.get("axis", -1) != -1:
        raise refuse(arrays.place, f"axis={shown(config['axis'])} is not that of the features")
    return Plain([nn.Softmax(-1)])


def _relu(config: dict[str, Any], arrays: Arrays, _rank: int) -> Plain:
    if config.get("threshold"):
        raise refuse(arrays.place, "a ReLU with a threshold")
    slope = config.get("negative_slope") and _real(config, "negative_slope", arrays.place)
    made: list[nn.Module] = [nn.LeakyReLU(slope)] if slope else []
    if config.get("max_value") is None:
        return Plain(made or [nn.ReLU()])
    most = _real(config, "max_value", arrays.place)
    if not most:
        raise refuse(arrays.place, "a ReLU with max_value=0")
    lowest = torch.finfo(torch.float32).min if slope else 0.0
    return Plain([*made, nn.Hardtanh(lowest, most)])


def _prelu(config: dict[str, Any], arrays: Arrays, rank: int) -> Plain:
    """One slope for each feature, which all steps share."""
    if rank != 3 or config.get("shared_axes") != [1]:
        raise refuse(arrays.place, f"shared_axes={shown(config.get('shared_axes'))} is not time")
    slopes = arrays.take("alpha", 1, None).flatten()
    return Plain([filled(nn.PReLU(len(slopes)), weight=slopes)], time_last=True)


def _nothing(_config: dict[str, Any], _arrays: Arrays, _rank: int) -> Plain:
    """A layer that acts in training alone."""
    return Plain([])


def _of_one(make: Callable[[dict[str, Any], str], nn.Module]) -> Any:
    return lambda config, arrays, _rank: Plain([make(config, arrays.place)])


_PLAIN: dict[str, Callable[[dict[str, Any], Arrays, int], Plain]] = {
    "Dense": _dense,
    "Embedding": _embedding,
    "LayerNormalization": _layer_norm,
    "BatchNormalization": _batch_norm,
    "Conv1D": _conv,
    "Activation": lambda config, arrays, _: Plain(_then(config, arrays)),
    "MaxPooling1D": _pool(nn.MaxPool1d),
    "AveragePooling1D": _pool(nn.AvgPool1d),
    "SpatialDropout1D": lambda config, arrays, _: Plain(
        [nn.Dropout1d(min(1.0, _real(config, "rate", arrays.place)))], time_last=True
    ),
    "Softmax": _softmax,
    "Dropout": _of_one(lambda config, place: nn.Dropout(min(1.0, _real(config, "rate", place)))),
    "ReLU": _relu,
    "PReLU": _prelu,
    **dict.fromkeys(
        ("ActivityRegularization", "AlphaDropout", "GaussianDropout", "GaussianNoise"), _nothing
    ),
    "ELU": _of_one(lambda config, place: nn.ELU(_real(config, "alpha", place))),
    "LeakyReLU": _of_one(
        lambda config, place: nn.LeakyReLU(
            _real({"slope": config.get("negative_slope", config.get("alpha"))}, "slope", place)
        )
    ),
}

#: Layers that may stand in the place of an activation.
_AS_ACTIVATION = ("ReLU", "ELU", "LeakyReLU", "Softmax")
