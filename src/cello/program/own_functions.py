"""Calls of a `torch.autograd.Function` in a program: one operation each, with its own gradient."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from cello.errors import CaptureError
from cello.program.checks import check
from cello.program.graph import Op, Program
from cello.program.sizes import said

__all__ = ["in_operations", "is_own_function", "own_function"]


class _OwnFunction:
    """What stands in a program for `Function.apply`, in the place of an operation of PyTorch's."""

    tags = frozenset[Any]()
    overloadpacket = None
    _numbers = count(1)

    def __init__(self, function: Any) -> None:
        self._function = function
        self._opname = f"{function.__name__}.apply"  # no operation of PyTorch's has a point
        self._overloadname = str(next(self._numbers))  # two functions may have one name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function.apply(*args, **kwargs)

    def __str__(self) -> str:
        return self._opname


_known: WeakKeyDictionary[Any, _OwnFunction] = WeakKeyDictionary()


def own_function(function: Any) -> Any:
    """The target of an operation that applies a `torch.autograd.Function`, a class."""
    return _known.setdefault(function, _OwnFunction(function))


def is_own_function(op: Op) -> bool:
    """Whether the operation applies a `torch.autograd.Function`."""
    return isinstance(op.target, _OwnFunction)


def in_operations(program: Program) -> Program:
    """The program with the operations of each function in its place.

    It says what the step computes, and not which gradients that has.

    Raises:
        CaptureError: a function cannot be written as operations; names its line.
    """
    if not any(map(is_own_function, program.ops)):
        return program
    if "operations" not in program.derived:
        ops: list[Op] = []
        for op in program.ops:
            if not is_own_function(op):
                ops.append(op)
            elif op.body is None:
                raise CaptureError(
                    f"{program.step} cannot be written as operations: {op.function}, an "
                    "autograd.Function, decides by the values in a tensor or by the batch size "
                    f"{said(op.where)}"
                )
            else:
                ops += op.body
        program.derived["operations"] = check(replace(program, ops=ops, derived={}))
    whole: Program = program.derived["operations"]
    return whole
