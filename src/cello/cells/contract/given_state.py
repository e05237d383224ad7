"""What a state must be like that somebody passes: the one place that knows, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from cello.cells.contract.like import autocast_active, like_of
from cello.cells.contract.shapes import as_rows
from cello.cells.contract.state import HasState, shapes_of
from cello.cells.contract.step_checks import check_x, described, refuse_odd
from cello.errors import ArgumentError, DtypeError, ShapeError

__all__ = ["OURS", "PYTORCHS", "batch_of", "check_call", "check_state", "parts_of"]


class _Words(NamedTuple):
    """How the one who passes a state calls it, a part of it, a part alone, and the input."""

    whole: str
    label: str
    part: str
    alone: str
    x: str

    def wanted(self, names: Sequence[str]) -> str:
        """What a state of these parts must be."""
        labels = ", ".join(map(self.label.format, names))
        return self.alone.format(labels) if len(names) == 1 else f"a tuple ({labels})"


OURS = _Words("state", "{}", "state.{}", "a tuple ({},)", "x")
PYTORCHS = _Words("hx", "{}_0", "{}_0", "a tensor {}", "input")


def parts_of(state: Any, count: int, called: str, wanted: str) -> Sequence[Any]:
    """The parts of a state that must be `count`.

    Raises:
        DtypeError: it is neither a tuple nor a list of as many.
    """
    if not isinstance(state, (tuple, list)) or len(state) != count:
        raise DtypeError(f"{called} must be {wanted}, got {described(state)}")
    return state


def check_state(
    cell: HasState, state: Any, like: Tensor, lead: Sequence[int], words: _Words = OURS
) -> tuple[Tensor, ...]:
    """The parts of a state, each [*lead, *shape] with the shape of that part in one row.

    Args:
        cell: whose state it is.
        state: a tuple of its parts; a tensor, if there is only one.
        like: has the dtype that the state must have, but under autocast.
        lead: the axes before those of one row, such as [B].
        words: the user's.

    Raises:
        DtypeError: it is no tuple of tensors, or a part is one that `refuse_odd` refuses, or has
            another dtype.
        ShapeError: a part has another shape.
    """
    shapes = shapes_of(cell)
    if isinstance(state, Tensor) and len(shapes) == 1:
        state = (state,)
    parts = parts_of(state, len(shapes), words.whole, words.wanted(list(shapes)))
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
        called = words.part.format(name)
        if not isinstance(part, Tensor):
            raise DtypeError(f"{called} must be a tensor, got {type(part).__name__}")
        refuse_odd(called, part)
        expected = [*lead, *shape]
        if list(part.shape) != expected:
            raise ShapeError(f"{called} must be {expected}, got {list(part.shape)}")
        if part.dtype != like.dtype and not autocast_active(part.device):
            raise DtypeError(
                f"{called} must have the dtype of {words.x}, {like.dtype}, got {part.dtype}"
            )
    return tuple(parts)


def check_call(cell: HasState, x: Any, state: Any = None) -> tuple[Tensor, ...]:
    """Check what one step is given; return the state as a tuple, zeros if it is None.

    Raises:
        DtypeError: x or a part of the state is no tensor, or of another dtype than expected.
        ShapeError: one of them has another shape.
    """
    check_x(cell, x)
    rows = as_rows(cell.input_size, x, like_of(cell).dtype)
    if state is None:
        return tuple(cell.zero_state(len(rows), dtype=rows.dtype, device=rows.device))
    return check_state(cell, state, rows, [len(rows)])


def batch_of(cell: HasState, state: Any, axis: int = 0) -> int | None:
    """B of a state; 0 of one without the axis of the batch, None if there is no tensor.

    Args:
        cell: whose state it is.
        state: a tuple of its parts, or one part.
        axis: how many axes stand before that of the batch.

    Raises:
        ArgumentError: it is the state of no sequence at all.
    """
    part = state[0] if isinstance(state, (tuple, list)) and state else state
    if not isinstance(part, Tensor):
        return None
    shape = next(iter(shapes_of(cell).values()))
    if part.dim() <= axis + len(shape):
        return 0
    if not part.shape[axis]:
        raise ArgumentError("a stepper needs at least one sequence, the state has none")
    return part.shape[axis]
