"""Split a program: what runs once, before, in and after the loop over time."""

from __future__ import annotations

from dataclasses import dataclass

from cello.program.graph import Op, Program, Value
from cello.program.operations import is_random
from cello.program.rows import counts_rows, is_row_wise

__all__ = ["Split", "split"]


@dataclass(eq=False)
class Split:
    """The operations of a program by when they run.

    Attributes:
        program: what was split.
        once: needs neither input nor state: runs once.
        before: needs no state and treats each row by itself: runs for all steps at once.
        loop: runs step by step, for the next state needs it.
        after: needs the state but no state needs it, and treats each row by itself: runs for all
            steps at once, over what the loop has left.
    """

    program: Program
    once: list[Op]
    before: list[Op]
    loop: list[Op]
    after: list[Op]


def split(program: Program) -> Split:
    """Put every operation of `program` where it costs least.

    >>> import cello
    >>> parts = split(cello.program.capture(cello.ElmanCell(3, 2, bias=False)))
    >>> [str(op.target) for op in parts.before], [str(op.target) for op in parts.loop]
    (['aten.mm.default'], ['aten.mm.default', 'aten.add.Tensor', 'aten.tanh.default'])
    """
    phase: dict[Value, str] = dict.fromkeys(
        (*program.parameters.values(), *program.constants), "once"
    )
    phase[program.x] = "before"
    phase.update(dict.fromkeys(program.state.values(), "loop"))

    placed: dict[Op, str] = {}
    for op in program.ops:
        placed[op] = _earliest(op, {phase[value] for value in op.inputs})
        phase.update(dict.fromkeys(op.outputs, placed[op]))

    needed = {value for value in program.next_state.values() if phase[value] == "loop"}
    for op in reversed(program.ops):
        if placed[op] != "loop":
            continue
        per_step = any(phase[v] == "loop" and not v.batched for v in op.inputs)
        fixed = per_step or is_random(op) or not is_row_wise(op)
        if fixed or needed.intersection(op.outputs):
            needed.update(op.inputs)
        else:
            placed[op] = "after"

    def of(name: str) -> list[Op]:
        return [op for op in program.ops if placed[op] == name]

    return Split(program, of("once"), of("before"), of("loop"), of("after"))


def _earliest(op: Op, inputs: set[str]) -> str:
    if "loop" in inputs:
        return "loop"
    if "before" in inputs or op.outputs[0].batched:
        return "before" if is_row_wise(op) else "loop"
    return "loop" if is_random(op) or counts_rows((op.args, op.kwargs)) else "once"
