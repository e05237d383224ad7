"""A cell's step → a C function, written from the regions of the compiled engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cello.cells import Cell
from cello.convert.c.numbers import Numbers, comment
from cello.engines.cpu.c.body import NEUTRAL, Body, OneFeature
from cello.engines.cpu.c.expressions import scalar
from cello.engines.cpu.c.memory import Memory
from cello.engines.cpu.engine import CpuPlan, cpu_plan
from cello.engines.fused.run_plan import shared_tensors
from cello.errors import CaptureError, ConversionError
from cello.program import Value, program_of_values
from cello.program.kernel import Kernel, Region, forward_kernel, schedule
from cello.program.kernel.nodes import Array, Constant, Dot, Gather, Node, Shared, TermSum

__all__ = ["CellFunction", "Weights", "cell_function"]


@dataclass
class CellFunction:
    """A cell in C.

    Attributes:
        name: of the function.
        text: the function `name(x, y, state, …)`.
        states: the size of each state.
        inputs, outputs: numbers of one step.
        scratch: bytes that it takes from the stack.
    """

    name: str
    text: str
    states: dict[str, int]
    inputs: int
    outputs: int
    scratch: int


@dataclass
class Weights:
    """How matrices are written down.

    Attributes:
        numbers: where to.
        int8: in 8 bits, with a scale for each output, or each number of a row of a table.
        rounded: as floats, but with the values that 8 bits leave: to prove the other form by.
    """

    numbers: Numbers
    int8: bool = False
    rounded: bool = False

    def dot(self, matrix: NDArray[Any], x: str, y: str, what: str) -> str:
        """The call that adds x times `matrix`, [inputs, outputs], to y."""
        inputs, outputs = matrix.shape
        if not (self.int8 or self.rounded):
            return f"dot({x}, {inputs}, {self.numbers.put(matrix, what)}, {outputs}, {y});"
        whole, scale = _in_8_bits(matrix, what)
        if self.rounded:
            near = (whole * scale).astype(matrix.dtype)
            return f"dot({x}, {inputs}, {self.numbers.put(near, what)}, {outputs}, {y});"
        names = self.numbers.put(whole.T, what), self.numbers.put(scale, f"scales of {what}")
        return f"dot_int8({x}, {inputs}, {', '.join(names)}, {outputs}, {y});"

    def row(self, how: str, y: str, table: NDArray[Any], at: str, what: str) -> str:
        """The call that puts a row of `table`, number `at`, into y: by "copy" or by "add"."""
        width = table.shape[1]
        if self.int8 or self.rounded:
            whole, scale = _in_8_bits(table, what)
            if self.int8:
                names = self.numbers.put(whole, what), self.numbers.put(scale, f"scales of {what}")
                return f"{how}_int8({y}, {names[0]} + {at} * {width}, {names[1]}, {width});"
            table = (whole * scale).astype(table.dtype)
        return f"{how}({y}, {self.numbers.put(table, what)} + {at} * {width}, {width});"


def _in_8_bits(matrix: NDArray[Any], what: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Whole numbers from -127 to 127, and what each column is to be multiplied by.

    Raises:
        ConversionError: there are numbers that are none.
    """
    if not np.isfinite(matrix).all():
        raise ConversionError(f"{what} contains NaN or infinity: it cannot be kept in 8 bits")
    largest = np.abs(matrix).max(axis=0) / 127
    scale = np.where(largest > 0, largest, 1).astype(matrix.dtype)
    return np.clip(np.rint(matrix / scale), -127, 127).astype(np.int8), scale


def cell_function(
    cell: Cell, name: str, path: str, weights: Weights, dtype: torch.dtype, *, keeps: bool = True
) -> CellFunction:
    """The C of a cell's step.

    Args:
        cell: whose step.
        name: of the function.
        path: what the cell is called in errors and comments.
        weights: where the numbers go.
        dtype: of the numbers.
        keeps: whether the state counts; without, the step's output is all that there is.

    Raises:
        ConversionError: the compiled engine has no loop for the step, or it draws random numbers.
    """
    try:
        program = program_of_values(cell, dtype, torch.device("cpu"))
        plan = cpu_plan(program, cell.feedback, whole=True)
    except CaptureError as error:
        raise ConversionError(f"{path} has no C: {error}") from error
    if plan.ahead is not None or plan.drawn:
        why = "draws random numbers" if plan.drawn else "has operations that no loop in C has"
        raise ConversionError(f"{path} has no C: {plan.program.step} {why}")
    kernel = forward_kernel(plan.lowered)
    if not keeps:
        kernel.states, kernel.carried = {}, {}
    kernel.chain = ""  # all is done at the step itself, nothing for many steps ahead
    return _Step(plan, kernel, cell, name, path, weights).written()


@dataclass(eq=False)
class _Memory(Memory):
    """Arrays of the function's own, of the caller's state, and constants."""

    constant: Callable[[Value], str] = str

    def place(self, node: Node) -> tuple[str, int]:
        if node in self.scratch:
            return f"s_{self.scratch[node]}", 0
        if isinstance(node, Shared):
            return self.constant(node.value), node.start
        return super().place(node)

    def array(self, array: Array) -> str:
        return array.kind if array.kind in ("x", "y") else self.array_name(array)

    def width_of(self, node: Node) -> int:
        return node.length


class _Statements(OneFeature):
    """The statements for one feature."""

    def _declare(self, kind: str, name: str, expression: str) -> None:
        super()._declare(kind.replace("vec", "real"), name, expression)

    def _number(self, value: float) -> str:
        return scalar(value)

    def _first(self, place: tuple[str, int]) -> str:
        return f"{place[0]}[{place[1]}]"

    def _get(self, place: tuple[str, int], padded: bool = False) -> str:
        start = f"{place[1]} + " if place[1] else ""
        return f"{place[0]}[{start}unit]"

    def _gathered(self, node: Gather) -> str:
        name = f"GATHERED{len(self.lines)}"
        places = []
        for arg in node.args:
            place = None if isinstance(arg, Constant) else self.memory.place(arg)
            number = scalar(arg.value) if isinstance(arg, Constant) else ""
            places.append(f"{place[0]} + {place[1]}" if place else f"(const real[]){{{number}}}")
        which, at = zip(*node.places, strict=True)
        self.lines += [
            f"static const int {name}_OF[] = {{{', '.join(map(str, which))}}};",
            f"static const int {name}_AT[] = {{{', '.join(map(str, at))}}};",
            f"const real *const {name}_FROM[] = {{{', '.join(places)}}};",
        ]
        return f"{name}_FROM[{name}_OF[unit]][{name}_AT[unit]]"


class _Step:
    """Writes one cell."""

    def __init__(
        self, plan: CpuPlan, kernel: Kernel, cell: Cell, name: str, path: str, weights: Weights
    ) -> None:
        self.kernel, self.name, self.path, self.weights = kernel, name, path, weights
        self.program = plan.program
        self.known: dict[Value, Tensor] = shared_tensors(plan, cell)
        self.schedule = schedule(plan.lowered.graph, kernel)
        self.memory = _Memory(self.schedule, constant=self._constant)
        for state in kernel.states:  # what is a parameter of the function
            self.memory.name("prev", state)
        self.sums = 0
        self.scratch = 0

    def written(self) -> CellFunction:
        memory, kernel = self.memory, self.kernel
        body = [line for region in self.schedule.regions for line in self._region(region)]
        moved = []
        for state, (array, start) in self.schedule.next_states.items():
            place = memory.array(array)
            begin = f"{place} + {start}" if start else place
            moved.append(f"copy({memory.name('prev', state)}, {begin}, {kernel.states[state]});")
        arrays = [(f"s_{name}", memory.width_of(n)) for n, name in memory.scratch.items()]
        arrays += [(memory.array_name(a), a.width) for a in memory.next_arrays]
        self.scratch += sum(width for _, width in arrays)
        declared = [f"real {name}[{width}];" for name, width in arrays]
        states = {state: memory.name("prev", state) for state in kernel.states}
        parameters = ["const real *restrict x", "real *restrict y"]
        parameters += [f"real *restrict {name}" for name in states.values()]
        lines = [*declared, *body, *moved]
        text = "\n".join(lines)
        for name in ["x", *states.values()]:
            if not re.search(rf"\b{name}\b", text):
                lines.insert(0, f"(void){name};")
        inside = "\n".join(f"    {line}" for line in lines)
        head = f"/* {comment(self.path)}: {comment(kernel.cell)} */\nstatic void {self.name}"
        return CellFunction(
            self.name,
            f"{head}({', '.join(parameters)}) {{\n{inside}\n}}\n",
            dict(kernel.states),
            int(self.program.x.shape[1]),
            next(store.array.width for store in kernel.stores if store.array.kind == "y"),
            self.scratch * kernel.item_size,
        )

    def _constant(self, value: Value) -> str:
        return self.weights.numbers.put(self._values(value), f"{self.path}: {value.name}")

    def _values(self, value: Value) -> NDArray[Any]:
        tensor = self.known[value].detach()
        return tensor.to("cpu", self.program.x.dtype).contiguous().numpy().reshape(-1)

    def _region(self, region: Region) -> list[str]:
        lines: list[str] = []
        sums: dict[Node, str] = {}
        together: dict[tuple[tuple[str, int], ...], list[TermSum]] = {}
        for node in region.sums:  # those that multiply the same numbers
            together.setdefault(tuple(self._read(dot) for dot in _dots(node)), []).append(node)
        for reads, nodes in together.items():
            place, count = f"SUM{self.sums}", region.length * len(nodes)
            self.sums += 1
            self.scratch += count
            for number, node in enumerate(nodes):
                start = f"{number * region.length} + " if number else ""
                sums[node] = f"{place}[{start}unit]"
            lines += [f"real {place}[{count}];", f"fill({place}, 0, {count});"]
            for (x, _), dots in zip(reads, zip(*map(_dots, nodes), strict=True), strict=True):
                matrix = np.concatenate([self._matrix(dot) for dot in dots], axis=1)
                names = " ".join(dict.fromkeys(dot.matrix.name for dot in dots))
                lines.append(self.weights.dot(matrix, x, place, f"{self.path}: {names}"))
        for fold in region.folds:
            begin = NEUTRAL[fold.kind]
            lines.append(f"{self.memory.place(fold)[0]}[0] = {begin};")
        body = self._statements(region, sums)
        if body.lines:
            lines.append(f"for (int unit = 0; unit < {region.length}; unit++) {{")
            lines += [*(f"    {line}" for line in body.lines), "}"]
        return lines

    def _statements(self, region: Region, sums: dict[Node, str]) -> Body:
        memory = self.memory
        given = {"x", "y", *memory.names.values()}
        given.update(f"s_{name}" for name in memory.scratch.values())
        return _Statements(region, memory, sums, given)

    def _read(self, dot: Dot) -> tuple[str, int]:
        """Where the numbers begin that a product reads, and how many there are."""
        where, start = self.memory.place(dot.arg)
        return f"{where} + {start}" if start else where, dot.arg.length

    def _matrix(self, dot: Dot) -> NDArray[Any]:
        """What a product multiplies with, [inputs, outputs]."""
        shape = dot.matrix.shape
        table = self._values(dot.matrix).reshape(-1, int(shape[1]) if len(shape) > 1 else 1)
        table = table.T if dot.transposed else table
        return table[dot.k0 : dot.k0 + dot.arg.length, dot.n0 : dot.n0 + dot.length]


def _dots(node: TermSum) -> list[Dot]:
    return [term for term in node.terms if isinstance(term, Dot)]
