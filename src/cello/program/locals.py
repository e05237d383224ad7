"""The names of a step's values: its local variables, read when it returns."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from torch import Tensor

from cello.cells import Cell

__all__ = ["named_tensors", "step_with_locals"]


def step_with_locals(
    cell: Cell, x: Tensor, state: tuple[Tensor, ...]
) -> tuple[Any, dict[str, Any]]:
    """Run one step; return its result, and its local variables as they are when it returns.

    Only the outermost call of the step's own function counts, not what that calls. A step that is
    not a Python function (a scripted one, say) has no local variables to see.
    """
    code = getattr(inspect.unwrap(cell.named_function), "__code__", None)
    seen: dict[str, Any] = {}
    depth = 0

    def watch(frame: Any, event: str, _argument: Any) -> None:
        nonlocal depth
        if frame.f_code is not code:
            return
        if event == "call":
            depth += 1
        elif event == "return":
            depth -= 1
            if depth == 0:
                seen.update(frame.f_locals)

    before: Any = sys.getprofile()
    sys.setprofile(watch)
    try:
        result = cell.step(x, *state)
    finally:
        if before is None or callable(before):
            sys.setprofile(before)
        else:  # a profiler written in C, such as cProfile's
            before.enable()
    seen.pop("self", None)
    return result, seen


def named_tensors(
    cell: Cell, x: Tensor, state: tuple[Tensor, ...], result: Any, variables: dict[str, Any]
) -> dict[str, Tensor]:
    """What a recording calls each tensor, from the step's result and its local variables.

    The names of the states belong to their new values, `x` to the input, and a local variable
    that still holds a state's old value is `NAME_prev`. An output that no variable holds is `y`.
    """
    output, next_state = result
    old = {id(value): f"{name}_prev" for name, value in zip(cell.state, state, strict=True)}
    named = {"x": x}
    for name, value in variables.items():
        is_ours = isinstance(value, Tensor) and name not in cell.state and name != "x"
        if is_ours and id(value) not in old and value is not x:
            named[name] = value
    named.update(zip(cell.state, next_state, strict=True))
    if not any(value is output for value in named.values()):
        named["y" if "y" not in named else "output"] = output
    return named
