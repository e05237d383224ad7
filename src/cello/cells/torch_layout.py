"""Our cells over PyTorch's parameters: weight_ih, weight_hh, bias_ih, bias_hh (and weight_hr).

The equations stay where they are, in `elman`, `lstm` and `gru`; here is only what PyTorch's
names mean in them. PyTorch has two biases where the equations have one: b is their sum, except
for the candidate of a GRU, whose second bias is d.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cello.cells.cell import Cell
from cello.cells.elman import ElmanCell
from cello.cells.gru import GRUCell
from cello.cells.lstm import LSTMCell

__all__ = ["TorchGRUCell", "TorchLSTMCell", "TorchRNNCell", "share_parameters"]

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def share_parameters(cell: Cell, weights: Mapping[str, Tensor]) -> Cell:
    """Let `cell` use these very tensors, by PyTorch's names, as its parameters."""
    for name in NAMES:
        if name in weights:
            cell._parameters[name] = weights[name]  # type: ignore[assignment]
    return cell


def _read(function: Callable[[Any], Any]) -> Any:
    """What the equations call W, R, …: computed from PyTorch's parameters whenever it is read."""
    return property(function)


class _TorchLayout(Cell):
    """W, R, b and P read from the parameters that PyTorch's cells have."""

    bias: bool

    def _get_name(self) -> str:
        return type(self).__name__.removeprefix("Torch")  # what users know it by

    def _make_parameters(self) -> None:
        rows = max(1, len(self.gates)) * self.hidden_size
        self.weight_ih = self._uniform(rows, self.input_size)
        self.weight_hh = self._uniform(rows, self.output_size)
        self.bias_ih = self._optional(self.bias, rows)
        self.bias_hh = self._optional(self.bias, rows)

    W: Any = _read(lambda cell: cell.weight_ih)
    R: Any = _read(lambda cell: cell.weight_hh)
    b: Any = _read(lambda cell: cell.bias_ih + cell.bias_hh if cell.bias else None)


class TorchRNNCell(_TorchLayout, ElmanCell):
    """`ElmanCell` with the parameters of `torch.nn.RNNCell`.

    >>> sorted(name for name, _ in TorchRNNCell(3, 2).named_parameters())
    ['bias_hh', 'bias_ih', 'weight_hh', 'weight_ih']
    """

    def __init__(
        self, input_size: int, hidden_size: int, activation: str = "tanh", bias: bool = True
    ) -> None:
        ElmanCell.__init__(self, input_size, hidden_size, activation, bias)


class TorchLSTMCell(_TorchLayout, LSTMCell):
    """`LSTMCell` with the parameters of `torch.nn.LSTMCell`, and weight_hr if it projects."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        projection_size: int | None = None,
    ) -> None:
        LSTMCell.__init__(self, input_size, hidden_size, bias=bias, projection_size=projection_size)

    def _make_parameters(self) -> None:
        super()._make_parameters()
        projects = self.projection_size is not None
        self.weight_hr = self._optional(projects, self.output_size, self.hidden_size)

    P: Any = _read(lambda cell: cell.weight_hr)


class TorchGRUCell(_TorchLayout, GRUCell):
    """`GRUCell` with the parameters of `torch.nn.GRUCell`."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        GRUCell.__init__(self, input_size, hidden_size, recurrent_bias=bias, bias=bias)

    def _bias(self: Any) -> Tensor | None:
        if not self.bias:
            return None
        gates = 2 * self.hidden_size  # r and z; the second bias of n is d
        return torch.cat([self.bias_ih[:gates] + self.bias_hh[:gates], self.bias_ih[gates:]])

    b: Any = _read(_bias)
    d: Any = _read(lambda cell: cell.bias_hh[2 * cell.hidden_size :] if cell.bias else None)


def from_torch_cell(module: Any) -> Cell:
    """Our cell over the parameters of an `nn.RNNCell`, `nn.LSTMCell` or `nn.GRUCell`."""
    sizes = (module.input_size, module.hidden_size)
    if isinstance(module, torch.nn.LSTMCell):
        cell: Cell = TorchLSTMCell(*sizes, bias=module.bias)
    elif isinstance(module, torch.nn.GRUCell):
        cell = TorchGRUCell(*sizes, bias=module.bias)
    else:
        cell = TorchRNNCell(*sizes, activation=module.nonlinearity, bias=module.bias)
    cell.train(module.training)
    return share_parameters(cell, dict(module.named_parameters()))
