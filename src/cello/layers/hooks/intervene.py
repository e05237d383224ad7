"""A run in which values are held: on the engines where that can be, else step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cello.engines import (
    ENGINES,
    Hook,
    Run,
    RunResult,
    autocast_active,
    current_engine,
    interpret,
    only_the_step_may_run,
    run,
)
from cello.program import Program, Value, can_override, with_overrides

__all__ = ["run_intervened"]

#: Up to so many steps, running them one by one is quicker than compiling a loop.
SHORT = 1000

Hooks = Mapping[Value, Sequence[Hook]]


def run_intervened(this: Run, hooks: Hooks, asked: str) -> RunResult:
    """Run with what `hooks` do to the values; see `interpret`.

    A grasp that sets numbers whatever the value was has a method `fixed(like)`, which returns where
    (not 0) and to what it sets the value, each [N, size]; or None if it is not so after all.
    """
    by_step = current_engine(asked) == "reference" or only_the_step_may_run()
    result = None if by_step or autocast_active(this.data.device) else _fast(this, hooks, asked)
    return interpret(this, hooks) if result is None else result


def _fast(this: Run, hooks: Hooks, asked: str) -> RunResult | None:
    """On an engine; None where that cannot be, or is not worth it."""
    program, name = this.captured(), current_engine(asked)
    if not sum(this.batch_sizes) or not all(can_override(program, value) for value in hooks):
        return None
    wide = _settable(program, tuple(hooks))
    if name == "auto" and len(this.batch_sizes) <= SHORT and "cpu" not in wide.derived:
        return None
    columns = _columns(this, hooks)
    if columns is None:
        return None
    on_engine = replace(this, data=torch.cat([this.data, *columns], dim=1), program=wide)
    if name == "auto":
        name = "split" if ENGINES["cpu"].refuses(on_engine) else "cpu"
    return run(on_engine, name)


def _settable(program: Program, values: tuple[Value, ...]) -> Program:
    key = "set " + " ".join(value.name for value in values)
    if key not in program.derived:
        program.derived[key] = with_overrides(program, values)
    changed: Program = program.derived[key]
    return changed


def _columns(this: Run, hooks: Hooks) -> list[Tensor] | None:
    """For each value where it is set and to what; None if that depends on the value."""
    columns: list[Tensor] = []
    for some in hooks.values():
        mask: Tensor | None = None
        new: Tensor | None = None
        for hook in some:
            fixed = getattr(hook, "fixed", None)
            found = None if fixed is None else fixed(this.data)
            if found is None:
                return None
            if mask is None or new is None:
                mask, new = found
            else:
                new = torch.where(found[0] != 0, found[1], new)
                mask = torch.maximum(mask, found[0])
        columns += [part for part in (mask, new) if part is not None]
    return columns
