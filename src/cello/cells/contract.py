"""What a step must return, checked in one place, with messages that teach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from cello.errors import CellError

if TYPE_CHECKING:
    from cello.cells.cell import Cell

__all__ = ["check_step_result"]


def check_step_result(cell: Cell, result: Any, batch_size: int) -> None:
    """Check that `result` is `(output, next state)` as the cell's `state` promises.

    Raises:
        CellError: says what was expected and what the step returned.
    """
    name, names = type(cell).__name__, cell.state
    comma = "," if len(names) == 1 else ""
    wanted = f"return output, ({', '.join(names)}{comma})"
    if not isinstance(result, tuple) or len(result) != 2:
        raise CellError(f"{name}.step must end in `{wanted}`; it returned {_describe(result)}")
    output, state = result
    if not isinstance(output, Tensor):
        raise CellError(
            f"{name}.step must end in `{wanted}`; its output is {_describe(output)}, not a tensor"
        )
    if not isinstance(state, (tuple, list)) or len(state) != len(names):
        raise CellError(
            f"{name}.step must end in `{wanted}`, with a tuple of {len(names)} as the next state; "
            f"it returned {_describe(state)} there"
        )
    if output.dim() < 1 or output.shape[0] != batch_size:
        raise CellError(
            f"{name}.step must return an output of shape [{batch_size}, size], "
            f"got {list(output.shape)}"
        )
    for part, value in zip(names, state, strict=True):
        expected = [batch_size, cell.state_sizes[part]]
        if not isinstance(value, Tensor) or list(value.shape) != expected:
            raise CellError(
                f"{name}.step must return the next state {part} with shape {expected}, "
                f"got {_describe(value)}; a state whose size is not hidden_size is declared in "
                f"super().__init__(..., state_sizes={{{part!r}: size}})"
            )
        if value.dtype != output.dtype and not output.is_complex():
            raise CellError(
                f"{name}.step returned the state {part} as {value.dtype} beside an output of "
                f"{output.dtype}; state and output must have one dtype"
            )


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{type(value).__name__}"
