"""Cells that others wrote: any module called as `cell(x, state) -> state`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cello.cells.apart import apart
from cello.cells.cell import Cell
from cello.cells.contract import check_cell, like_of
from cello.cells.torch_layout import from_torch_cell
from cello.errors import CellError, DtypeError

__all__ = ["ForeignCell", "as_cell"]


def as_cell(module: Any) -> Cell:
    """Make a cell of `module`, sharing its parameters.

    A `Cell` is returned as it is; `nn.RNNCell`, `nn.LSTMCell` and `nn.GRUCell` become our cells
    over their parameters, so that their gates can be seen; any other module that is called as
    `cell(x, state) -> state` is wrapped.

    Raises:
        DtypeError: not such a module.
        CellError: the module cannot be called that way, or its step not with its state.

    >>> as_cell(nn.LSTMCell(3, 2)).state
    ('h', 'c')
    """
    if isinstance(module, Cell):
        check_cell(module)
        return module
    if isinstance(module, nn.RNNCellBase):
        return from_torch_cell(module)
    if isinstance(module, nn.RNNBase):
        name = type(module).__name__
        raise DtypeError(
            f"cell must be a single step, got nn.{name}, which is a whole layer: "
            f"use cello.{name}, cello.accelerate(module) or nn.{name}Cell"
        )
    if not isinstance(module, nn.Module):
        what = module.__name__ if isinstance(module, type) else type(module).__name__
        raise DtypeError(
            "cell must be a cello.Cell or a module called as cell(x, state) -> state, got "
            + (f"the class {what} itself: build it first" if isinstance(module, type) else what)
        )
    return ForeignCell(module)


class ForeignCell(Cell):
    """A module called as `module(x, state) -> state`, where the state is a tensor or a tuple.

    The first tensor of the state is the output; a module that returns `(output, state)` with a
    tuple as the state is understood too. The state's names are h; h and c; or s0, s1, ….

    Args:
        module: has `input_size` and `hidden_size`.

    Raises:
        CellError: the module has no sizes, or cannot be called this way.
    """

    state = ("h",)  # the class's; an instance names its own

    def __init__(self, module: nn.Module) -> None:
        name = type(module).__name__
        sizes: list[Any] = [getattr(module, n, None) for n in ("input_size", "hidden_size")]
        if not all(isinstance(size, int) for size in sizes):
            raise CellError(
                f"{name} can be used as a cell only if it has the attributes input_size and "
                f"hidden_size, both int; got {sizes[0]!r} and {sizes[1]!r}"
            )
        states, output = _probe(module, *sizes)
        names: tuple[str, ...] = ("h", "c")[: len(states)]
        if len(states) > 2:
            names = tuple(f"s{number}" for number in range(len(states)))
        self.state = names  # type: ignore[misc, assignment]
        super().__init__(
            *sizes,
            output_size=output.shape[-1],
            state_sizes={n: s.shape[-1] for n, s in zip(names, states, strict=True)},
        )
        self.module = module

    @property
    def named_function(self) -> Callable:
        """The function whose local variables give the names: the module's own `forward`."""
        return self.module.forward

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step by the module."""
        states, output = _interpret(self.module, x, state[0] if len(state) == 1 else state)
        return output, states


def _interpret(module: nn.Module, x: Tensor, state: Any) -> tuple[tuple[Tensor, ...], Tensor]:
    """Call the module and tell the state (a tuple) from the output."""
    result = module(x, state)
    if isinstance(result, Tensor):
        return (result,), result
    if isinstance(result, (tuple, list)) and result and isinstance(result[0], Tensor):
        if len(result) == 2 and isinstance(result[1], (tuple, list)):
            return tuple(result[1]), result[0]
        if all(isinstance(part, Tensor) for part in result):
            return tuple(result), result[0]
    raise CellError(
        f"{type(module).__name__} called as cell(x, state) must return the next state, a tensor "
        f"or a tuple of tensors; it returned {type(result).__name__}"
    )


def _probe(module: nn.Module, input_size: int, hidden_size: int) -> tuple[Any, Tensor]:
    """Run one step to learn the number and the sizes of the states."""
    like = like_of(module)
    x, h = like.new_zeros(2, input_size), like.new_zeros(2, hidden_size)
    failures = []
    for state in (None, h, (h, h)):
        try:
            with apart(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
                states, output = _interpret(module, x, state)
                again, _ = _interpret(module, x, states[0] if len(states) == 1 else states)
        except CellError:
            raise
        except Exception as error:  # whatever a stranger's module raises
            failures.append(f"with state {_kind(state)}: {error}")
            continue
        if [s.shape for s in again] == [s.shape for s in states]:
            return states, output
    raise CellError(
        f"{type(module).__name__} cannot be called as cell(x, state) with x [2, {input_size}]; "
        + "; ".join(failures)
    )


def _kind(state: Any) -> str:
    return {Tensor: "[B, H]", tuple: "([B, H], [B, H])"}.get(type(state), "None")
