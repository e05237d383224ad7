"""Keras's recurrent layers, each as a cell of ours.

Keras writes kernels as [inputs, outputs], and the gates of an LSTM in the order i f c o, those of a
GRU in the order z r h; its z, as ours, keeps the old state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell, ElmanCell, GRUCell, LSTMCell
from cello.convert.keras.functions import ACTIVATIONS, CELL_NAMES
from cello.convert.keras.layers import Arrays, activation, filled, refuse, whole

__all__ = ["CELLS", "recurrent_cell"]


def _of_cell(config: dict[str, Any], arrays: Arrays, name: str = "activation") -> Any:
    """An activation as a cell of ours takes it: a name, or a module."""
    value = activation(config, arrays, name)
    if value == "glu":
        raise refuse(arrays.place, f"{name}={value!r} gives half of what it is given")
    return CELL_NAMES.get(value) or ACTIVATIONS[value]() if isinstance(value, str) else value


# ------------------------------------------------------------ cells


def _simple(config: dict[str, Any], arrays: Arrays) -> Cell:
    H = whole(config, "units", arrays.place)
    W, R = arrays.take("kernel", None, H), arrays.take("recurrent_kernel", H, H)
    bias = arrays.take("bias", H) if config.get("use_bias", True) else None
    cell = ElmanCell(W.shape[0], H, _of_cell(config, arrays), bias=bias is not None)
    return filled(cell, W=W.T, R=R.T, b=bias)


def _lstm(config: dict[str, Any], arrays: Arrays) -> Cell:
    H = whole(config, "units", arrays.place)
    W, R = arrays.take("kernel", None, 4 * H), arrays.take("recurrent_kernel", H, 4 * H)
    bias = arrays.take("bias", 4 * H) if config.get("use_bias", True) else None
    function, gate = _of_cell(config, arrays), _of_cell(config, arrays, "recurrent_activation")
    cell = LSTMCell(W.shape[0], H, gate, function, function, bias=bias is not None)
    return filled(cell, W=W.T, R=R.T, b=bias)


def _gru(config: dict[str, Any], arrays: Arrays) -> Cell:
    H = whole(config, "units", arrays.place)
    after = bool(config.get("reset_after", False))
    W, R = arrays.take("kernel", None, 3 * H), arrays.take("recurrent_kernel", H, 3 * H)
    bias = second = None
    if config.get("use_bias", True):
        shape = (2, 3 * H) if after else (3 * H,)
        bias = _r_first(arrays.take("bias", *shape), -1)
        if after:
            first, again = bias
            bias = torch.cat([(first + again)[: 2 * H], first[2 * H :]])
            second = again[2 * H :]
    cell = GRUCell(
        W.shape[0],
        H,
        _of_cell(config, arrays, "recurrent_activation"),
        _of_cell(config, arrays),
        reset_after=after,
        recurrent_bias=second is not None,
        bias=bias is not None,
    )
    return filled(cell, W=_r_first(W.T), R=_r_first(R.T), b=bias, d=second)


def _cudnn(make: Callable[[dict[str, Any], Arrays], Cell], gates: int) -> Any:
    """A layer for CuDNN, which reads the memory of each kernel as [outputs, inputs], has two biases
    for each gate, and no functions but the usual ones.
    """

    def read(config: dict[str, Any], arrays: Arrays) -> Cell:
        H = whole(config, "units", arrays.place)
        kernels = [arrays.take("kernel", None, gates * H)]
        kernels.append(arrays.take("recurrent_kernel", H, gates * H))
        both = arrays.take("bias", 2 * gates * H).reshape(2, -1)
        parts = [[k.reshape(H, -1).T for k in kernel.chunk(gates, 1)] for kernel in kernels]
        made = [*(torch.cat(part, 1) for part in parts), both.sum(0) if gates == 4 else both]
        arrays.arrays[:0] = [array.numpy() for array in made]
        usual = {"units": H, "activation": "tanh", "recurrent_activation": "sigmoid"}
        return make({**usual, "reset_after": True}, arrays)

    return read


def _r_first(weights: Tensor, axis: int = 0) -> Tensor:
    """From the order z r h along an axis to r z n."""
    z, r, h = weights.chunk(3, axis)
    return torch.cat([r, z, h], axis)


CELLS: dict[str, Callable[[dict[str, Any], Arrays], Cell]] = {
    "SimpleRNN": _simple,
    "SimpleRNNCell": _simple,
    "LSTM": _lstm,
    "LSTMCell": _lstm,
    "GRU": _gru,
    "GRUCell": _gru,
    "CuDNNLSTM": _cudnn(_lstm, 4),
    "CuDNNGRU": _cudnn(_gru, 3),
}


def recurrent_cell(kind: str, config: dict[str, Any], arrays: Arrays) -> Cell:
    """The cell of a recurrent layer.

    Raises:
        ModelError: it is none of Keras's own, or its weights do not fit.
    """
    if kind not in CELLS:
        raise refuse(arrays.place, f"{kind} is none of {', '.join(CELLS)}")
    return CELLS[kind](config, arrays)
