"""What all layers share: checks of what comes in, and the form in which it goes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.cells import Cell, as_cell
from cello.cells.contract import kind_of, refuse_odd
from cello.cells.like import a_tensor_of
from cello.cells.tools import NotScripted, is_proxy, leaf
from cello.engines import autocast_active, cpu
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers.result import OutputAndState, refuse_pair
from cello.layers.scripted import Traceable
from cello.layers.steps import Steps
from cello.layers.stream import Stepper, Streamed

__all__ = ["Layer", "c_of", "check_input", "check_reset", "check_state", "step_of"]


class Layer(Traceable, NotScripted, nn.Module):
    """A recurrent layer: takes sequences and a state, returns sequences and a state.

    A subclass says `input_size` and how it runs over steps.
    """

    batch_first: bool
    input_size: int

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> OutputAndState:
        """Run through time; see the class for shapes and errors."""
        if is_proxy(x):
            node: OutputAndState = leaf(self, x, state, lengths=lengths, reset=reset)
            return node
        steps = check_input(self, x, lengths, self.batch_first)
        return self._outside(self.run(steps, state, check_reset(steps, reset)))

    def run(self, steps: Steps, state: Any, reset: Tensor | None) -> tuple[Steps, Any]:
        """Run over steps; `reset` is [N]. The state comes and goes in the user's order."""
        raise NotImplementedError

    def stream(self, batch_size: int | None = None, *, state: Any = None) -> Stepper:
        """One step at a time, with the same numbers as the layer; see `Stepper`.

        Args:
            batch_size: how many sequences run at once; as many as `state` has, or one.
            state: what to begin with, such as the layer returned after a history; the initial
                state unless given.

        Raises:
            ArgumentError: the layer reads from the end.
            ShapeError, DtypeError: the state is none of this layer.
        """
        return Stepper(self, batch_size, state=state)

    def in_turn(self) -> list[Any]:
        """The modules that one step goes through; see `Streamed`."""
        raise NotImplementedError

    def source(self, *, backward: bool = False, whole: bool = False) -> str:
        """The C of the loop that the compiled engine makes of the layer's cells.

        Args:
            backward: the loop that computes gradients, in place of the one that computes outputs.
            whole: with what is the same in every file: the very text that is compiled.

        Raises:
            EngineError: a cell cannot be compiled; names the reason.

        >>> import cello
        >>> print(cello.Recurrent(cello.GRUCell(3, 5)).source().splitlines()[0])
        /* The forward loop of GRUCell. */
        """
        return c_of(self._own_cells(), backward=backward, whole=whole)

    def _own_cells(self) -> Sequence[Cell]:
        """The cells that it runs."""
        raise NotImplementedError

    def _outside(self, result: tuple[Steps, Any]) -> OutputAndState:
        steps, state = result
        return OutputAndState(steps.to_user(), state)


def c_of(cells: Iterable[Cell], *, backward: bool, whole: bool) -> str:
    """The C of the loops of `cells`, those that are the same only once; see `Layer.source`."""
    loops = (cpu.source(cell, backward=backward, whole=whole) for cell in cells)
    return "\n".join(dict.fromkeys(loops))


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
    data = x.data if isinstance(x, PackedSequence) else x
    if not isinstance(data, Tensor):
        raise DtypeError(f"{called} must be a tensor or a PackedSequence, got {kind_of(x)}")
    refuse_odd(called, data)
    packed = isinstance(x, PackedSequence)
    I = layer.input_size  # noqa: E741
    axes = "[B, T, {0}]" if batch_first else "[T, B, {0}]"
    if (data.dim() != 2) if packed else (data.dim() not in (2, 3)):
        raise ShapeError(
            f"{called} must be {axes.format(I)}, or [T, {I}] for one sequence, "
            f"got {list(data.shape)}"
        )
    if data.shape[-1] != I:
        raise ShapeError(
            f"{called} must have {I} features (input_size of {name}) on its last axis, "
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
    if isinstance(module, (Layer, Streamed)):
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


def check_state(cell: Cell, state: Any, steps: Steps, name: str = "state") -> tuple[Tensor, ...]:
    """The parts of a state that the user passes, each [B, size].

    Raises:
        DtypeError: not a tuple of tensors of the dtype of x.
        ShapeError: a part does not have its size.
    """
    names = cell.state
    refuse_pair(name, state)
    if isinstance(state, Tensor) and len(names) == 1:
        state = (state,)
    if not isinstance(state, (tuple, list)) or len(state) != len(names):
        got = f"{len(state)} parts" if isinstance(state, (tuple, list)) else type(state).__name__
        comma = "," if len(names) == 1 else ""
        raise DtypeError(f"{name} must be a tuple ({', '.join(names)}{comma}), got {got}")
    unbatched = steps.form == "T"
    parts = []
    for part, value in zip(names, state, strict=True):
        if not isinstance(value, Tensor):
            raise DtypeError(f"{name}.{part} must be a tensor, got {type(value).__name__}")
        refuse_odd(f"{name}.{part}", value)
        expected = (
            [cell.state_sizes[part]] if unbatched else [steps.batch_size, cell.state_sizes[part]]
        )
        if list(value.shape) != expected:
            raise ShapeError(f"{name}.{part} must be {expected}, got {list(value.shape)}")
        if value.dtype != steps.data.dtype and autocast_active(value.device):
            value = value.to(steps.data.dtype)  # an output of the chunk before, in its own dtype
        if value.dtype != steps.data.dtype:
            raise DtypeError(
                f"{name}.{part} must have the dtype of x, {steps.data.dtype}, got {value.dtype}"
            )
        parts.append(value.unsqueeze(0) if unbatched else value)
    return tuple(parts)
