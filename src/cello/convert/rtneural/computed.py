"""What RTNeural computes of a file in the form of Keras's models: its equations, once more.

RTNeural itself is a library of C++ templates; this is what its layers do with the arrays of a
file, in float64, one sequence at a time: dense/dense.h, lstm/lstm.h and gru/gru.h there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cello.convert.graph import NetGraph
from cello.convert.graph.drawn import Drawn
from cello.convert.proof import Case, Draw, Proof, prove

__all__ = ["FileSide", "prove_file"]

_Array = NDArray[Any]


class FileSide:
    """The layers of a file, run one after the other; a call is the other side of a proof.

    Args:
        layers: of the file.
        batch_first: whether the net that it is compared with reads [B, T, features].
        skip: whether the first of the inputs is added to the output.
    """

    def __init__(
        self, layers: Sequence[dict[str, Any]], batch_first: bool, skip: bool = False
    ) -> None:
        self.layers = [
            (
                _kind(layer),
                [np.asarray(array, np.float64) for array in layer.get("weights") or []],
                _FUNCTIONS[layer.get("activation") or ""],
            )
            for layer in layers
        ]
        self.width = int(layers[-1]["shape"][-1])
        self.batch_first, self.skip = batch_first, skip

    def __call__(self, case: Case) -> tuple[Tensor, Sequence[Tensor]]:
        """The outputs of each sequence; RTNeural begins at zero and hands no state out."""
        x = case.x if self.batch_first else case.x.transpose(0, 1)
        lengths = [x.shape[1]] * len(x) if case.lengths is None else case.lengths.tolist()
        made = torch.zeros(*x.shape[:2], self.width, dtype=torch.float64)
        for row, y, length in zip(x.double().numpy(), made, lengths, strict=True):
            if length:
                y[:length] = torch.from_numpy(self._sequence(row[:length]))
        return made if self.batch_first else made.transpose(0, 1), []

    def _sequence(self, x: _Array) -> _Array:
        y = x
        with np.errstate(over="ignore"):
            for run, weights, activation in self.layers:
                y = run(y, *weights, activation)
        return y + x[:, :1] if self.skip else y


def prove_file(net: Any, side: FileSide, file: Path, draw: Draw | None = None) -> Proof:
    """Compare a net with its file, which takes no states; a graph takes no lengths either.

    Raises:
        ConversionError: the two are not equal; says where.
    """
    if isinstance(net, NetGraph):
        drawn = Drawn(net)
        return prove(
            net, side, name=file.name, draw=drawn.one, sizes=drawn.sizes,
            lengths=False, states=False, finals=False,
        )  # fmt: skip
    return prove(net, side, name=file.name, draw=draw, states=False, finals=False)


_Function = Callable[[_Array], _Array]


def _sigmoid(x: _Array) -> _Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softmax(x: _Array) -> _Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _same(x: _Array) -> _Array:
    return x


_FUNCTIONS: dict[str, _Function] = {
    "": _same,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "relu": lambda x: np.maximum(x, 0),
    "softmax": _softmax,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}


def _pointwise(x: _Array, activation: _Function) -> _Array:
    return activation(x)


def _dense(x: _Array, W: _Array, *more: Any) -> _Array:
    *bias, activation = more
    return np.asarray(activation(x @ W + sum(bias)))


def _prelu(x: _Array, slopes: _Array, activation: _Function) -> _Array:
    return activation(np.where(x < 0, x * slopes, x))


def _batchnorm(x: _Array, *more: Any, epsilon: float) -> _Array:
    """Scale, shift, mean and variance, or the last two."""
    *scale, mean, variance, activation = more
    gamma, beta = scale or (1.0, 0.0)
    return np.asarray(activation(gamma * (x - mean) / np.sqrt(variance + epsilon) + beta))


def _lstm(x: _Array, W: _Array, U: _Array, b: _Array, _activation: _Function) -> _Array:
    """Columns i f c o."""
    H = len(U)
    h, c, made = np.zeros(H), np.zeros(H), []
    for now in x:
        i, f, g, o = np.split(now @ W + h @ U + b, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        made.append(h)
    return np.stack(made)


def _gru(x: _Array, W: _Array, U: _Array, b: _Array, _activation: _Function) -> _Array:
    """Columns z r c; the reset acts after the product, whose bias is the second."""
    h, made = np.zeros(len(U)), []
    for now in x:
        (z_x, r_x, c_x), (z_h, r_h, c_h) = np.split(now @ W + b[0], 3), np.split(h @ U + b[1], 3)
        z, r = _sigmoid(z_x + z_h), _sigmoid(r_x + r_h)
        h = (1 - z) * np.tanh(c_x + r * c_h) + z * h
        made.append(h)
    return np.stack(made)


def _conv1d(
    x: _Array, W: _Array, b: _Array, activation: _Function, dilation: int, groups: int
) -> _Array:
    """W is [steps, inputs, outputs], the last step the newest; before the first, x is 0."""
    if groups > 1:
        xs, Ws, bs = (np.split(part, groups, -1) for part in (x, W, b))
        parts = [_conv1d(*part, _same, dilation, 1) for part in zip(xs, Ws, bs, strict=True)]
        return activation(np.concatenate(parts, -1))
    back = dilation * (len(W) - 1)
    padded = np.concatenate([np.zeros((back, x.shape[1])), x])
    steps = [padded[k * dilation : k * dilation + len(x)] @ part for k, part in enumerate(W)]
    return activation(np.sum(steps, 0) + b)


def _kind(layer: dict[str, Any]) -> Callable[..., _Array]:
    if layer["type"] == "conv1d":
        return partial(_conv1d, dilation=layer["dilation"][-1], groups=layer.get("groups", 1))
    if layer["type"] == "batchnorm":
        return partial(_batchnorm, epsilon=layer["epsilon"])
    return _KINDS[layer["type"].removeprefix("time-distributed-")]


_KINDS: dict[str, Callable[..., _Array]] = {
    "activation": _pointwise,
    "dense": _dense,
    "lstm": _lstm,
    "gru": _gru,
    "prelu": _prelu,
}
