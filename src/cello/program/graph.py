"""A step as data: values, and the operations that make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["BATCH", "Op", "Program", "Value", "leaves_in", "map_leaves", "needed_ops"]

_T = TypeVar("_T")


class _Batch:
    """Stands for the number of rows, wherever a shape or an argument holds it."""

    def __repr__(self) -> str:
        return "B"


BATCH = _Batch()


@dataclass(eq=False)
class Value:
    """A tensor of the step: `name` is unique in its program and a valid identifier."""

    name: str
    shape: tuple[Any, ...]  # ints, and BATCH for the batch axis
    dtype: torch.dtype
    numbers: Any = None  # what it holds, if these are whole numbers that the step itself made

    @property
    def batched(self) -> bool:
        """Whether it has a row for each sequence of the batch, along its first axis."""
        return bool(self.shape) and self.shape[0] is BATCH

    def __repr__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.shape))}]"


@dataclass(eq=False)
class Op:
    """One operation. `args` and `kwargs` hold `Value`s, `BATCH` and plain constants."""

    target: Any  # an operation of PyTorch's, or what stands for a function of the step's own
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Value, ...]
    is_tuple: bool  # whether the operation returns a tuple or list of tensors
    where: str  # "file:line" of the line of the step that asked for it
    grad: bool = True  # False inside `torch.no_grad()`
    body: list[Op] | None = None  # what a function of the step's own computes, where that is known
    called: str = ""  # what the step called, such as "cross_entropy", where that has a name

    @property
    def inputs(self) -> list[Value]:
        """The values that it reads, in order."""
        given = list(leaves_in((self.args, self.kwargs), Value))
        if self.body is None:
            return given
        made = {value for op in self.body for value in op.outputs}
        return given + [v for op in self.body for v in op.inputs if v not in made]

    @property
    def inner(self) -> list[Value]:
        """What only its body makes."""
        made = [value for op in self.body or () for value in op.outputs]
        return [value for value in made if value not in self.outputs]

    @property
    def name(self) -> str:
        """Such as `aten.mul.Tensor`."""
        return str(self.target)

    @property
    def function(self) -> str:
        """What the step called, such as `mul`; where several have become one, the usual one."""
        name: str = self.called or self.target._opname
        return _CALLED.get(name, name).strip("_").removeprefix("native_")

    def __repr__(self) -> str:
        def shown(leaf: Any) -> str:
            return leaf.name if isinstance(leaf, Value) else str(leaf)

        arguments = [f"{map_leaves(shown, arg)}".replace("'", "") for arg in self.args]
        arguments += [f"{key}={map_leaves(shown, arg)}" for key, arg in self.kwargs.items()]
        outputs = ", ".join(value.name for value in self.outputs)
        return f"{outputs} = {self.name}({', '.join(arguments)})"


#: Operations that are called by another name than their own.
_CALLED = {
    **dict.fromkeys(("mm", "bmm", "mv"), "matmul"),
    **dict.fromkeys(("addmm", "addmv"), "linear"),
    "t": "transpose",
    "rsub": "sub",
    "convolution": "conv",
}


@dataclass(eq=False)
class Program:
    """One traced step.

    Attributes:
        cell: what its user calls the cell.
        x: the input, [B, I].
        state: the old value of each state, by the state's name.
        parameters: parameters and buffers, by their names in the module.
        constants: tensors that are neither, each with the tensor itself.
        ops: the operations in order; each value is made once, before it is used.
        output: what the step returns as the output.
        next_state: the new value of each state, by the state's name.
        names: what a recording shows, by name, in the order in which the step makes it.
        derived: what engines have made of it, under their names: it lives as long as this.
        step: what the user calls the step.
        asks_size: whether the step asks how many rows it has, so that it may do something else at
            some number; then the program holds for those in `tried`, and others have to be tried.
        tried: the numbers of rows that have been tried: "" where it holds, or why it does not.
    """

    cell: str
    x: Value
    state: dict[str, Value]
    parameters: dict[str, Value]
    constants: dict[Value, Tensor]
    ops: list[Op]
    output: Value
    next_state: dict[str, Value]
    names: dict[str, Value] = field(default_factory=dict)
    derived: dict[str, Any] = field(default_factory=dict, repr=False)
    step: str = ""
    asks_size: bool = False
    tried: dict[int, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.step = self.step or f"{self.cell}.step"

    @property
    def results(self) -> list[Value]:
        """All that the step must compute: the output and the next state."""
        return [self.output, *self.next_state.values()]

    def maker(self) -> dict[Value, Op]:
        """The operation that makes each value."""
        return {value: op for op in self.ops for value in op.outputs}

    def __str__(self) -> str:
        lines = [f"{self.cell}: x = {self.x}, state = {list(self.state.values())}"]
        lines += [f"  {op}" for op in self.ops]
        lines.append(f"  return {self.output.name}, {[v.name for v in self.next_state.values()]}")
        return "\n".join(lines)


def needed_ops(ops: Iterable[Op], values: Iterable[Value], known: Iterable[Value] = ()) -> list[Op]:
    """Those of `ops`, in their order, that are needed to make `values` of what is `known`."""
    known = set(known)
    needed = set(values) - known
    kept = []
    for op in reversed(list(ops)):
        if needed.intersection(op.outputs):
            kept.append(op)
            needed.update(v for v in op.inputs if v not in known)
    return kept[::-1]


def map_leaves(function: Any, tree: Any) -> Any:
    """Apply `function` to everything in nested tuples, lists and dicts."""
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_leaves(function, part) for part in tree)
    if isinstance(tree, dict):
        return {key: map_leaves(function, part) for key, part in tree.items()}
    return function(tree)


def leaves_in(tree: Any, kind: type[_T]) -> Iterator[_T]:
    """Every leaf of a kind in nested tuples, lists and dicts, in order."""
    if isinstance(tree, kind):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            yield from leaves_in(part, kind)
    elif isinstance(tree, dict):
        yield from leaves_in(tuple(tree.values()), kind)
