"""An operation taken apart into those that it is made of, where it has such a form."""

from __future__ import annotations

import inspect
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cello.cells.tracing import unmoded
from cello.program.graph import BATCH, Op, Value, map_leaves, needed_ops
from cello.program.operations import creation, facts

__all__ = ["expanded"]

ROWS = 1_000_003  # stands for the number of rows: nothing else has this size


_found: WeakKeyDictionary[Op, dict[torch.dtype, list[Op]]] = WeakKeyDictionary()


def expanded(op: Op, real: torch.dtype) -> list[Op]:
    """The operations that `op` is made of; itself, if it has no other form.

    Args:
        op: an operation of a program.
        real: the type of the program's numbers.
    """
    found = _found.setdefault(op, {})
    if real not in found:
        found[real] = _expanded(op, real)
    return found[real]


def _expanded(op: Op, real: torch.dtype) -> list[Op]:
    composed = facts(op).composed
    if composed is None or not op.outputs[0].batched:
        return [op]
    with unmoded(), torch.enable_grad():
        tracer = _Tracer(op)
        args, kwargs = map_leaves(tracer.stand_in, (op.args, op.kwargs))
        if "real" in inspect.signature(composed).parameters:
            kwargs["real"] = real
        with tracer:
            made = composed(*args, **kwargs)
        if made is None:
            return [op]
        ops = tracer.ending([made] if isinstance(made, Tensor) else list(made))
    return [part for small in ops for part in expanded(small, real)]


class _Tracer(TorchDispatchMode):
    """Writes down what a composition does with tensors that have no numbers."""

    def __init__(self, op: Op) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.op, self.ops = op, list[Op]()
        self.values: dict[int, Value] = {}
        self.alive: list[Tensor] = []

    def stand_in(self, leaf: Any) -> Any:
        """What the composition gets for an argument."""
        if leaf is BATCH:
            return ROWS
        if not isinstance(leaf, Value):
            return leaf
        shape = [ROWS if size is BATCH else size for size in leaf.shape]
        tensor = torch.empty(shape, dtype=leaf.dtype, device="meta")
        return self.known(tensor, leaf)

    def known(self, tensor: Tensor, value: Value) -> Tensor:
        """Note what a tensor stands for."""
        self.values[id(tensor)] = value
        self.alive.append(tensor)
        return tensor

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if any(argument.name == "device" for argument in func._schema.arguments):
            kwargs["device"] = torch.device("meta")
        result = func(*args, **kwargs)
        results = result if isinstance(result, (tuple, list)) else (result,)
        if not all(isinstance(part, Tensor) for part in results):
            return result
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        target: Any = func
        if made := creation(func, args, results[0], torch.device("cpu")):
            target, args, kwargs = made
        for part in results:
            name = f"{self.op.outputs[0].name}_{len(self.alive)}"
            shape = tuple(BATCH if size == ROWS else size for size in part.shape)
            self.known(part, Value(name, shape, part.dtype))
        outputs = tuple(self.values[id(part)] for part in results)
        is_tuple = isinstance(result, (tuple, list))
        args, kwargs = map_leaves(self.written, (tuple(args), kwargs))
        self.ops.append(
            Op(
                target, args, kwargs, outputs, is_tuple, self.op.where, self.op.grad,
                called=self.op.called,
            )
        )  # fmt: skip
        return result

    def written(self, leaf: Any) -> Any:
        """What stands in the program for an argument."""
        if isinstance(leaf, Tensor):
            return self.values[id(leaf)]
        return BATCH if type(leaf) is int and leaf == ROWS else leaf

    def ending(self, made: list[Tensor]) -> list[Op]:
        """The operations, the last of which make the outputs of the one that they replace."""
        for part, output in zip(made, self.op.outputs, strict=False):
            alias: Any = torch.ops.aten.alias.default
            value = self.values[id(part)]
            self.ops.append(Op(alias, (value,), {}, (output,), False, self.op.where, self.op.grad))
        return needed_ops(self.ops, self.op.outputs)
