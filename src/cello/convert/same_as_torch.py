"""Which cells compute what a layer of PyTorch's computes, and their weights as that has them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cello.cells import Cell, ElmanCell, GRUCell, LSTMCell
from cello.errors import ModelError

__all__ = ["TorchWeights", "torch_weights"]


class TorchWeights(NamedTuple):
    """A cell as PyTorch's layers hold it.

    Attributes:
        kind: "LSTM" (rows i f g o), "GRU" (rows r z n) or "RNN".
        weight_ih: [gates × H, I].
        weight_hh: [gates × H, H], or [gates × H, projection].
        bias_ih, bias_hh: [gates × H] each, both None for a cell without a bias.
        weight_hr: [projection, H], None for a cell that does not project.
        nonlinearity: of an RNN, "tanh" or "relu".
    """

    kind: str
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None = None
    nonlinearity: str | None = None


def torch_weights(cell: Cell, path: str) -> TorchWeights:
    """The weights of `cell` as the layer of PyTorch's that computes the same would hold them.

    PyTorch adds two biases where the equations have one; the second is 0 then, but for d of a GRU.

    Raises:
        ModelError: no layer of PyTorch's computes what this cell does; says what differs.

    >>> torch_weights(ElmanCell(3, 2), "net").kind
    'RNN'
    """
    step = type(cell).step
    if isinstance(cell, LSTMCell) and step is LSTMCell.step:
        return _lstm(cell, path)
    if isinstance(cell, GRUCell) and step is GRUCell.step:
        return _gru(cell, path)
    if isinstance(cell, ElmanCell) and step is ElmanCell.step:
        if cell.activation not in ("tanh", "relu"):
            raise _differs(cell, path, f"its activation is {cell.activation!r}, not tanh or relu")
        zero = None if cell.b is None else torch.zeros_like(cell.b)
        return TorchWeights("RNN", cell.W, cell.R, cell.b, zero, nonlinearity=str(cell.activation))
    raise _differs(cell, path, "PyTorch has an RNN, an LSTM and a GRU only")


def _lstm(cell: LSTMCell, path: str) -> TorchWeights:
    _check_activations(cell, path, gate_activation="sigmoid", activation="tanh")
    _check_activations(cell, path, output_activation="tanh")
    if cell.peephole:
        raise _differs(cell, path, "it has peepholes")
    W, b = cell.W, cell.b
    R = cell.R if cell.recurrent else W.new_zeros(W.shape[0], cell.output_size)
    zero = None if b is None else torch.zeros_like(b)
    return TorchWeights("LSTM", W, R, b, zero, cell.P)


def _gru(cell: GRUCell, path: str) -> TorchWeights:
    _check_activations(cell, path, gate_activation="sigmoid", activation="tanh")
    if not cell.reset_after:
        raise _differs(cell, path, "it resets before the product (reset_after=False)")
    b, d = cell.b, cell.d
    if b is None and d is None:
        return TorchWeights("GRU", cell.W, cell.R, None, None)
    b = cell.W.new_zeros(cell.W.shape[0]) if b is None else b
    second = torch.zeros_like(b)
    if d is not None:
        second = torch.cat([second[: 2 * cell.hidden_size], d])
    return TorchWeights("GRU", cell.W, cell.R, b, second)


def _check_activations(cell: Cell, path: str, **wanted: str) -> None:
    for name, function in wanted.items():
        if (found := getattr(cell, name)) != function:
            raise _differs(cell, path, f"its {name} is {found!r}, not {function}")


def _differs(cell: Cell, path: str, why: str) -> ModelError:
    return ModelError(f"{path} ({cell._get_name()}) is no layer of PyTorch's: {why}")
