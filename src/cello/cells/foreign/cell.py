"""Cells that others wrote: any module called as `cell(x, state)`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from string import ascii_lowercase
from typing import Any

from torch import Tensor, nn

from cello.cells.cell import Cell, is_name
from cello.cells.contract.state import state_type
from cello.cells.contract.step_checks import check_cell, described
from cello.cells.foreign.form import apart_from, filled, is_structured, names_in, register_classes
from cello.cells.foreign.reading import Reading, read
from cello.cells.torch_layout import from_torch_cell
from cello.errors import CellError, DtypeError, ShapeError

__all__ = ["ForeignCell", "as_cell"]


def as_cell(module: Any) -> Cell:
    """Make a cell of `module`, sharing its parameters.

    A `Cell` is returned as it is; `nn.RNNCell`, `nn.LSTMCell` and `nn.GRUCell` become our cells
    over their parameters, so that their gates can be seen; any other module that is called as
    `cell(x, state)` is wrapped, see `ForeignCell`.

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
            "cell must be a cello.Cell or a module called as cell(x, state), got "
            + (f"the class {what} itself: build it first" if isinstance(module, type) else what)
        )
    return ForeignCell(module)


class ForeignCell(Cell):
    """A module called as `module(x, state)`, which returns the state, or the output and the state.

    The module gets back exactly what it returned, in its own form: a tensor; tuples, lists, dicts,
    named tuples or data classes of tensors; these in one another. A layer begins with zeros in that
    form. The module is tried once on a few rows, to learn the form, and what it returns is read

    - as `(output, state)`, or `(output, *state)`, if it takes back the state by itself;
    - else as the state, whose first tensor is the output.

    If it takes back either, the one counts whose every part it reads, row by row.

    A layer returns a dict, a named tuple, a data class or a nested state in the module's own form,
    and takes it so, or by its parts; any other comes as a named tuple of its parts.

    The state's parts are called as the module's dict, named tuple or data class calls them; else h;
    h and c; or s0, s1, …, which they also are where a local variable of its `forward` called h or c
    holds something else. Parts [B, *shape] and [layers, B, size], as PyTorch's layers have it, are
    [B, size] in recordings, and in a layer's state that is a named tuple of its parts.

    Args:
        module: has `input_size` and `hidden_size`.

    Raises:
        CellError: the module has no sizes, or cannot be called this way.

    >>> class Counting(nn.Module):
    ...     input_size = hidden_size = 2
    ...     def forward(self, x, state):
    ...         total = state["total"] + x if state else x
    ...         return total.tanh(), {"total": total}
    >>> cell = ForeignCell(Counting())
    >>> y, state = cell(torch.ones(1, 2))
    >>> cell(torch.ones(1, 2), state)[1]
    State(total=tensor([[2., 2.]]))
    """

    state = ("h",)  # the class's; an instance names its own
    _structured = False

    def __init__(self, module: nn.Module) -> None:
        name = type(module).__name__
        sizes: list[Any] = [getattr(module, n, None) for n in ("input_size", "hidden_size")]
        if not all(isinstance(size, int) for size in sizes):
            raise CellError(
                f"{name} can be used as a cell only if it has the attributes input_size and "
                f"hidden_size, both int; got {sizes[0]!r} and {sizes[1]!r}"
            )
        reading = read(module, *sizes)
        names = _names(reading)
        self.state = names  # type: ignore[misc, assignment]
        state_type(names)  # made now: torch.compile cannot trace how a type is made
        super().__init__(
            *sizes,
            output_size=reading.output_size,
            state_sizes=dict(zip(names, reading.sizes(), strict=True)),
        )
        self.module = module
        register_classes(reading.form)
        self._reading, self._structured = reading, is_structured(reading.form)

    def handed_out(self, state: Any) -> Any:
        """A state of parts [B, size], or [size], as the module has it where that is structured."""
        if not self._structured:
            return state
        own = [
            part.reshape((*part.shape[:-1], *shape))
            for part, shape in zip(state, self._reading.shapes, strict=True)
        ]
        if state[0].dim() == 1:
            return filled(self._reading.form, own)
        return filled(self._reading.form, self._reading.by_row(own))

    def taken_in(self, state: Any) -> Any:
        """The parts, each [B, size] or [size], of a state in the module's structured form.

        Raises:
            DtypeError: it has neither the module's form nor that of a tuple of its parts.
            ShapeError: a part has another shape.
        """
        names = self.state
        if not self._structured or isinstance(state, self.state_type):
            return state
        try:
            form, parts = apart_from(state)
        except CellError:
            form, parts = None, []
        if form != self._reading.form:
            if isinstance(state, (tuple, list)) and len(state) == len(names):
                return state  # as it may be given too, its parts in order
            if len(names) == 1 and isinstance(state, Tensor):
                return state
            raise DtypeError(
                f"state must be as {type(self.module).__name__} returns it, "
                f"{filled(self._reading.form, names)}, got {described(state)}"
            )
        shapes, axes, rows = self._reading.shapes, self._reading.axes, []
        for name, shape, axis, part in zip(names, shapes, axes, parts, strict=True):
            alone = part.dim() == len(shape)
            own = part if alone or not axis or part.dim() < 2 else part.transpose(0, axis)
            if own.shape[own.dim() - len(shape) :] != shape or own.dim() > len(shape) + 1:
                wanted = ["B", *map(str, shape)]
                wanted.insert(axis, wanted.pop(0))
                raise ShapeError(
                    f"state.{name} must be [{', '.join(wanted)}], got {list(part.shape)}"
                )
            rows.append(own.reshape((*own.shape[: own.dim() - len(shape)], prod(shape))))
        return self.state_type(*rows)

    @property
    def named_function(self) -> Callable[..., Any]:
        """The function whose local variables give the names: the module's own `forward`."""
        return self.module.forward

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step by the module."""
        output, parts = self._reading(self.module(x, self._reading.state(state)))
        return output, tuple(parts)


def _names(reading: Reading) -> tuple[str, ...]:
    """What the parts of the state are called."""
    own = names_in(reading.form)
    if own and all(map(is_name, own)):
        return tuple(own)
    count = len(reading.shapes)
    usual = ("h", "c")[:count] if count < 3 else tuple(f"s{number}" for number in range(count))
    if all(reading.held.get(name, number) == number for number, name in enumerate(usual)):
        return usual
    theirs = {reading.held.get(name, -1): name for name in usual}
    if set(theirs) == set(range(count)):
        return tuple(theirs[number] for number in range(count))
    neutral = ([f"{letter}{number}" for number in range(count)] for letter in ascii_lowercase[18:])
    return next(tuple(names) for names in neutral if not reading.held.keys() & set(names))
