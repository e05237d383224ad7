"""What must hold of every program: checked after it is captured and after it is changed."""

from __future__ import annotations

from cello.errors import CaptureError
from cello.program.graph import Program, Value

__all__ = ["check"]


def check(program: Program) -> Program:
    """Return `program` if it is sound.

    Raises:
        CaptureError: a value is used before it is made or made twice, two values have one name,
            or a state's new value has another shape than its old one.
    """
    made: set[Value] = {program.x, *program.state.values(), *program.parameters.values()}
    made |= set(program.constants)
    names = {value.name for value in made}
    if len(names) != len(made):
        raise CaptureError(f"{program.cell}: two inputs of the program have one name")
    for op in program.ops:
        for value in op.inputs:
            if value not in made:
                raise CaptureError(f"{program.cell}: {value.name} is used before it is made: {op}")
        for value in op.outputs:
            if value in made or value.name in names:
                raise CaptureError(f"{program.cell}: {value.name} is made twice: {op}")
            made.add(value)
            names.add(value.name)
    for value in (*program.results, *program.names.values()):
        if value not in made:
            raise CaptureError(f"{program.cell}: {value.name} is never made")
    for name, old in program.state.items():
        new = program.next_state[name]
        if new.shape != old.shape:
            raise CaptureError(
                f"{program.cell}: the new {name} has shape {new.shape}, the old one {old.shape}"
            )
    return program
