"""The names of a step's values: its local variables, read when it returns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from cello.cells import Cell
from cello.cells.tracing import set_profiler, with_locals

__all__ = ["named_tensors", "step_with_locals", "unwatched"]


def step_with_locals(
    cell: Cell,
    x: Any,
    state: tuple[Tensor, ...],
    watch: Callable[[Any, str, Any], None] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Run one step; return its result, and its local variables as they are when it returns.

    What is called meanwhile is shown to `watch`, as to a profiler; it may raise.
    """
    result, variables = with_locals(cell.named_function, lambda: cell.step(x, *state), watch)
    return result, cell.named_values(variables)


@contextmanager
def unwatched() -> Iterator[None]:
    """Run a block inside a step that its profiler does not see."""
    profile: Any = sys.getprofile()
    sys.setprofile(None)
    try:
        yield
    finally:
        set_profiler(profile)


def named_tensors(
    cell: Cell, x: Any, state: tuple[Tensor, ...], result: Any, variables: dict[str, Any]
) -> dict[str, Tensor]:
    """What a recording calls each tensor, from the step's result and its local variables.

    The names of the states belong to their new values, `x` to the input, and a local variable
    that still holds a state's old value is `NAME_prev`. An output that no variable holds is `y`.
    Of several inputs each has the name of the variable that holds it, else `x_NAME`.
    """
    output, next_state = result
    old = {id(value): f"{name}_prev" for name, value in zip(cell.state, state, strict=True)}
    if isinstance(x, Tensor):
        named = {"x": x}
    else:
        held = {id(value) for value in variables.values()}
        parts = x.items() if isinstance(x, dict) else enumerate(x)
        named = {f"x_{key}": part for key, part in parts if id(part) not in held}
    for name, value in variables.items():
        is_ours = isinstance(value, Tensor) and name not in cell.state and name != "x"
        if is_ours and id(value) not in old and value is not x:
            named[name] = value
    named.update(zip(cell.state, next_state, strict=True))
    if not any(value is output for value in named.values()):
        named["y" if "y" not in named else "output"] = output
    return named
