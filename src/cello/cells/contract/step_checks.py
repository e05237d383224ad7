"""What a cell must be, what goes into a step and what it returns, with messages that teach."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.cells.contract.like import a_tensor_of, autocast_active, like_of
from cello.cells.contract.shapes import check_part, parts_given, shape_of, shown
from cello.cells.contract.state import HasState, shapes_of
from cello.errors import CellError, DtypeError, ShapeError

__all__ = [
    "check_cell",
    "check_step_result",
    "check_x",
    "checked_parts",
    "described",
    "kind_of",
    "name_of",
    "refuse_odd",
    "shapes_given",
    "step_name_of",
]


def name_of(cell: HasState) -> str:
    """What its user calls a cell: the name of its class, or of a third party's module."""
    name: str = _whose_step(cell)._get_name()
    return name


def step_name_of(cell: HasState) -> str:
    """What its user calls the step of a cell."""
    return f"{name_of(cell)}.{'step' if _whose_step(cell) is cell else 'forward'}"


def _whose_step(cell: HasState) -> nn.Module:
    """The cell, or the module whose function its step calls."""
    owner = getattr(cell.named_function, "__self__", None)
    return owner if isinstance(owner, nn.Module) else cell


def kind_of(x: Any) -> str:
    """What an input is that should have been a tensor, with a word on what a layer returns."""
    if isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], (Tensor, PackedSequence)):
        return (
            "the pair (output, state) that a recurrent layer returns: pass its output alone, or "
            "use cello.Stack in place of nn.Sequential"
        )
    return type(x).__name__


def check_cell(cell: HasState) -> None:
    """Check that a cell is built, and that its step takes the input and the state.

    Raises:
        CellError: the constructor of `Cell` has not run, or `step` takes other arguments, or has
            the name of one state for the input or for another state.
    """
    name = type(cell).__name__
    if "state_sizes" not in vars(cell):
        raise CellError(
            f"{name}.__init__ must call super().__init__(input_size, hidden_size) as its first line"
        )
    for attribute in (*cell._parameters, *cell._buffers, *cell._modules):
        if hasattr(type(cell), attribute):
            raise CellError(
                f"{name} has a parameter or module called {attribute!r}, which is the name of an "
                "attribute of its class: rename it"
            )
    wanted = f"def step({', '.join(('self', 'x', *cell.state))})"
    try:
        signature = inspect.signature(cell.step)
        signature.bind(None, *cell.state)
    except TypeError as error:
        raise CellError(
            f"{name}.step must take an input and the state, {wanted}: {error}"
        ) from None
    except ValueError:  # a function that has no signature to see
        return
    own = [p.name for p in signature.parameters.values() if p.kind in _BY_POSITION]
    places = ("the input", *(f"the state {part!r}" for part in cell.state))
    for argument, part, given in zip(own, ("", *cell.state), places, strict=False):
        if argument in cell.state and argument != part:
            raise CellError(
                f"{name}.step has the argument {argument!r} where it is given {given}: the input "
                f"comes first, then the states as in {name}.state {cell.state!r}: {wanted}"
            )


_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def refuse_odd(called: str, x: Tensor) -> None:
    """Check that an input or a state is real, and has its numbers one beside the other.

    Raises:
        DtypeError: it is complex, sparse, or of another layout, or nested.
    """
    if x.is_nested:
        raise DtypeError(
            f"{called} must be a padded tensor, got a nested one: give "
            f"torch.nested.to_padded_tensor({called}, 0), and the number of steps of each sequence "
            "as lengths=…"
        )
    if x.layout is not torch.strided:
        raise DtypeError(f"{called} must be a dense tensor, got {x.layout}: {called}.to_dense()")
    if x.is_complex():
        raise DtypeError(
            f"{called} must be real, got {x.dtype}: give its real and imaginary parts as features "
            "of their own (torch.view_as_real); inside of a step there may be complex numbers"
        )


def check_x(cell: HasState, x: Any) -> None:
    """Check the input of one step.

    Raises:
        DtypeError: x is no tensor, one that `refuse_odd` refuses, or of another dtype than the
            parameters.
        ShapeError: x is not [B, input_size].
    """
    name, size = name_of(cell), cell.input_size
    if not isinstance(size, int):
        _check_parts(cell, x)
        return
    if not isinstance(x, Tensor):
        raise DtypeError(f"x must be a tensor, got {kind_of(x)}")
    refuse_odd("x", x)
    if x.dim() != 2 or x.shape[1] != cell.input_size:
        raise ShapeError(
            f"x must be [B, {cell.input_size}] for one step of {name}, got {list(x.shape)}"
        )
    tensor = a_tensor_of(cell)
    own = x.dtype if tensor is None else tensor.dtype
    if x.dtype != own and not autocast_active(x.device):
        raise DtypeError(f"x must have the dtype of {name}'s parameters, {own}, got {x.dtype}")


def _check_parts(cell: HasState, x: Any) -> None:
    """Check an input of one step that is not [B, size]: see `check_x`."""
    size = cell.input_size
    parts = checked_parts("x", size, x, like_of(cell).dtype)
    leads = {lead for _, _, lead in parts.values()}
    if len(leads) != 1 or len(leads.pop()) != 1:
        raise ShapeError(
            f"x must be {shown(size, 'B')} for one step of {name_of(cell)}, "
            f"got {shapes_given(parts)}"
        )


Parts = dict[str, tuple[Any, Tensor, torch.Size]]


def checked_parts(called: str, size: Any, x: Any, dtype: torch.dtype) -> Parts:
    """For each part of an input its size, its tensor, and the axes before those of a row.

    Args:
        called: the user's word for the input.
        size: of the input.
        x: the input.
        dtype: that of the parameters.

    Raises:
        DtypeError, ShapeError, ArgumentError: a part is missing or does not fit; names it.
    """
    parts = {}
    for name, (one, part) in parts_given(called, size, x).items():
        check_part(name, one, part, dtype)
        refuse_odd(name, part)
        parts[name] = one, part, part.shape[: part.dim() - len(shape_of(one))]
    return parts


def shapes_given(parts: Parts) -> str:
    """The shapes of the parts, for a message."""
    shapes = {name: list(part.shape) for name, (_, part, _) in parts.items()}
    if len(shapes) == 1:
        return str(*shapes.values())
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def check_step_result(cell: HasState, result: Any, batch_size: int) -> None:
    """Check that `result` is `(output, next state)` as the cell's `state` promises.

    Raises:
        CellError: says what was expected and what the step returned.
    """
    step, names = step_name_of(cell), cell.state
    comma = "," if len(names) == 1 else ""
    wanted = f"return output, ({', '.join(names)}{comma})"
    if not isinstance(result, tuple) or len(result) != 2:
        raise CellError(f"{step} must end in `{wanted}`; it returned {described(result)}")
    output, state = result
    if not isinstance(output, Tensor):
        raise CellError(
            f"{step} must end in `{wanted}`; its output is {described(output)}, not a tensor"
        )
    if not isinstance(state, (tuple, list)) or len(state) != len(names):
        raise CellError(
            f"{step} must end in `{wanted}`, with a tuple of {len(names)} as the next state; "
            f"it returned {described(state)} there"
        )
    declared = cell.output_size
    if output.dim() < 1 or output.shape[0] != batch_size:
        raise CellError(
            f"{step} must return an output of shape [{batch_size}, size], got {list(output.shape)}"
        )
    if isinstance(declared, tuple) and tuple(output.shape[1:]) != declared:
        raise CellError(
            f"{step} must return an output of shape {shown(declared, batch_size)} (output_size), "
            f"got {list(output.shape)}"
        )
    for (part, shape), value in zip(shapes_of(cell).items(), state, strict=True):
        expected = [batch_size, *shape]
        if not isinstance(value, Tensor) or list(value.shape) != expected:
            raise CellError(
                f"{step} must return the next state {part} with shape {expected}, "
                f"got {described(value)}; a state whose size is not hidden_size is declared in "
                f"super().__init__(..., state_sizes={{{part!r}: {_declared(value)}}})"
            )
        if value.is_complex():
            raise CellError(
                f"{step} returned the state {part} as {value.dtype}; a state is real: keep "
                "the real and imaginary parts as two states, and put them together inside of the "
                "step (torch.complex)"
            )
        loose = output.is_complex() or autocast_active(output.device)
        if value.dtype != output.dtype and not loose:
            raise CellError(
                f"{step} returned the state {part} as {value.dtype} beside an output of "
                f"{output.dtype}; state and output must have one dtype"
            )


def _declared(value: Any) -> str:
    """The size with which a state of this shape is declared."""
    if not isinstance(value, Tensor) or value.dim() < 2:
        return "size"
    return f"{value.shape[1]}" if value.dim() == 2 else f"{tuple(value.shape[1:])}"


def described(value: Any) -> str:
    """What something is that should have been something else, in words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{type(value).__name__}"
