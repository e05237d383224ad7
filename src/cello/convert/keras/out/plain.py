"""Modules without a state as Keras's layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cello.convert.keras.functions import KERAS_2, KerasActivation
from cello.errors import ModelError
from cello.layers.encoders import OneHot

__all__ = ["PlainLayer", "plain_layer"]


class PlainLayer(NamedTuple):
    """A layer of Keras's.

    Attributes:
        kind: its class.
        options: its arguments.
        weights: its arrays in order.
        time_last: whether the module reads [B, features, T], where Keras reads [B, T, features].
    """

    kind: str
    options: dict[str, Any]
    weights: tuple[Tensor, ...] = ()
    time_last: bool = False


def plain_layer(module: nn.Module, place: str) -> PlainLayer | None:
    """The layer of Keras's that computes what `module` does; None for what does nothing.

    Raises:
        ModelError: Keras has none; names the module.
    """
    if isinstance(module, nn.Identity):
        return None
    try:
        made = _MADE[type(module)](module) if type(module) in _MADE else None
    except _Otherwise as why:
        raise ModelError(f"{place} ({module}) is no layer of Keras's: {why}") from None
    if made is None:
        raise ModelError(f"{place} ({type(module).__name__}) is no layer of Keras's that is known")
    return made


class _Otherwise(Exception):
    """What Keras's layer does otherwise."""


def _need(fits: bool, why: str) -> None:
    if not fits:
        raise _Otherwise(why)


def _biased(*weights: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(weight for weight in weights if weight is not None)


def _linear(module: Any) -> PlainLayer:
    options = {"units": module.out_features, "use_bias": module.bias is not None}
    return PlainLayer("Dense", options, _biased(module.weight.T, module.bias))


def _embedding(module: Any) -> PlainLayer:
    _need(module.max_norm is None, "max_norm changes its weights when it is read")
    return _table(module.weight)


def _table(weight: Tensor) -> PlainLayer:
    rows, size = weight.shape
    return PlainLayer("Embedding", {"input_dim": rows, "output_dim": size}, (weight,))


def _one_hot(module: Any) -> PlainLayer:
    made = _table(torch.eye(module.size, dtype=module.one.dtype))
    made.options["trainable"] = False
    return made


def _layer_norm(module: Any) -> PlainLayer:
    _need(len(module.normalized_shape) == 1, "it normalizes several axes")
    options = {"epsilon": module.eps, "scale": module.elementwise_affine}
    options["center"] = module.bias is not None
    return PlainLayer("LayerNormalization", options, _biased(module.weight, module.bias))


def _batch_norm(module: Any) -> PlainLayer:
    _need(module.running_mean is not None, "it keeps no mean and variance")
    _need(module.momentum is not None, "its mean is over all batches (momentum=None)")
    options = {"epsilon": module.eps, "momentum": 1 - module.momentum}
    options |= {"scale": module.affine, "center": module.affine}
    moving = module.running_mean, module.running_var
    weights = _biased(module.weight, module.bias, *moving)
    return PlainLayer("BatchNormalization", options, weights, time_last=True)


def _conv(module: Any) -> PlainLayer:
    _need(module.padding in ("same", "valid", 0, (0,)), f"padding={module.padding}")
    _need(module.padding_mode == "zeros", f"padding_mode={module.padding_mode!r}")
    options = {
        "filters": module.out_channels,
        "kernel_size": module.kernel_size[0],
        "strides": module.stride[0],
        "dilation_rate": module.dilation[0],
        "groups": module.groups,
        "padding": "same" if module.padding == "same" else "valid",
        "use_bias": module.bias is not None,
    }
    weights = _biased(module.weight.permute(2, 1, 0), module.bias)
    return PlainLayer("Conv1D", options, weights, time_last=True)


def _prelu(module: Any) -> PlainLayer:
    if len(module.weight) == 1:
        return PlainLayer("LeakyReLU", {"negative_slope": module.weight.item()})
    return PlainLayer("PReLU", {"shared_axes": [1]}, (module.weight[None],), time_last=True)


def _pool(module: Any) -> PlainLayer:
    _need(module.padding in (0, (0,)) and not module.ceil_mode, "it pads or rounds up")
    _need(getattr(module, "dilation", 1) == 1, "its steps are apart")
    kind = "MaxPooling1D" if isinstance(module, nn.MaxPool1d) else "AveragePooling1D"
    size, stride = (
        n[0] if isinstance(n, tuple) else n for n in (module.kernel_size, module.stride)
    )
    return PlainLayer(kind, {"pool_size": size, "strides": stride}, time_last=True)


def _softmax(module: Any) -> PlainLayer:
    _need(module.dim == -1, f"dim={module.dim}, where Keras's goes over the last")
    return PlainLayer("Activation", {"activation": "softmax"})


def _softplus(module: Any) -> PlainLayer:
    _need(module.beta == 1 and module.threshold >= 20, "beta and threshold are not 1 and 20")
    return PlainLayer("Activation", {"activation": "softplus"})


def _gelu(module: Any) -> PlainLayer:
    _need(module.approximate == "none", f"approximate={module.approximate!r}")
    return PlainLayer("Activation", {"activation": "gelu"})


def _hard_tanh(module: Any) -> PlainLayer:
    if module.min_val == 0:
        return PlainLayer("ReLU", {"max_value": module.max_val})
    _need((module.min_val, module.max_val) == (-1, 1), "its bounds are not -1 or 0 and 1")
    return PlainLayer("Activation", {"activation": "hard_tanh"})


def _log_softmax(module: Any) -> PlainLayer:
    _need(module.dim == -1, f"dim={module.dim}, where Keras's goes over the last")
    return PlainLayer("Activation", {"activation": "log_softmax"})


def _shrink(module: Any) -> PlainLayer:
    _need(module.lambd == 0.5, "lambd is not 0.5")
    name = "hard_shrink" if isinstance(module, nn.Hardshrink) else "soft_shrink"
    return PlainLayer("Activation", {"activation": name})


def _celu(module: Any) -> PlainLayer:
    _need(module.alpha == 1, "alpha is not 1")
    return PlainLayer("Activation", {"activation": "celu"})


def _of_keras(module: Any) -> PlainLayer:
    _need(module.name != KERAS_2, "Keras 3 has another hard sigmoid")
    return PlainLayer("Activation", {"activation": module.name})


def _activation(name: str) -> Callable[[Any], PlainLayer]:
    return lambda _module: PlainLayer("Activation", {"activation": name})


_MADE: dict[type, Callable[[Any], PlainLayer]] = {
    nn.Linear: _linear,
    nn.Embedding: _embedding,
    OneHot: _one_hot,
    nn.LayerNorm: _layer_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.Conv1d: _conv,
    nn.PReLU: _prelu,
    nn.MaxPool1d: _pool,
    nn.AvgPool1d: _pool,
    nn.Dropout1d: lambda module: PlainLayer("SpatialDropout1D", {"rate": module.p}, time_last=True),
    nn.Dropout: lambda module: PlainLayer("Dropout", {"rate": module.p}),
    nn.Tanh: _activation("tanh"),
    nn.Sigmoid: _activation("sigmoid"),
    nn.ReLU: lambda _module: PlainLayer("ReLU", {}),
    nn.SiLU: _activation("silu"),
    nn.Softsign: _activation("softsign"),
    nn.Hardsigmoid: _activation("hard_sigmoid"),
    nn.ELU: lambda module: PlainLayer("ELU", {"alpha": module.alpha}),
    nn.LeakyReLU: lambda module: PlainLayer("LeakyReLU", {"negative_slope": module.negative_slope}),
    nn.Softmax: _softmax,
    nn.Softplus: _softplus,
    nn.GELU: _gelu,
    nn.Hardtanh: _hard_tanh,
    nn.LogSoftmax: _log_softmax,
    nn.Hardshrink: _shrink,
    nn.Softshrink: _shrink,
    nn.CELU: _celu,
    nn.Hardswish: _activation("hard_silu"),
    nn.LogSigmoid: _activation("log_sigmoid"),
    nn.Mish: _activation("mish"),
    nn.ReLU6: _activation("relu6"),
    nn.SELU: _activation("selu"),
    nn.Tanhshrink: _activation("tanh_shrink"),
    KerasActivation: _of_keras,
}
