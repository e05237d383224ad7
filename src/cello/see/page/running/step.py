"""A cell's step → a JavaScript function, written from the regions of the compiled engine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cello.cells import Cell
from cello.engines.cpu.c.body import NEUTRAL, OneFeature
from cello.engines.cpu.c.expressions import JAVASCRIPT
from cello.engines.cpu.c.memory import Memory
from cello.engines.cpu.engine import CpuPlan, cpu_plan
from cello.engines.fused.run_plan import shared_tensors
from cello.errors import CaptureError
from cello.program import Value, program_of_values
from cello.program.kernel import Kernel, Region, forward_kernel, schedule
from cello.program.kernel.nodes import Array, Constant, Dot, Gather, Node, Shared
from cello.program.overrides import can_override, with_overrides

__all__ = ["StepFunction", "step_function"]


@dataclass
class StepFunction:
    """A cell's step in JavaScript.

    Attributes:
        text: a function of typed arrays, the tensors without rows, that gives the step:
            `step(x, y, prev, seen, row)` reads the numbers `x` and the states `prev`, writes the
            output to row `row` of `y`, named values to that row of the arrays `seen`, and the new
            states to `prev`.
        inputs: numbers of `x`: first those that the cell reads; then, for each value that can be
            forced, as many that are not 0 where it is, and as many that it is set to.
        width: how many of them the cell reads.
        outputs: numbers of a row of the output.
        states: the size of each state.
        seen: the size of each array of `seen`.
        names: of each named value, which of `seen` it is; -1 is the output.
        forced: of each named value that can be forced, where it begins in `x`, and its size.
        shared: the tensors without rows, with their names if they are parameters or buffers.
    """

    text: str
    inputs: int
    width: int
    outputs: int
    states: dict[str, int]
    seen: list[int]
    names: dict[str, int]
    forced: dict[str, tuple[int, int]]
    shared: list[tuple[str, Tensor]]


def step_function(cell: Cell, dtype: torch.dtype, *, forced: bool = True) -> StepFunction:
    """The JavaScript of a cell's step.

    Args:
        cell: whose step.
        dtype: of the numbers, float32 or float64.
        forced: whether named values can be forced.

    Raises:
        CaptureError: there is no loop for the step, or it draws random numbers.

    >>> import cello
    >>> found = step_function(cello.ElmanCell(3, 2), torch.float32)
    >>> found.inputs, found.states, found.names
    (21, {'h': 2}, {'x': 2, 'z': 1, 'h': -1, 'h_prev': 0})
    """
    program = program_of_values(cell, dtype, torch.device("cpu"))
    named = dict.fromkeys(program.names.values() if forced else ())
    values = [value for value in named if can_override(program, value)]
    plan = cpu_plan(with_overrides(program, values), cell.feedback, whole=True)
    if plan.ahead is not None or plan.drawn:
        why = "draws random numbers" if plan.drawn else "has operations that no loop has"
        raise CaptureError(f"{program.step} {why}")
    places, at = {}, math.prod(program.x.shape[1:])
    for value in values:
        size = int(value.shape[1])
        places[value] = (at, size)
        at += 2 * size
    found = _StepWriter(plan, cell).written()
    found.width = math.prod(program.x.shape[1:])
    found.forced = {n: places[v] for n, v in program.names.items() if v in places}
    return found


@dataclass(eq=False)
class _Places(Memory):
    """Arrays of the function's own and of the caller's; a place is an array, and an offset.

    Attributes:
        fixed: constants of the step.
        ahead: constants of the region that is being written.
        item_size: bytes of a number.
    """

    fixed: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)

    @property
    def item_size(self) -> int:
        return self.schedule.kernel.item_size

    def place(self, node: Node) -> tuple[str, int]:
        if node in self.scratch:
            return f"s_{self.scratch[node]}", 0
        if isinstance(node, Shared):
            self.vectors[node.value] = None
            return self.name("vector", node.value.name), node.start
        return super().place(node)

    def array(self, array: Array) -> str:
        if array.kind in ("y", "seen"):
            self.arrays[array] = None
        return array.kind if array.kind in ("x", "y") else self.array_name(array)

    def width_of(self, node: Node) -> int:
        return node.length

    def offset(self, place: tuple[str, int], unit: str = "") -> str:
        """Where a place begins in its array, or a feature of it."""
        wide = {self.array(array): array.width for array in self.arrays}
        row = [f"{wide[place[0]]} * row"] if place[0] in wide else []
        return " + ".join([*row, *([str(place[1])] if place[1] else []), *([unit] * bool(unit))])


class _Numbers(OneFeature):
    """The statements for one feature."""

    expressions = JAVASCRIPT
    memory: _Places

    def _declare(self, kind: str, name: str, expression: str) -> None:
        rounds = kind == "vec" and self.memory.item_size == 4
        self.lines.append(f"const {name} = {f'fround({expression})' if rounds else expression};")

    def _number(self, value: float) -> str:
        return _number(value, self.memory.item_size)

    def _first(self, place: tuple[str, int]) -> str:
        return f"{place[0]}[{self.memory.offset(place) or 0}]"

    def _get(self, place: tuple[str, int], padded: bool = False) -> str:
        return f"{place[0]}[{self.memory.offset(place, 'unit')}]"

    def _gathered(self, node: Gather) -> str:
        name = f"gathered_{len(self.memory.fixed)}"
        arrays, starts = [], []
        for arg in node.args:
            if isinstance(arg, Constant):
                arrays.append(f"[{self._number(arg.value)}]")
                starts.append("0")
            else:
                place = self.memory.place(arg)
                arrays.append(place[0])
                starts.append(self.memory.offset(place) or "0")
        which, at = zip(*node.places, strict=True)
        self.memory.fixed.append(f"const {name}_of = {list(which)}, {name}_at = {list(at)};")
        self.memory.ahead.append(
            f"const {name} = [{', '.join(arrays)}], {name}_from = [{', '.join(starts)}];"
        )
        of = f"{name}_of[unit]"
        return f"{name}[{of}][{name}_from[{of}] + {name}_at[unit]]"


class _StepWriter:
    """Writes one step."""

    def __init__(self, plan: CpuPlan, cell: Cell) -> None:
        program, lowered = plan.program, plan.lowered
        known = {n: v for n, v in program.names.items() if v in lowered.values}
        first = {lowered.aliases[v]: n for n, v in reversed(known.items())}
        first.pop(program.output, None)
        self.stored = {name: value for value, name in first.items()}
        order = list(self.stored)
        self.names = {
            n: order.index(first[lowered.aliases[v]]) if lowered.aliases[v] in first else -1
            for n, v in known.items()
        }
        self.kernel: Kernel = forward_kernel(lowered, None, order)
        self.kernel.chain = ""  # all is done at the step itself, nothing for many steps ahead
        self.program, self.known = program, shared_tensors(plan, cell)
        self.schedule = schedule(lowered.graph, self.kernel)
        self.memory = _Places(self.schedule)
        self.order = order

    def written(self) -> StepFunction:
        memory, kernel = self.memory, self.kernel
        states = {state: memory.name("prev", state) for state in kernel.states}
        body = [line for region in self.schedule.regions for line in self._region(region)]
        for state, (array, start) in self.schedule.next_states.items():
            source = memory.array(array)
            offset = memory.offset((source, start), "unit")
            length = kernel.states[state]
            body.append(
                f"for (let unit = 0; unit < {length}; unit++) "
                f"{states[state]}[unit] = {source}[{offset}];"
            )
        seen = {s.array.name: s.array for s in kernel.stores if s.array.kind == "seen"}
        arrays = [(f"s_{name}", memory.width_of(n)) for n, name in memory.scratch.items()]
        arrays += [(memory.array_name(a), a.width) for a in memory.next_arrays]
        shared = list(dict.fromkeys([*memory.vectors, *self._matrices()]))
        reals = "Float32Array" if kernel.item_size == 4 else "Float64Array"
        outside = [
            *(f"const {memory.name('vector', v.name)} = w[{n}];" for n, v in enumerate(shared)),
            *(f"const {name} = new {reals}({width});" for name, width in arrays),
            *memory.fixed,
        ]
        inside = [
            f"const [{', '.join(states.values())}] = prev;",
            f"const [{', '.join(memory.array_name(seen[name]) for name in self.order)}] = seen;",
            *body,
        ]
        lines = [
            *outside,
            "return (x, y, prev, seen, row) => {",
            *(f"  {line}" for line in inside),
            "};",
        ]
        paths = {value: name for name, value in self.program.parameters.items()}
        return StepFunction(
            "\n".join(["(w) => {", *(f"  {line}" for line in lines), "}"]),
            int(self.program.x.shape[1]),
            0,
            next(s.array.width for s in kernel.stores if s.array.kind == "y"),
            dict(kernel.states),
            [seen[name].width for name in self.order],
            self.names,
            {},
            [(paths.get(value, ""), self.known[value].detach()) for value in shared],
        )

    def _matrices(self) -> Iterator[Value]:
        for region in self.schedule.regions:
            for node in region.sums:
                yield from (term.matrix for term in node.terms if isinstance(term, Dot))

    def _region(self, region: Region) -> list[str]:
        lines: list[str] = []
        sums: dict[Node, str] = {}
        for node in region.sums:
            name = f"sum_{len(self.memory.fixed)}"
            self.memory.fixed.append(f"const {name} = new Float64Array({region.length});")
            sums[node] = f"{name}[unit]"
            lines.append(f"{name}.fill(0);")
            lines += [self._dot(term, name) for term in node.terms if isinstance(term, Dot)]
        for fold in region.folds:
            begin = NEUTRAL[fold.kind].replace("INFINITY", "Infinity")
            lines.append(f"{self.memory.place(fold)[0]}[0] = {begin};")
        memory = self.memory
        given = {*_RESERVED, *memory.names.values()}
        given.update(f"s_{name}" for name in memory.scratch.values())
        memory.ahead = []
        body = _Numbers(region, memory, sums, given)
        if body.lines:
            lines += memory.ahead
            lines.append(f"for (let unit = 0; unit < {region.length}; unit++) {{")
            lines += [*(f"  {line}" for line in body.lines), "}"]
        return lines

    def _dot(self, dot: Dot, target: str) -> str:
        """The call that adds a product to `target`."""
        columns = int(dot.matrix.shape[1]) if len(dot.matrix.shape) > 1 else 1
        place = self.memory.place(dot.arg)
        row, column = (dot.n0, dot.k0) if dot.transposed else (dot.k0, dot.n0)
        function = "dotRows" if dot.transposed else "dotColumns"
        return (
            f"{function}({place[0]}, {self.memory.offset(place) or 0}, {dot.arg.length}, "
            f"{self.memory.name('vector', dot.matrix.name)}, {row * columns + column}, {columns}, "
            f"{target}, {dot.length});"
        )


def _number(value: float, item_size: int) -> str:
    if math.isnan(value):
        return "NaN"
    with np.errstate(over="ignore"):
        value = float(np.float32(value)) if item_size == 4 else value
    if math.isinf(value):
        return "Infinity" if value > 0 else "(-Infinity)"
    return f"({value!r})" if math.copysign(1, value) < 0 else repr(value)


#: What a name of a value must not hide: words of the language, and what a step uses.
_RESERVED = """
    abstract arguments async await boolean byte catch class debugger delete eval export extends
    false final finally function implements import in instanceof interface let native new null of
    package private protected public super synchronized this throw throws transient true try typeof
    undefined var with yield w x y prev seen row unit fround dotRows dotColumns truth Math NaN
    Infinity Float32Array Float64Array
""".split()
