"""The vectors of a step, as nodes of ONNX.

A vector of n features is a tensor [..., n]: [B, n] inside of a loop, [T, B, n] where all steps are
computed at once; what has no rows is [n].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cello.convert.onnx.primitives import FUNCTIONS, exact_sigmoid
from cello.convert.onnx.writer import NodeWriter
from cello.convert.recurrence import Step
from cello.errors import ConversionError
from cello.program.kernel.nodes import (
    Apply,
    Array,
    Constant,
    Dot,
    Fold,
    Gather,
    Load,
    Node,
    Shared,
    Slice,
    TermSum,
)
from cello.program.kernel.primitives import PRIMITIVES

__all__ = ["StepLines", "array_of"]


def array_of(tensor: Tensor) -> Any:
    """The numbers of a tensor.

    Raises:
        ConversionError: ONNX Runtime has no such numbers on a CPU.
    """
    if tensor.dtype == torch.bfloat16:
        raise ConversionError(
            "a net in bfloat16 cannot be run by ONNX Runtime on a CPU: net.float()"
        )
    return tensor.detach().cpu().numpy()


class StepLines:
    """Writes vectors of a step into a graph, each once.

    Args:
        step: whose vectors.
        writer: of the graph.
        loads: the tensor that holds the rows of each array.
        known: vectors that there are already, as numbers.
    """

    def __init__(
        self,
        step: Step,
        writer: NodeWriter,
        loads: Mapping[tuple[str, str], str],
        known: Mapping[Node, str] | None = None,
    ) -> None:
        self.step, self.put, self.loads = step, writer, loads
        self.dtype = array_of(torch.empty(0, dtype=step.dtype)).dtype
        self.known = known or {}
        self.made: dict[Node, str] = dict(self.known)
        self._lead: str | None = None
        self._products: dict[Any, list[Dot]] = {}
        for node in step.needed:
            if isinstance(node, Dot):
                key = node.arg, node.matrix, node.transposed, node.k0
                self._products.setdefault(key, []).append(node)

    def rows(self, nodes: Sequence[Node], name: str = "") -> str:
        """These vectors side by side, with rows."""
        self._write(nodes)
        parts = [self._with_rows(node) for node in nodes]
        return parts[0] if len(parts) == 1 else self.put("Concat", *parts, axis=-1, name=name)

    def _write(self, ends: Sequence[Node]) -> None:
        """Write all that is needed to make `ends` of what is there."""
        todo, found = list(ends), set[Node]()
        while todo:
            node = todo.pop()
            if node not in self.made and node not in found:
                found.add(node)
                todo.extend(node.inputs)
        for node in sorted(found, key=lambda node: node.serial):
            if node not in self.made:  # products are made several at once
                self.made[node] = getattr(self, f"_{type(node).__name__.lower()}")(node)

    @staticmethod
    def _key(array: Array) -> tuple[str, str]:
        return array.kind, array.name

    def _load(self, node: Load) -> str:
        return self._sliced(self.loads[self._key(node.array)], node, node.start, node.array.width)

    def _slice(self, node: Slice) -> str:
        return self._sliced(self._numbers(node.arg), node, node.start, node.arg.length)

    def _sliced(self, name: str, node: Node, start: int, width: int) -> str:
        if node.length == width:
            return name
        ends = (self.put.integers(n) for n in (start, start + node.length, -1))
        return self.put("Slice", name, *ends, name=node.name)

    def _shared(self, node: Shared) -> str:
        return self.put.constant(array_of(self.step.shared(node)), node.value.name)

    def _constant(self, node: Constant) -> str:
        return self._number(node.value)

    def _number(self, value: float) -> str:
        return self.put.constant(np.array([value], self.dtype))

    def _apply(self, node: Apply) -> str:
        if node.function == "feature":
            return self.put.constant(np.arange(node.args[0].length, dtype=self.dtype))

        def put(operator: str, *operands: Any, **attributes: Any) -> str:
            names = [a if isinstance(a, str) else self._number(a) for a in operands]
            return self.put(operator, *names, **attributes)

        operands = self._operands(node)
        if node.function in _PASSING:
            operands = [self.made[node.args[0]]]
        precise = node.function == "sigmoid" and self.step.divides
        function = exact_sigmoid if precise else FUNCTIONS[node.function]
        made: str = function(put, *operands)
        if node.length > 1 and all(arg.length == 1 for arg in node.args):
            made = self.put("Expand", made, self.put.integers(node.length))
        return self.put.called(made, node.name)

    def _operands(self, node: Apply) -> list[str]:
        """The arguments, as numbers or as truths, whichever the function takes."""
        places = {"where": [0], "and": [0, 1], "or": [0, 1], "not": [0]}.get(node.function, [])
        kinds = [self._is_bool(arg) for arg in node.args]
        found = []
        for place, (arg, is_bool) in enumerate(zip(node.args, kinds, strict=True)):
            name = self.made[arg]
            if place in places and not is_bool:
                name = self.put("Not", self.put("Equal", name, self._number(0.0)))
            elif is_bool and place not in places:
                name = self._as_numbers(name)
            found.append(name)
        return found

    def _as_numbers(self, name: str) -> str:
        return self.put("Where", name, self._number(1.0), self._number(0.0))

    def _is_bool(self, node: Node) -> bool:
        if node in self.known or not isinstance(node, Apply):
            return False
        return node.function in _TRUTHS or (
            node.function in _PASSING and self._is_bool(node.args[0])
        )

    def _numbers(self, node: Node) -> str:
        return self._as_numbers(self.made[node]) if self._is_bool(node) else self.made[node]

    def _dot(self, node: Dot) -> str:
        """The products of one vector with neighbouring parts of one matrix are one product."""
        group = self._products.get((node.arg, node.matrix, node.transposed, node.k0), [node])
        group = sorted({n.n0: n for n in group}.values(), key=lambda n: n.n0)
        ends = [n.n0 + n.length for n in group]
        arg = self._numbers(node.arg)
        if len(group) == 1 or node not in group or ends[:-1] != [n.n0 for n in group[1:]]:
            factor = self.put.constant(array_of(self.step.matrix(node)), node.matrix.name)
            return self.put("MatMul", arg, factor, name=node.name)
        side_by_side = array_of(torch.cat([self.step.matrix(n) for n in group], 1))
        whole = self.put("MatMul", arg, self.put.constant(side_by_side, node.matrix.name))
        sizes = self.put.integers(*(n.length for n in group))
        names = [n.name or "split" for n in group]
        made = self.put.several("Split", whole, sizes, names=names, axis=-1)
        self.made.update(zip(group, made, strict=True))
        return self.made[node]

    def _termsum(self, node: TermSum) -> str:
        first, *rest = (self._numbers(term) for term in node.terms)
        for term in rest:
            first = self.put("Add", first, term)
        return first

    def _fold(self, node: Fold) -> str:
        operator = {"sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin"}[node.kind]
        return self.put(operator, self._numbers(node.arg), self.put.integers(-1), keepdims=1)

    def _gather(self, node: Gather) -> str:
        starts = [0]
        for arg in node.args:
            starts.append(starts[-1] + arg.length)
        parts = [self._with_rows(a) if node in self.step.with_rows else self._numbers(a)
                 for a in node.args]  # fmt: skip
        whole = parts[0] if len(parts) == 1 else self.put("Concat", *parts, axis=-1)
        places = [starts[a] + i for a, i in node.places]
        if places == list(range(starts[-1])):
            return whole
        return self.put("Gather", whole, self.put.integers(*places), axis=-1, name=node.name)

    def _with_rows(self, node: Node) -> str:
        """A vector, repeated for each row if it has none."""
        name = self._numbers(node)
        if node in self.step.with_rows:
            return name
        if self._lead is None:
            self._lead = self.put("Shape", next(iter(self.loads.values())), end=-1)
        shape = self.put("Concat", self._lead, self.put.integers(node.length), axis=0)
        return self.put("Expand", name, shape)


_PASSING = ("copy", "stop", "share", *(n for n, entry in PRIMITIVES.items() if entry.passes))
_TRUTHS = ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not")
