"""PyTorch's one-step functions, captured as the equations that they stand for.

PyTorch itself makes them of operations that change parts of a tensor in place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from cello.cells import Cell, TorchGRUCell, TorchLSTMCell, TorchRNNCell
from cello.cells.torch_layout import share_parameters
from cello.program.trace.functions import IN_OTHER_WORDS

__all__ = ["as_equations"]

_vf: Any = torch._C._VariableFunctions

#: What `nn.RNNCell` and its kin call, and our cell with these parameters.
_CELLS: dict[Any, Callable[..., Cell]] = {
    _vf.rnn_tanh_cell: TorchRNNCell,
    _vf.rnn_relu_cell: partial(TorchRNNCell, activation="relu"),
    _vf.lstm_cell: TorchLSTMCell,
    _vf.gru_cell: TorchGRUCell,
}


def as_equations(function: Any) -> Callable[..., Any]:
    """The same function as a step is captured: as it is, unless it stands for others."""
    if function in _CELLS:
        return partial(_step, function)
    return cast(Callable[..., Any], IN_OTHER_WORDS.get(function, function))


def _step(
    function: Any,
    x: Tensor,
    state: Any,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> Any:
    """One step with PyTorch's arguments and results."""
    with _disable_current_modes(), torch.device("meta"):  # of no meaning for what is captured
        has_bias = bias_ih is not None
        cell = _CELLS[function](weight_ih.shape[1], weight_hh.shape[1], bias=has_bias)
    weights = {"weight_ih": weight_ih, "weight_hh": weight_hh}
    if bias_ih is not None and bias_hh is not None:
        weights |= {"bias_ih": bias_ih, "bias_hh": bias_hh}
    share_parameters(cell, weights)
    _, after = cell.step(x, *((state,) if isinstance(state, Tensor) else state))
    return after[0] if len(after) == 1 else tuple(after)
