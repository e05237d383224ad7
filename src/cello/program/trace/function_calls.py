"""Calls of a `torch.autograd.Function` inside a step, while that is written down."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple, NoReturn, Protocol

import torch
from torch import Tensor

from cello.cells.tracing import unmoded
from cello.program.graph import Op, Program, Value, leaves_in, map_leaves
from cello.program.own_functions import own_function
from cello.program.sizes import said
from cello.program.trace.source_lines import user_line

__all__ = ["FunctionCalls"]

#: The code of `Function.apply`; None where it is C (PyTorch 2.14), which a profiler sees otherwise.
_APPLY = getattr(getattr(torch.autograd.Function.apply, "__func__", None), "__code__", None)


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


class _Applied(NamedTuple):
    """A function that is being applied: where, and whether gradients are on there.

    Attributes:
        forward: the code of its `forward`.
    """

    function: Any
    where: str
    grad: bool
    forward: Any

    @classmethod
    def here(cls, function: Any, frame: Any) -> _Applied:
        code = getattr(inspect.unwrap(function.forward), "__code__", None)
        return cls(function, user_line(frame), torch.is_grad_enabled(), code)

    def given(self, frame: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What it is given, as `forward` is called with it; of the older form without `ctx`."""
        code, values = frame.f_code, frame.f_locals
        names = code.co_varnames
        count, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
        args: list[Any] = [values[name] for name in names[:count]]
        kwargs = {name: values[name] for name in names[count:last]}
        if code.co_flags & inspect.CO_VARARGS:
            args += values[names[last]]
            last += 1
        if code.co_flags & inspect.CO_VARKEYWORDS:
            kwargs |= values[names[last]]
        older = self.function.setup_context is torch.autograd.Function.setup_context
        return tuple(args[1:] if older else args), kwargs


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
        self.applied: _Applied | None = None
        self.result: Any = None  # of `forward`

    def decides(self) -> bool:
        """Note that data decide what runs; False where no function is being applied."""
        self.is_opaque = self.is_opaque or self.depth > 0
        return self.is_opaque

    def watch(self, frame: Any, event: str, argument: Any) -> None:
        """What a profiler sees."""
        if _APPLY is None:
            self._watch_c(frame, event, argument)
        elif frame.f_code is not _APPLY:
            return
        elif event == "call":
            self.depth += 1
            if self.depth == 1:
                given = frame.f_locals
                self.applied = _Applied.here(given["cls"], frame)
                self._begin(given["args"], given["kwargs"])
        elif event == "return":
            self.depth -= 1
            if self.depth == 0:
                self._end(argument)

    def _watch_c(self, frame: Any, event: str, argument: Any) -> None:
        """The same where `apply` is C: its `forward` shows what is given and returned."""
        applied = self.applied
        if event.startswith("c_"):
            if not _is_apply(argument):
                return
            self.depth += 1 if event == "c_call" else -1
            if event == "c_call" and self.depth == 1:
                self.applied = _Applied.here(argument.__self__, frame)
            elif self.depth == 0:
                self._end(self.result if event == "c_return" else None)
        elif self.depth == 1 and applied is not None and frame.f_code is applied.forward:
            if event == "call" and self.call is None:
                self._begin(*applied.given(frame))
            elif event == "return":
                self.result = argument
                if any(part is given for part in _parts(argument) for given in self._given()):
                    self.writer.refuse(
                        f"{applied.function.__name__}.apply returns what it is given, as it is "
                        f"({applied.where})"
                    )

    def _given(self) -> list[Tensor]:
        return [] if self.call is None else self.call.tensors

    def _begin(self, args: Any, kwargs: Any) -> None:
        applied = self.applied
        assert applied is not None
        tensors = list(leaves_in((args, kwargs), Tensor))
        self.call = _Call(
            applied.function,
            tensors,
            _versions(tensors),
            map_leaves(self.writer.operand, args),
            map_leaves(self.writer.operand, kwargs),
            len(self.writer.program.ops),
            applied.where,
            applied.grad,
        )

    def _end(self, result: Any) -> None:
        call, writer, ops = self.call, self.writer, self.writer.program.ops
        opaque, self.is_opaque, self.call = self.is_opaque, False, None
        self.applied = self.result = None
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
        results = _parts(result)
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


def _is_apply(called: Any) -> bool:
    kind: Any = getattr(called, "__self__", None)
    named = getattr(called, "__name__", None) == "apply"
    return named and isinstance(kind, type) and issubclass(kind, torch.autograd.Function)


def _parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def _versions(tensors: list[Tensor]) -> list[int]:
    with unmoded(), torch._C.DisableTorchFunction():
        return [0 if tensor.is_inference() else tensor._version for tensor in tensors]
