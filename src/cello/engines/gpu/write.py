"""A loop → the text of Triton functions.

What needs no state is computed for all rows of all steps at once, *before* the loop and *after* it.
In the *loop* one program takes some rows through all of time, with their states in registers and
the weights of a step at hand. What each sequence adds up, *sums*, is a sum of sums of
`SUMMED` steps, for one long sum would lose its last digits; and a program takes each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cello.engines.fused.slots import Slot
from cello.engines.fused.step_table import SUMMED
from cello.engines.gpu.addresses import Addresses
from cello.engines.gpu.carried_states import States
from cello.engines.gpu.phase import Phase
from cello.program.kernel.kernel import Kernel
from cello.program.kernel.nodes import Graph
from cello.program.kernel.schedule import PHASES, schedule

__all__ = ["BEFORE", "ROW", "TritonText", "indented", "longest", "render"]


@dataclass(frozen=True)
class TritonText:
    """The functions of a loop.

    Attributes:
        name: of the loop.
        source: their text.
        phases: the functions, in the order in which they run.
        slots: the pointers that each takes, in order.
        own: numbers that each row has in memory of the loop's own.
        tables: whole numbers that they read: where features are gathered from.
        widest: features of the widest block, padded.
        held: numbers in the matrices that the loop has at hand.
    """

    name: str
    source: str
    phases: tuple[str, ...]
    slots: tuple[Slot, ...]
    own: int
    tables: tuple[int, ...]
    widest: int
    held: int
    now = 0  # numbers of a row in memory of one step: all stays in registers

    @cached_property  # asked at each call
    def longest(self) -> int:
        """Lines of the longest function."""
        return longest(self.source)


def render(graph: Graph, kernel: Kernel, feedback: str | None) -> TritonText:
    """The Triton functions of a loop.

    Args:
        graph: made the nodes.
        kernel: the loop.
        feedback: the state in whose place known outputs may be fed back.
    """
    plan = schedule(graph, kernel)
    memory = Addresses(plan, {phase: plan.of(phase) for phase in PHASES})
    memory.take_states()
    functions = {
        "before": _flat("before", memory, feedback),
        "loop": _loop(memory, feedback),
        "after": _flat("after", memory, feedback),
        "sums": _sums(memory, feedback),
    }
    found = {name: made for name, made in functions.items() if made is not None}
    widest = max(wide for phase, _, _ in found.values() for wide in (*phase.columns, 1))
    return TritonText(
        kernel.name,
        "\n\n".join(_text(name, memory, *made) for name, made in found.items()),
        tuple(found),
        tuple(memory.pointers),
        memory.width,
        tuple(memory.tables),
        widest,
        found["loop"][0].held,
    )


_Made = tuple[Phase, list[str], list[str]]  # the phase, lines before it, lines after it


def _flat(name: str, memory: Addresses, feedback: str | None) -> _Made | None:
    """All rows at once."""
    if not memory.plan.of(name):
        return None
    phase = Phase(name, memory, feedback)
    phase.compute()
    phase.head += [*ROW, *BEFORE, *phase.body]
    return phase, [], []


def _loop(memory: Addresses, feedback: str | None) -> _Made:
    """The steps, one after the other."""
    phase = Phase("loop", memory, feedback)
    states = States(phase)
    states.begin()
    phase.compute()
    states.end()
    if memory.has_rows:
        phase.body.append("tl.debug_barrier()")
    return phase, _walk(phase), states.tail


def _sums(memory: Addresses, feedback: str | None) -> _Made | None:
    """What each sequence adds up over its steps: a program takes `SUMMED` of them."""
    phase, tail = Phase("sums", memory, feedback), list[str]()
    phase.head.append("part = tl.program_id(1)")
    for store in memory.plan.kernel.stores:
        if store.per_sequence:
            array, length = store.array, store.node.length
            name = phase.new_name(array.name)
            phase.head.append(f"{name} = {phase.zeros(length)}")
            value = phase.full(phase.value(store.node), length)
            phase.body.append(f"{name} += tl.where(active, {value}, 0.0)")
            base = f"{memory.pointer('array', array)} + (part * ROWS + seq) * {array.width}"
            place = phase.place((base, store.start), length)
            tail.append(f"tl.store({place}, {name}, mask={phase.mask(length, 'rows')})")
    steps = f"part * {SUMMED}, tl.minimum(T, (part + 1) * {SUMMED})"
    return (phase, _walk(phase, steps), tail) if tail else None


def _walk(phase: Phase, steps: str = "T") -> list[str]:
    backward = phase.kernel.name == "backward"
    return [
        f"for s in range({steps}):",
        *indented([*_step(backward), *BEFORE, *phase.body]),
    ]


def _text(name: str, memory: Addresses, phase: Phase, walk: list[str], tail: list[str]) -> str:
    begin = _SEQUENCES if walk else []
    lines = [
        *begin,
        *(f"c_{n} = tl.arange(0, {n})[None, :]" for n in sorted(phase.columns)),
        *phase.head,
        *walk,
        *tail,
    ]
    return "\n".join(
        [
            "@triton.jit",
            f"def {name}(",
            *(f"    {pointer}," for pointer in memory.pointers.values()),
            "    p_own, p_tables, p_steps, p_time, p_reset, T, ROWS, N,",
            "    OWN: tl.constexpr, REVERSE: tl.constexpr, RAGGED: tl.constexpr,",
            "    RESETS: tl.constexpr, FORCED: tl.constexpr, TILE: tl.constexpr,",
            "    PRECISION: tl.constexpr,",
            "):",
            *indented(lines),
            "",
        ]
    )


_SEQUENCES = [
    "seq = (tl.program_id(0) * TILE + tl.arange(0, TILE)[:, None]).to(tl.int64)",
    "rows = seq < ROWS",
]
#: Of a row: its step and its sequence.
ROW = [
    "row = (tl.program_id(0) * TILE + tl.arange(0, TILE)[:, None]).to(tl.int64)",
    "active = row < N",
    "if RAGGED:",
    "    t = tl.load(p_time + row, mask=active, other=0)",
    "    seq = row - tl.load(p_steps + T + t)",
    "else:",
    "    t = row // ROWS",
    "    seq = row - t * ROWS",
]
#: The row of the step before, if it has one; whether it begins anew.
BEFORE = [
    "before = seq * 0 + (t + 1 if REVERSE else t - 1)",
    "has = active & (before >= 0) & (before < T)",
    "if RAGGED:",
    "    has = has & (seq < tl.load(p_steps + before, mask=has, other=0))",
    "    row_before = tl.load(p_steps + T + before, mask=has, other=0) + seq",
    "else:",
    "    row_before = before * ROWS + seq",
    "if RESETS:",
    "    resets = tl.load(p_reset + row, mask=active, other=0) != 0",
]


def _step(backward: bool) -> list[str]:
    """Which step it is, and which rows have it."""
    return [
        f"t = T - 1 - s if {'not REVERSE' if backward else 'REVERSE'} else s",
        "if RAGGED:",
        "    active = seq < tl.load(p_steps + t)",
        "    row = tl.load(p_steps + T + t) + seq",
        "else:",
        "    active = rows",
        "    row = t * ROWS + seq",
    ]


def longest(source: str) -> int:
    """Lines of the longest function of a text."""
    return max(part.count("\n") for part in source.split("@triton.jit"))


def indented(lines: list[str]) -> list[str]:
    """Lines of a block."""
    return [f"    {line}" for line in lines]
