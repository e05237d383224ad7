"""What capture asks of an operation; and those in place, rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cello.errors import CaptureError
from cello.program.graph import Op, Program, Value
from cello.program.sizes import said

__all__ = [
    "changes_given",
    "depends_on_data",
    "is_in_place",
    "is_new",
    "is_view",
    "makes_number",
    "out_of_place",
]

aten = torch.ops.aten

_BY_DATA = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}

# They never stand in a program: the table of operations has what stands in their place.
_IN_PLACE = {
    aten.bernoulli_.float: aten.bernoulli.p,
    aten.normal_.default: aten.normal_functional.default,
    aten.copy_.default: aten.expand.default,  # of what is copied, to this size
}


def is_in_place(func: torch._ops.OpOverload) -> bool:
    """Whether the operation writes into one of its arguments."""
    return func._schema.is_mutable


def is_view(func: torch._ops.OpOverload) -> bool:
    """Whether the result shares its memory with an argument."""
    return not is_in_place(func) and any(a.alias_info for a in func._schema.arguments)


def is_new(ops: Sequence[Op], value: Value) -> bool:
    """Whether the first of two operations has made it out of nothing but a size.

    PyTorch itself detaches what `zeros_like` and its kin make.
    """
    return len(ops) == 2 and not ops[0].inputs and value in ops[0].outputs


def out_of_place(
    func: torch._ops.OpOverload, given: int, where: str
) -> tuple[torch._ops.OpOverload, tuple[Any, ...]]:
    """The operation that returns what the in-place `func` would write.

    With it the defaults of the arguments after the first `given`, for it may have none.

    Raises:
        CaptureError: there is none.
    """
    target = _IN_PLACE.get(func)
    if target is None:
        packet = getattr(aten, func._opname.removesuffix("_"), None)
        target = getattr(packet, func._overloadname, None)
    if target is None or is_in_place(target):
        raise CaptureError(
            f"{func._opname} changes a tensor in place, which has no other form {said(where)}"
        )
    defaults = (
        argument.default_value
        for argument in func._schema.arguments[given:]
        if argument.has_default_value() and not argument.kwarg_only
    )
    return target, tuple(defaults)


def makes_number(func: torch._ops.OpOverload) -> bool:
    """Whether it makes a number of Python's out of a tensor: `.item()`, `float()`, `if`."""
    return func._opname == "_local_scalar_dense"


def depends_on_data(func: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether the numbers in a tensor decide what the operation returns, or of which shape."""
    if func._opname == "index":  # only where elements are taken where something is true
        return any(n is not None and n.dtype in (torch.bool, torch.uint8) for n in args[1])
    return makes_number(func) or not _BY_DATA.isdisjoint(func.tags)


def changes_given(program: Program, value: Value, called: str, where: str) -> str:
    """Why a step may not change in place what it is given: an input, a state, a parameter."""
    paths = {known: path for path, known in program.parameters.items()}
    states = {known: name for name, known in program.state.items()}
    name = paths.get(value, value.name)
    if name.endswith("num_batches_tracked"):
        return (
            "batch norm in training computes with all rows at once and moves its running averages "
            f"at every step {said(where)}; in evaluation, with .eval(), it fuses"
        )
    if value in states:
        return (
            f"{called} changes the state {states[value]} in place {said(where)}; of "
            f"{states[value]}.clone() it fuses"
        )
    return (
        f"{called} changes {name} in place {said(where)}; what is carried from step to step "
        "belongs in `state`"
    )
