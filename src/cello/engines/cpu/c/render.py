"""A loop → a C file: the prelude, a function for each region, and the walk through time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import lcm

from cello.engines.cpu.c.memory import Memory
from cello.engines.cpu.c.prelude import driver, prelude, walk
from cello.engines.cpu.c.products import groups_of, tile_width
from cello.engines.cpu.c.regions import render_region
from cello.engines.fused.slots import STATE_SLOTS, Slot
from cello.engines.fused.step_table import SUMMED
from cello.program.graph import Value
from cello.program.kernel.kernel import Kernel
from cello.program.kernel.nodes import Array, Graph
from cello.program.kernel.schedule import schedule

__all__ = ["Rendered", "render"]


@dataclass(frozen=True)
class Rendered:
    """A C file.

    Attributes:
        name: of the file.
        source: its text.
        slots: the pointers that its function `run` takes, in order.
        work: multiplications that one row of one step takes.
        weights: numbers in the matrices that the loop streams.
        shares: among how many threads the units of a row can be shared out without waiting, if
            each goes through time by itself (`Schedule.by_unit`); else 0.
    """

    name: str
    source: str
    slots: tuple[Slot, ...]
    work: int
    weights: int
    shares: int


def render(graph: Graph, kernel: Kernel, feedback: str | None) -> Rendered:
    """The C file of a loop.

    Args:
        graph: made the nodes.
        kernel: the loop.
        feedback: the state in whose place known outputs may be fed back.
    """
    plan = schedule(graph, kernel)
    memory = Memory(plan)
    if plan.by_unit:
        widths = (tile_width(r, groups_of(r, memory), memory) for r in plan.regions)
        memory.together = lcm(*widths)
    functions: list[str] = []
    calls: dict[str, list[tuple[str, int]]] = {"before": [], "loop": [], "after": []}
    for region in plan.regions:
        name = f"{region.phase}_{len(calls[region.phase]) + 1}"
        functions.append(render_region(name, region, memory))
        calls[region.phase].append((name, region.level))
    kept = kernel.kept.values() if kernel.name == "backward" and kernel.states else ()
    memory.arrays.update(dict.fromkeys(array for array, _ in kept))
    states = (array for array, _ in plan.next_states.values() if array.kind != "next")
    memory.arrays.update(dict.fromkeys(states))
    slots = _slots(kernel, memory)
    title = f"/* The {kernel.name} loop of {kernel.cell}. */\n"
    parts = [
        title,
        prelude(double=kernel.item_size == 8),
        driver(),
        _structs(kernel, memory, slots),
        *functions,
        _definitions(kernel, memory, slots, feedback),
        _phases(calls, waits=not plan.by_unit),
        _packing(memory),
        walk(),
    ]
    sizes = [(p.name, p.inputs * p.outputs * len(p.parts)) for p in memory.packed]
    work = sum(size for _, size in sizes)
    weights = sum(size for name, size in sizes if name.startswith("loop"))
    shares = 0
    if plan.by_unit:
        shares = -(-plan.regions[0].length * kernel.item_size // (64 * memory.together))
    name = f"{kernel.cell}_{kernel.name}"
    return Rendered(name, "\n".join(parts), slots, work, weights, shares)


def _slots(kernel: Kernel, memory: Memory) -> tuple[Slot, ...]:
    slots = [Slot("array", array) for array in memory.arrays]
    slots += [Slot("vector", value) for value in memory.vectors]
    slots += [Slot("matrix", value) for value in memory.matrices]
    slots += [Slot(kind, state) for state in kernel.states for kind in STATE_SLOTS[kernel.name]]
    slots.append(Slot("forced", ""))
    if kernel.name == "backward":
        slots.append(Slot("grad_forced", ""))
    return tuple(slots)


def field_name(slot: Slot, memory: Memory) -> str:
    """The name of a pointer in the struct `Kernel`."""
    if isinstance(slot.of, Array):
        return memory.array_name(slot.of)
    return memory.name(slot.kind, slot.of.name if isinstance(slot.of, Value) else slot.of)


def _structs(kernel: Kernel, memory: Memory, slots: tuple[Slot, ...]) -> str:
    """What the kernel is given, and what a team has at hand."""
    states = max(len(kernel.states), 1)
    of_states = STATE_SLOTS[kernel.name]
    fields = [field_name(slot, memory) for slot in slots if slot.kind not in of_states]
    lists = ["prev"] if kernel.name == "forward" else ["carry", "prev"]
    lines = [
        f"#define BACKWARD {int(kernel.name == 'backward')}",
        f"#define BY_UNIT {memory.together}",
        f"#define SUMMED {SUMMED} /* steps of a sequence that run into one sum */",
        f"#define STATES {len(kernel.states)}",
        f"static const long SIZE[{states}] = {{{_listed(kernel.states.values())}}};",
        f"#define WIDEST {max(kernel.states.values(), default=1)}",
        "",
        "typedef struct {",
        "    Shape shape;",
        *(f"    real *{kind}[{states}];" for kind in of_states),
        *(f"    real *{name};" for name in fields),
        *(f"    real *{packed.name};" for packed in memory.packed),
        "    char *workspace;",
        "    real *zeros;",
        "} Kernel;",
        "",
        "typedef struct {",
        "    long from, to; /* its rows */",
        "    int part, parts; /* of the team's threads */",
        "    int back; /* whether this step goes through its blocks from the last one */",
        "    long *row, *seq, *sum, *begin; /* of each row at hand: place, sequence, sums */",
        *(f"    real **{name}[{states}];" for name in (*lists, "last")),
        f"    real *own[{states}];",
        *(f"    real *{name};" for name, _ in _shared(memory)),
        "} Team;",
        "",
    ]
    return "\n".join(lines)


def _listed(parts: Iterable[object]) -> str:
    return ", ".join(map(str, parts))


def _shared(memory: Memory) -> list[tuple[str, int]]:
    """What the threads of a team share: name, and size of a row."""
    nodes = [(f"s_{name}", memory.width_of(node)) for node, name in memory.scratch.items()]
    return nodes + [(f"new_{memory.array_name(a)}", a.width) for a in memory.next_arrays]


def _definitions(
    kernel: Kernel, memory: Memory, slots: tuple[Slot, ...], feedback: str | None
) -> str:
    """What `walk.c` has to know of the cell."""
    states = list(kernel.states)
    moves = [memory.schedule.next_states[state][0].kind == "next" for state in states]
    packed = [(p.name, p.inputs, p.outputs, len(p.parts), p.width) for p in memory.packed]
    pointers = [
        f"{slot.kind}[{states.index(slot.of)}]"
        if isinstance(slot.of, str) and slot.of
        else field_name(slot, memory)
        for slot in slots
    ]
    lines = [
        f"#define FEEDBACK {states.index(feedback) if feedback in states else -1}",
        f"static const int MOVES[{max(len(states), 1)}] = {{{_listed(map(int, moves))}}};",
        f"#define EACH_SHARED(X) {' '.join(f'X({_listed(part)})' for part in _shared(memory))}",
        f"#define EACH_PACKED(X) {' '.join(f'X({_listed(part)})' for part in packed)}",
        f"#define EACH_POINTER(X) {' '.join(f'X({pointer})' for pointer in pointers)}",
        "",
        "INLINE real *next_state(UNUSED const Kernel *kernel, Team *team, int state, long at) {",
        "    UNUSED const long row = team->row[at];",
        "    switch (state) {",
    ]
    for number, (array, start) in enumerate(memory.schedule.next_states.values()):
        lines.append(f"    case {number}: return {memory.array(array)} + {start};")
    lines += ["    }", "    return 0;", "}", ""]
    if kernel.name == "backward":
        lines += [
            "INLINE real *kept_state(UNUSED const Kernel *kernel, int state, UNUSED long row) {",
            "    switch (state) {",
        ]
        for number, (array, start) in enumerate(kernel.kept.values()):
            lines.append(f"    case {number}: return {memory.array(array)} + {start};")
        lines += ["    }", "    return 0;", "}", ""]
    return "\n".join(lines)


def _phases(calls: dict[str, list[tuple[str, int]]], *, waits: bool) -> str:
    """The functions of a phase; if it `waits`, a team does for all its threads after each level."""
    lines = []
    for phase, regions in calls.items():
        lines.append(
            f"INLINE void {phase}(UNUSED const Kernel *kernel, UNUSED Team *team, "
            "UNUSED long first, UNUSED long rows) {"
        )
        for number, (name, level) in enumerate(regions):
            lines.append(f"    {name}(kernel, team, first, rows);")
            if waits and (number + 1 == len(regions) or regions[number + 1][1] != level):
                lines.append("    if (team->parts > 1) kernel->shape.barrier();")
        lines += ["}", ""]
    return "\n".join(lines)


def _packing(memory: Memory) -> str:
    """Every matrix, packed for the products."""
    lines = [
        "static void pack_all(UNUSED const Kernel *kernel, UNUSED int part, UNUSED int parts) {",
        "    UNUSED int turn = 0;",
    ]
    for packed in memory.packed:
        for d, (value, transposed, k0, n0) in enumerate(packed.parts):
            name = memory.name("matrix", value.name)
            down, right = value.shape[1] if len(value.shape) > 1 else 1, 1
            rs, cs = (down, right) if transposed else (right, down)
            lines.append(
                f"    if (turn++ % parts == part) pack(kernel->{packed.name}, kernel->{name} + "
                f"{n0 * rs + k0 * cs}, {rs}, {cs}, {packed.outputs}, {packed.inputs}, {d}, "
                f"{len(packed.parts)}, {packed.width});"
            )
    return "\n".join([*lines, "}", ""])
