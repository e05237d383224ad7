"""PyTorch's recurrent functions, captured as the equations that they stand for.

PyTorch itself makes them of operations that change parts of a tensor in place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.cells import Cell, TorchGRUCell, TorchLSTMCell, TorchRNNCell
from cello.cells.torch_layout import share_parameters
from cello.cells.tracing import unmoded
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


#: What `nn.RNN` and its kin call, and the one-step function of each.
_LAYERS: dict[Any, Any] = {
    _vf.rnn_tanh: _vf.rnn_tanh_cell,
    _vf.rnn_relu: _vf.rnn_relu_cell,
    _vf.lstm: _vf.lstm_cell,
    _vf.gru: _vf.gru_cell,
}

_FEW = 64  # so many steps are written one by one


def as_equations(function: Any) -> Callable[..., Any]:
    """The same function as a step is captured: as it is, unless it stands for others."""
    if function in _CELLS:
        return partial(_step, function)
    if function in _LAYERS:
        return partial(_layers, function)
    return cast(Callable[..., Any], IN_OTHER_WORDS.get(function, function))


def _step(
    function: Any,
    x: Tensor,
    state: Any,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    weight_hr: Tensor | None = None,
) -> Any:
    """One step with PyTorch's arguments and results; with what projects, as an LSTM may have."""
    size, options = weight_hh.shape[1], {}
    weights = {"weight_ih": weight_ih, "weight_hh": weight_hh}
    if weight_hr is not None:
        size, options = weight_hr.shape[1], {"projection_size": weight_hr.shape[0]}
        weights["weight_hr"] = weight_hr
    with unmoded(), torch.device("meta"):  # of no meaning for what is captured
        has_bias = bias_ih is not None
        cell = _CELLS[function](weight_ih.shape[1], size, bias=has_bias, **options)
    if bias_ih is not None and bias_hh is not None:
        weights |= {"bias_ih": bias_ih, "bias_hh": bias_hh}
    share_parameters(cell, weights)
    _, after = cell.step(x, *((state,) if isinstance(state, Tensor) else state))
    return after[0] if len(after) == 1 else tuple(after)


def _layers(
    function: Any,
    x: Tensor,
    state: Any,
    weights: Any,
    has_biases: Any,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
) -> Any:
    """All steps of all layers of `nn.RNN` and its kin, with PyTorch's arguments and results.

    A step of a cell that calls such a layer gives it one step, or the few that it remembers.
    """
    one, directions = _LAYERS[function], 2 if bidirectional else 1
    each = 2 * (1 + bool(has_biases))  # the weights of a layer in one direction
    rest = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
    packed = isinstance(weights, bool)  # of a PackedSequence: all arguments stand elsewhere
    if packed or x.dim() != 3:
        return function(x, state, weights, *rest)
    projects = len(weights) == (each + 1) * num_layers * directions
    each += projects
    time = 1 if batch_first else 0
    drops = bool(dropout and train and num_layers > 1)
    if x.shape[time] > (1 if drops else _FEW):
        return function(x, state, weights, *rest)
    states = (state,) if isinstance(state, Tensor) else tuple(state)
    steps = list(x.unbind(time))
    final: list[list[Tensor]] = [[] for _ in states]
    for layer in range(num_layers):
        ways = []
        for way in range(directions):
            number = layer * directions + way
            own = list(weights[number * each : (number + 1) * each])
            more = {"weight_hr": own.pop()} if projects else {}
            part = [whole.select(0, number) for whole in states]
            made = []
            for step in reversed(steps) if way else steps:
                after = _step(one, step, part if len(part) > 1 else part[0], *own, **more)
                part = list(after) if isinstance(after, tuple) else [after]
                made.append(part[0])
            ways.append(made[::-1] if way else made)
            for kept, value in zip(final, part, strict=True):
                kept.append(value)
        steps = [
            torch.cat(both, 1) if directions > 1 else both[0] for both in zip(*ways, strict=True)
        ]
        if drops and layer + 1 < num_layers:
            steps = [F.dropout(step, dropout) for step in steps]
    return (torch.stack(steps, time), *(torch.stack(kept) for kept in final))
