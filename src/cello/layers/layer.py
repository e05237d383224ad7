"""What all layers share: checks of what comes in, and the form in which it goes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from cello.cells import Cell, as_cell
from cello.cells.contract.like import a_tensor_of
from cello.cells.contract.shapes import width_of
from cello.cells.contract.step_checks import kind_of, refuse_odd
from cello.cells.tools import is_proxy, leaf
from cello.engines import autocast_active
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers.call.inputs import side_by_side
from cello.layers.call.result import OutputAndState
from cello.layers.call.steps import Steps
from cello.layers.stream import Streamed

__all__ = ["Layer", "called", "check_input", "check_reset", "step_of"]


class Layer(Streamed):
    """A recurrent layer: takes sequences and a state, returns sequences and a state.

    A subclass says `input_size` and how it runs over steps.
    """

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> OutputAndState:
        """Run through time; see the class for shapes and errors."""
        if lengths is reset is None and (found := self._dense(x, state)) is not None:
            return OutputAndState(*found)
        return called(self, x, state, lengths, reset)

    def _steps(self, x: Any, lengths: Any) -> Steps:
        return check_input(self, x, lengths, self.batch_first)


def called(layer: Any, x: Any, state: Any, lengths: Any, reset: Any, **more: Any) -> OutputAndState:
    """A call of a layer or a stack: checked, run and brought into the form in which x came."""
    if is_proxy(x):
        node: OutputAndState = leaf(layer, x, state, lengths=lengths, reset=reset, **more)
        return node
    steps = layer._steps(x, lengths)
    done, state = layer.run(steps, state, check_reset(steps, reset), *more.values())
    return OutputAndState(done.to_user(), state)


def check_input(
    layer: Any,
    x: Any,
    lengths: Tensor | Sequence[int] | None,
    batch_first: bool,
    called: str = "x",
) -> Steps:
    """The steps of x, if x fits the layer; `called` is the user's word for x.

    Raises:
        DtypeError: x is no tensor, or one that `refuse_odd` refuses, or its dtype is not that of
            the layer's parameters.
        ShapeError: x has the wrong number of axes or features.
        ArgumentError: x is on another device than the parameters; see also `Steps.of`.
    """
    name = type(layer).__name__
    if not isinstance(layer.input_size, int):
        x = side_by_side(layer, x, batch_first, called)
    data = x.data if isinstance(x, PackedSequence) else x
    if not isinstance(data, Tensor):
        raise DtypeError(f"{called} must be a tensor or a PackedSequence, got {kind_of(x)}")
    refuse_odd(called, data)
    packed = isinstance(x, PackedSequence)
    width = width_of(layer.input_size)
    axes = "[B, T, {0}]" if batch_first else "[T, B, {0}]"
    if (data.dim() != 2) if packed else (data.dim() not in (2, 3)):
        raise ShapeError(
            f"{called} must be {axes.format(width)}, or [T, {width}] for one sequence, "
            f"got {list(data.shape)}"
        )
    if data.shape[-1] != width:
        raise ShapeError(
            f"{called} must have {width} features (input_size of {name}) on its last axis, "
            f"got {list(data.shape)}"
        )
    parameter = a_tensor_of(layer)
    of_any = data.dtype if data.is_floating_point() else torch.get_default_dtype()
    dtype = of_any if parameter is None else parameter.dtype
    if not data.is_floating_point() or (data.dtype != dtype and not autocast_active(data.device)):
        raise DtypeError(
            f"{called} must have the dtype of {name}'s parameters, {dtype}, got {data.dtype}; "
            "convert one of the two with .to(dtype)"
        )
    if parameter is not None and parameter.device != data.device:
        raise ArgumentError(
            f"{called} is on {data.device}, the parameters of {name} are on {parameter.device}; "
            "move one of the two with .to(device)"
        )
    unbatched = not packed and data.dim() == 2
    return Steps.of(x, lengths=lengths, batch_first=batch_first, unbatched=unbatched, called=called)


def step_of(module: Any) -> Cell:
    """The cell that a layer is to carry through time.

    Raises:
        DtypeError: it is no single step, but a layer already.
        CellError: it cannot be called as a cell.
    """
    if isinstance(module, Streamed):
        raise DtypeError(
            f"cell must be a single step, got {type(module).__name__}, which runs through time "
            "already: put layers on top of each other with cello.Stack"
        )
    return as_cell(module)


def check_reset(steps: Steps, reset: Any, called: str = "x") -> Tensor | None:
    """The rows [N] of a `reset` that is a bool tensor in the form of x.

    Raises:
        DtypeError: not a bool tensor.
        ShapeError: does not fit x.
    """
    if reset is None:
        return None
    if not isinstance(reset, Tensor) or reset.dtype != torch.bool:
        what = reset.dtype if isinstance(reset, Tensor) else type(reset).__name__
        raise DtypeError(f"reset must be a bool tensor, got {what}")
    return steps.like_user("reset", reset, 2, called)
