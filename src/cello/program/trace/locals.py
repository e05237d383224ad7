"""The names of a step's values: its local variables, read when it returns."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from cello.cells import Cell
from cello.cells.tracing import set_profiler

__all__ = ["named_tensors", "step_with_locals", "unwatched"]


def step_with_locals(
    cell: Cell,
    x: Any,
    state: tuple[Tensor, ...],
    watch: Callable[[Any, str, Any], None] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Run one step; return its result, and its local variables as they are when it returns.

    What is called meanwhile is shown to `watch`, as to a profiler; it may raise.

    Only the outermost call of the step's own function counts, not what that calls. A step that is
    not a Python function (a scripted one, say) has no local variables to see.
    """
    code = getattr(inspect.unwrap(cell.named_function), "__code__", None)
    seen: dict[str, Any] = {}
    depth = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal depth
        if watch is not None and depth:
            watch(frame, event, argument)
        if frame.f_code is not code:
            return
        if event == "call":
            depth += 1
        elif event == "return":
            depth -= 1
            if depth == 0:
                seen.update(frame.f_locals)

    before: Any = sys.getprofile()
    sys.setprofile(profile)
    try:
        result = cell.step(x, *state)
    finally:
        set_profiler(before)
    seen.pop("self", None)
    return result, seen


@contextmanager
def unwatched() -> Iterator[None]:
    """Run a block of our own inside a step that is not to be shown to whoever watches the step."""
    profile = sys.getprofile()
    sys.setprofile(None)
    try:
        yield
    finally:
        sys.setprofile(profile)


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
