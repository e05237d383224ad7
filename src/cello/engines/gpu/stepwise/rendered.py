"""A loop → Triton functions for one step, and the order in which they and products run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from cello.engines.fused.slots import Slot
from cello.engines.gpu.stepwise.memory import StepMemory
from cello.engines.gpu.stepwise.passes import JoinedProduct, passes_of
from cello.engines.gpu.stepwise.step_functions import StepPhase
from cello.engines.gpu.write import BEFORE, ROW, indented, longest
from cello.program.kernel.kernel import Kernel, Store
from cello.program.kernel.nodes import Constant, Dot, Graph
from cello.program.kernel.schedule import PHASES, schedule

__all__ = ["BlockProduct", "Function", "MemoryBlock", "StepSum", "StepText", "render_steps"]


@dataclass(frozen=True)
class MemoryBlock:
    """Columns of a memory.

    Attributes:
        memory: "own" for all rows, "now" for those of a step, or the name of a pointer.
        rows: whose rows those are: "row" of steps, "seq" of sequences, "" one that counts for all.
        start, length: which columns.
    """

    memory: str
    rows: str
    start: int
    length: int

    def __str__(self) -> str:
        return f"{self.memory.removeprefix('p_')}[:, {self.start}:{self.start + self.length}]"


@dataclass(frozen=True)
class BlockProduct:
    """What `block` becomes: the sum of blocks times parts of matrices, each with its slot."""

    block: MemoryBlock
    factors: tuple[
        tuple[MemoryBlock, Slot, bool, int, int], ...
    ]  # transposed, first row and column

    def __str__(self) -> str:
        terms = []
        for block, slot, transposed, k0, n0 in self.factors:
            part = f"[{k0}:{k0 + block.length}, {n0}:{n0 + self.block.length}]"
            name = getattr(slot.of, "name", slot.of)
            terms.append(f"{block} @ {name}{'.T' if transposed else ''}{part}")
        return f"{self.block} = {' + '.join(terms)}"


@dataclass(frozen=True)
class Function:
    """A Triton function: its name, and the pointers that it takes."""

    name: str
    pointers: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class StepSum:
    """What all rows add up: columns of an array, of a block or of a number for each row."""

    array: Slot
    start: int
    block: MemoryBlock | float
    length: int

    def __str__(self) -> str:
        return f"{self.array.of}[{self.start}:{self.start + self.length}] = sum({self.block})"


@dataclass(frozen=True)
class StepText:
    """The functions of a loop, and the order in which all runs.

    Attributes:
        name: of the loop.
        source: the text of the functions, with what else runs.
        phases: for "before", "loop" and "after" what runs, in order.
        sums: what is added up in the end.
        pointers: the slot of each pointer that comes from outside.
        states: of each state its size, and the pointers to it before and after a step.
        own, now: numbers of each row of these memories.
        tables: whole numbers that the functions read.
        widest: features of the widest block, padded.
        weights: numbers in the matrices that a step multiplies with.
        launches: functions and products of a step.
    """

    name: str
    source: str
    phases: dict[str, tuple[BlockProduct | Function, ...]]
    sums: tuple[StepSum, ...]
    pointers: dict[str, Slot]
    states: dict[str, tuple[int, str, str]]
    own: int
    now: int
    tables: tuple[int, ...]
    widest: int
    weights: int
    launches: int

    @cached_property  # asked at each call
    def longest(self) -> int:
        """Lines of the longest function."""
        return longest(self.source)


_INSIDE = ("prev", "next")  # pointers to memory of the loop's own


def render_steps(graph: Graph, kernel: Kernel, feedback: str | None) -> StepText:
    """The functions of one step of a loop, see `write.render`."""
    plan = schedule(graph, kernel)
    passes = {phase: passes_of(plan, phase) for phase in PHASES}
    functions = {one.name: one.regions for part in passes.values() for one in part}
    memory = StepMemory(plan, functions, passes=passes)
    memory.take_states()
    texts: dict[str, str] = {}
    phases: dict[str, tuple[BlockProduct | Function, ...]] = {}
    widest = 1
    for phase in PHASES:
        runs: list[BlockProduct | Function] = []
        for one in passes[phase]:
            written = StepPhase(one.name, memory, feedback)
            written.write(one)
            runs += [_product(memory, product, phase) for product in one.products]
            if written.body:
                texts[one.name] = _text(written)
                runs.append(_function(one.name, texts[one.name]))
            widest = max(widest, *written.columns, 1)
        phases[phase] = tuple(runs)
    if kernel.name == "forward" and kernel.states:
        begin = StepPhase("begin", memory, feedback)
        begin.begin()
        texts["begin"] = _text(begin)
        phases["begin"] = (_function("begin", texts["begin"]),)
        widest = max(widest, *begin.columns, 1)
    sums = _sums(memory, kernel)
    products = [run for run in phases["loop"] if isinstance(run, BlockProduct)]
    return StepText(
        kernel.name,
        "\n\n".join([_order(phases, sums), *texts.values()]),
        phases,
        tuple(sums),
        {name: slot for slot, name in memory.pointers.items() if slot.kind not in _INSIDE},
        {
            state: (size, memory.pointer("prev", state), memory.pointer("next", state))
            for state, size in kernel.states.items()
        },
        memory.width,
        memory.now_width,
        tuple(memory.tables),
        widest,
        sum(p.block.length * block.length for p in products for block, *_ in p.factors),
        sum(len(run.factors) if isinstance(run, BlockProduct) else 1 for run in phases["loop"]),
    )


def _order(phases: dict[str, tuple[BlockProduct | Function, ...]], sums: list[StepSum]) -> str:
    """What runs when, for readers."""
    said = {
        "before": "For all steps at once, before the loop:",
        "begin": "In each step, where there are resets or known outputs:",
        "loop": "In each step:",
        "after": "For all steps at once, after the loop:",
    }
    lines: list[str] = []
    for phase, title in said.items():
        if phases.get(phase):
            lines += [title, *(f"    {run}" for run in phases[phase])]
    if sums:
        lines += ["In the end, over all rows:", *(f"    {one}" for one in sums)]
    return "\n".join(f"# {line}" for line in lines)


def _block(memory: StepMemory, node: Dot, phase: str) -> MemoryBlock:
    return MemoryBlock(*memory.view(node.arg, phase), node.arg.length)


def _product(memory: StepMemory, product: JoinedProduct, phase: str) -> BlockProduct:
    """A product with blocks as factors; those that stand side by side become one."""
    pointer, start = memory.product(product.sums[0])
    rows = "seq" if phase == "loop" else "row"
    block = MemoryBlock(pointer.partition(" + ")[0], rows, start, product.length)
    factors: list[tuple[MemoryBlock, Slot, bool, int, int]] = []
    for dot in sorted(product.factors, key=lambda dot: (dot.matrix.name, dot.k0)):
        memory.pointer("matrix", dot.matrix)
        factor = _block(memory, dot, phase)
        new = (factor, Slot("matrix", dot.matrix), dot.transposed, dot.k0, dot.n0)
        last = factors[-1] if factors else None
        if last is not None and _follows(last, new):
            longer = last[0].length + factor.length
            factors[-1] = (MemoryBlock(*_of(last[0]), longer), *last[1:])
        else:
            factors.append(new)
    return BlockProduct(block, tuple(factors))


def _of(block: MemoryBlock) -> tuple[str, str, int]:
    return block.memory, block.rows, block.start


def _follows(
    last: tuple[MemoryBlock, Slot, bool, int, int], new: tuple[MemoryBlock, Slot, bool, int, int]
) -> bool:
    (one, matrix, transposed, k0, n0), (two, *others) = last, new
    beside = _of(two) == (one.memory, one.rows, one.start + one.length)
    return beside and others == [matrix, transposed, k0 + one.length, n0]


def _sums(memory: StepMemory, kernel: Kernel) -> list[StepSum]:
    """What all rows add up; neighbours become one."""
    sums: list[StepSum] = []
    for store in kernel.stores:
        if not store.per_sequence:
            continue
        new, last = _sum(memory, store), sums[-1] if sums else None
        if (
            last is not None
            and isinstance(last.block, MemoryBlock)
            and isinstance(new.block, MemoryBlock)
        ):
            beside = _of(new.block) == (*_of(last.block)[:2], last.block.start + last.length)
            if beside and (new.array, new.start) == (last.array, last.start + last.length):
                length = last.length + new.length
                block = MemoryBlock(*_of(last.block), length)
                sums[-1] = StepSum(last.array, last.start, block, length)
                continue
        sums.append(new)
    return sums


def _sum(memory: StepMemory, store: Store) -> StepSum:
    memory.pointer("array", store.array)
    slot, node = Slot("array", store.array), store.node
    if isinstance(node, Constant):
        return StepSum(slot, store.start, node.value, node.length)
    block = MemoryBlock(*memory.view(node, "sums"), node.length)
    return StepSum(slot, store.start, block, node.length)


def _function(name: str, text: str) -> Function:
    head = text.partition("):\n")[0]
    return Function(name, tuple(re.findall(r"\bp_\w+", head)))


def _text(written: StepPhase) -> str:
    """The function; it takes no more pointers than it reads."""
    lines = [
        *(_STEP if written.in_loop else ROW),
        *(BEFORE if not written.in_loop and _reads_before(written.body) else ()),
        *(f"c_{n} = tl.arange(0, {n})[None, :]" for n in sorted(written.columns)),
        *written.head,
        *written.body,
    ]
    used = set(re.findall(r"\bp_\w+", "\n".join(lines)))
    own = ("p_own", "p_now", "p_tables", "p_steps", "p_time", "p_reset")
    pointers = [name for name in (*written.memory.pointers.values(), *own) if name in used]
    numbers = _STEP_NUMBERS if written.in_loop else _ALL_NUMBERS
    return "\n".join(
        [
            f"@triton.jit(do_not_specialize={numbers!r})",
            f"def {written.name}(",
            *(f"    {pointer}," for pointer in pointers),
            f"    {', '.join(numbers)},",
            "    ROWS, OWN: tl.constexpr, NOW: tl.constexpr, REVERSE: tl.constexpr,",
            "    RAGGED: tl.constexpr, RESETS: tl.constexpr, FORCED: tl.constexpr,",
            "    TILE: tl.constexpr,",
            "):",
            *indented(lines),
            "",
        ]
    )


def _reads_before(lines: list[str]) -> bool:
    """Whether lines read what the step before has left."""
    return any(re.search(r"\b(has|resets|row_before)\b", line) for line in lines)


_STEP_NUMBERS = ["first", "size", "first_before", "size_before"]
_ALL_NUMBERS = ["T", "N"]
#: Rows of a step: `size` from row `first` on; and of the step before it.
_STEP = [
    "seq = (tl.program_id(0) * TILE + tl.arange(0, TILE)[:, None]).to(tl.int64)",
    "rows = seq < ROWS",
    "active = seq < size",
    "row = first + seq",
    "has = active & (seq < size_before)",
    "row_before = first_before + seq",
    "if RESETS:",
    "    resets = tl.load(p_reset + row, mask=active, other=0) != 0",
]
