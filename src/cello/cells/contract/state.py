"""What a cell carries from one step to the next: a named tuple of tensors."""

from __future__ import annotations

import copy
import dataclasses
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import _register_namedtuple

from cello.cells.contract.shapes import as_rows, as_shaped, shape_of

__all__ = [
    "HasState",
    "detach",
    "has_shapes",
    "in_rows",
    "mapped",
    "shapes_of",
    "state_in_rows",
    "state_type",
    "step_arguments",
    "step_on_rows",
]


def detach(state: Any) -> Any:
    """The same state cut from the graph: where truncated backpropagation cuts.

    Goes through tuples, named tuples, lists, dicts and data classes; anything else is returned as
    it is.
    """
    return mapped(lambda part: part.detach() if isinstance(part, Tensor) else part, state)


def mapped(function: Any, tree: Any) -> Any:
    """`function` of everything in nested containers, which stay what they are."""
    if isinstance(tree, (tuple, list)):
        parts = [mapped(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if isinstance(tree, dict):
        made = {key: mapped(function, part) for key, part in tree.items()}
        if type(tree) is dict:
            return made
        kept = copy.copy(tree)  # of another class: with all that it has besides
        kept.update(made)
        return kept
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = [field.name for field in dataclasses.fields(tree) if field.init]
        return dataclasses.replace(
            tree, **{name: mapped(function, getattr(tree, name)) for name in fields}
        )
    return function(tree)


def _rebuild(names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return state_type(names)(*values)


# Building a named tuple of checked names runs nobody's code: torch.load may, weights_only or not.
torch.serialization.add_safe_globals([_rebuild])

_kinds: dict[tuple[str, ...], Any] = {}


def state_type(names: tuple[str, ...]) -> Any:
    """The named tuple type for the state names `names`; one type for each order of names.

    Besides what every named tuple can do, it has `.detach()`, and it can be pickled.

    >>> import torch
    >>> State = state_type(("h", "c"))
    >>> state = State(h=torch.zeros(1, 2), c=torch.ones(1, 2))
    >>> state.detach().c
    tensor([[1., 1.]])
    """
    if names in _kinds:
        return _kinds[names]
    make: Any = namedtuple
    kind = _kinds[names] = make("State", names)
    kind.__doc__ = f"The state ({', '.join(names)}) of a recurrent layer, each [B, size]."
    kind.detach = detach
    _register_namedtuple(kind, serialized_type_name=f"cello.State({', '.join(names)})")
    kind.__reduce__ = lambda self: (_rebuild, (self._fields, tuple(self)))
    return kind


class HasState(nn.Module):
    """What carries a state from step to step; `Cell` says more of it.

    Attributes:
        state: the names of all that is carried, in order.
        state_sizes: the size of each, see `cello.cells.contract.shapes`.
        input_size: that of one input.
        output_size: that of one output.
    """

    state: ClassVar[tuple[str, ...]] = ()
    state_sizes: dict[str, Any]
    input_size: Any
    output_size: Any
    step: Callable[..., tuple[Tensor, tuple[Tensor, ...]]]

    @property
    def named_function(self) -> Callable[..., Any]:
        """The function whose local variables give the names of the values."""
        return self.step

    def named_values(self, variables: dict[str, Any]) -> dict[str, Any]:
        """What a recording may show, by name, of the local variables of `named_function`."""
        return variables

    def handed_out(self, state: Any) -> Any:
        """A state as a layer returns it, of this cell's named tuple of parts."""
        return state

    def taken_in(self, state: Any) -> Any:
        """The parts of a state that a layer is given, if it is in the form of `handed_out`."""
        return state

    @property
    def state_type(self) -> Any:
        """The named tuple type of this cell's state."""
        return state_type(self.state)

    def zero_state(
        self,
        batch_size: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Any:
        """The state that is all zeros, each [batch_size, size]."""
        shapes = shapes_of(self).values()
        return self.state_type(
            *(torch.zeros(batch_size, *shape, dtype=dtype, device=device) for shape in shapes)
        )


def shapes_of(cell: HasState) -> dict[str, tuple[int, ...]]:
    """The shape of each part of a cell's state in one row."""
    return {name: shape_of(cell.state_sizes[name]) for name in cell.state}


def has_shapes(cell: HasState) -> bool:
    """Whether something that the step takes or returns is not [B, size]."""
    sizes = (cell.input_size, cell.output_size, *cell.state_sizes.values())
    return not all(isinstance(size, int) for size in sizes)


def step_arguments(cell: HasState, x: Tensor, state: Sequence[Tensor]) -> tuple[Any, Any]:
    """The input and the state as the step takes them, out of rows [N, width] and parts of rows."""
    sizes = (cell.state_sizes[name] for name in cell.state)
    parts = (as_shaped(size, part) for size, part in zip(sizes, state, strict=True))
    return as_shaped(cell.input_size, x), tuple(parts)


def step_on_rows(cell: HasState) -> Callable[..., tuple[Tensor, tuple[Tensor, ...]]]:
    """The step as a function of rows and parts of rows, which returns such."""
    if not has_shapes(cell):
        return cell.step

    def step(x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        given, parts = step_arguments(cell, x, state)
        return in_rows(cell, cell.step(given, *parts))

    return step


def in_rows(cell: HasState, result: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The output and the state that a step returns, each as rows [N, width]."""
    output, state = result
    return as_rows(cell.output_size, output), state_in_rows(cell, state)


def state_in_rows(cell: HasState, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A state, each part as rows [N, width]."""
    sizes = (cell.state_sizes[name] for name in cell.state)
    return tuple(as_rows(size, part) for size, part in zip(sizes, state, strict=True))
