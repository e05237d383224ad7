"""Calls of a `torch.autograd.Function` inside a step, while that is written down."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn, Protocol

import torch
from torch import Tensor

from cello.cells.tracing import unmoded
from cello.program.graph import Op, Program, Value, map_leaves
from cello.program.own_functions import own_function
from cello.program.sizes import said
from cello.program.trace.row_layout import tensors_in
from cello.program.trace.source_lines import user_line

__all__ = ["FunctionCalls"]

_APPLY = vars(torch.autograd.Function)["apply"].__func__.__code__


class ProgramWriter(Protocol):
    """What writes the step down."""

    program: Program
    values: dict[int, Value]

    def operand(self, leaf: Any) -> Any:
        """What stands in the program for an argument."""

    def value(self, tensor: Tensor, name: str) -> Value:
        """A new value for a tensor."""

    def noted(self, made: Tensor, given: Any, grad: bool) -> None:
        """Note a tensor that a function has made of what it was given."""

    def refuse(self, why: str) -> NoReturn:
        """Refuse the step."""


class _Call(NamedTuple):
    """A call that has begun."""

    function: Any
    tensors: list[Tensor]
    versions: list[int]
    args: Any
    kwargs: Any
    first: int  # of its own operations among those of the program
    where: str
    grad: bool


class FunctionCalls:
    """Makes one operation of each call, out of those that it runs.

    PyTorch differentiates a function by its `backward`, not by its operations, so that these are
    kept as its body: they say what it computes, unless values in a tensor decide that.

    Attributes:
        is_opaque: whether what runs now cannot be written down.
    """

    def __init__(self, writer: ProgramWriter) -> None:
        self.writer = writer
        self.depth = 0  # functions apply others; the outermost is the one whose gradient counts
        self.is_opaque = False
        self.call: _Call | None = None

    def decides(self) -> bool:
        """Note that values decide what follows; False where no function is being applied."""
        self.is_opaque = self.is_opaque or self.depth > 0
        return self.is_opaque

    def watch(self, frame: Any, event: str, result: Any) -> None:
        """What a profiler sees."""
        if frame.f_code is not _APPLY:
            return
        if event == "call":
            self.depth += 1
            if self.depth == 1:
                self._begin(frame)
        elif event == "return":
            self.depth -= 1
            if self.depth == 0:
                self._end(result)

    def _begin(self, frame: Any) -> None:
        given = frame.f_locals
        args, kwargs = given["args"], given["kwargs"]
        tensors = list(tensors_in((args, kwargs)))
        self.call = _Call(
            given["cls"],
            tensors,
            _versions(tensors),
            map_leaves(self.writer.operand, args),
            map_leaves(self.writer.operand, kwargs),
            len(self.writer.program.ops),
            user_line(frame),
            torch.is_grad_enabled(),
        )

    def _end(self, result: Any) -> None:
        call, writer, ops = self.call, self.writer, self.writer.program.ops
        opaque, self.is_opaque, self.call = self.is_opaque, False, None
        if call is None:
            return
        name = f"{call.function.__name__}.apply"
        if result is None:  # it raises an error, or is of no use
            if opaque:
                writer.refuse(
                    f"{name} decides by the values in a tensor whether it returns any "
                    f"{said(call.where)}"
                )
            return
        results = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(part, Tensor) for part in results):
            writer.refuse(f"{name} returns more than tensors ({call.where})")
        if _versions(call.tensors) != call.versions:
            writer.refuse(f"{name} changes in place what it is given ({call.where})")
        if not opaque:
            for part in results:
                writer.operand(part)
        body = ops[call.first :]
        del ops[call.first :]
        made = {value for op in body for value in op.outputs}
        for part in results:
            if opaque or writer.values.get(id(part)) not in made:
                opaque = True
                writer.value(part, call.function.__name__)
            writer.noted(part, call.tensors, call.grad)
        outputs = tuple(writer.values[id(part)] for part in results)
        is_tuple, target = isinstance(result, tuple), own_function(call.function)
        ops.append(
            Op(
                target, call.args, call.kwargs, outputs, is_tuple, call.where, call.grad,
                body=None if opaque else body,
            )
        )  # fmt: skip


def _versions(tensors: list[Tensor]) -> list[int]:
    with unmoded(), torch._C.DisableTorchFunction():
        return [0 if tensor.is_inference() else tensor._version for tensor in tensors]
