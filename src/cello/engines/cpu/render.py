"""A loop → a C file: the prelude, a function for each region, and the walk through time."""

from __future__ import annotations

from dataclasses import dataclass

from cello.engines.cpu.memory import Memory, Packed
from cello.engines.cpu.prelude import driver, prelude
from cello.engines.cpu.regions import render_region
from cello.engines.cpu.walks import backward_walk, forward_walk, rows_of_team
from cello.program.graph import Value
from cello.program.kernel.kernel import Kernel
from cello.program.kernel.nodes import Array, Graph
from cello.program.kernel.schedule import schedule

__all__ = ["Rendered", "Slot", "render"]


@dataclass(frozen=True)
class Slot:
    """A pointer that the C function takes.

    Attributes:
        kind: "array", "vector", "matrix", or what a state has ("start", "final", …).
        of: the array, the tensor without rows, or the name of the state.
    """

    kind: str
    of: Array | Value | str


@dataclass(frozen=True)
class Rendered:
    """A C file.

    Attributes:
        name: of the file.
        source: its text.
        slots: the pointers that its function `run` takes, in order.
        work: multiplications that one row of one step takes.
        weights: numbers in the matrices that the loop streams.
    """

    name: str
    source: str
    slots: tuple[Slot, ...]
    work: int
    weights: int


_STATE_SLOTS = {
    "forward": ("start", "initial", "final"),
    "backward": ("start", "initial", "grad_final", "grad_start", "grad_initial"),
}


def render(graph: Graph, kernel: Kernel, feedback: str | None) -> Rendered:
    """The C file of a loop.

    Args:
        graph: made the nodes.
        kernel: the loop.
        feedback: the state in whose place known outputs may be fed back.
    """
    plan = schedule(graph, kernel)
    memory = Memory(plan)
    functions: list[str] = []
    calls: dict[str, list[tuple[str, int]]] = {"before": [], "loop": [], "after": []}
    counts: dict[str, int] = {}
    for region in plan.regions:
        counts[region.phase] = counts.get(region.phase, 0) + 1
        name = f"{region.phase}_{counts[region.phase]}"
        functions.append(render_region(name, region, memory))
        calls[region.phase].append((name, region.level))
    for array, _ in kernel.kept.values():
        if kernel.name == "backward" and kernel.states:
            memory.arrays[array] = None
    for array, _ in plan.next_states.values():
        if array.kind != "next":
            memory.arrays[array] = None
    slots = _slots(kernel, memory)
    walk = forward_walk if kernel.name == "forward" else backward_walk
    title = f"/* The {kernel.name} loop of {kernel.cell}. */\n"
    parts = [
        title,
        prelude(double=kernel.item_size == 8),
        driver(),
        _structs(kernel, memory, slots),
        *functions,
        rows_of_team(kernel, memory),
        walk(kernel, memory, calls, feedback),
        _entry(kernel, memory, slots),
    ]
    work = sum(packed.inputs * packed.outputs * len(packed.parts) for packed in memory.packed)
    weights = sum(
        packed.inputs * packed.outputs * len(packed.parts)
        for packed in memory.packed
        if packed.name.startswith("loop")
    )
    return Rendered(f"{kernel.cell}_{kernel.name}", "\n".join(parts), slots, work, weights)


def _slots(kernel: Kernel, memory: Memory) -> tuple[Slot, ...]:
    slots = [Slot("array", array) for array in memory.arrays]
    slots += [Slot("vector", value) for value in memory.vectors]
    slots += [Slot("matrix", value) for value in memory.matrices]
    slots += [Slot(kind, state) for state in kernel.states for kind in _STATE_SLOTS[kernel.name]]
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
    lines = ["typedef struct {", "    Shape shape;"]
    lines += [f"    real *{field_name(slot, memory)};" for slot in slots]
    lines += [f"    real *{packed.name};" for packed in memory.packed]
    lines += ["    char *workspace;", "    real *zeros;", "} Kernel;", "", "typedef struct {"]
    lines += [
        "    long from, to; /* its rows */",
        "    int part, parts; /* of the team's threads */",
        "    int back; /* whether this step goes through its blocks from the last one */",
    ]
    lines.append("    long *row, *seq, *begin; /* of each row at hand: its place, its sequence */")
    lines += [f"    real **{name}, **last_{name};" for name in memory.chained]
    lines += [f"    real *own_{name};" for name in memory.chained]
    if kernel.name == "backward":
        lines += [f"    real **{memory.name('prev', name)};" for name in kernel.states]
    lines += [f"    real *s_{name};" for name in memory.scratch.values()]
    lines += [f"    real *new_{memory.array_name(array)};" for array in memory.next_arrays]
    lines += ["} Team;", ""]
    return "\n".join(lines)


def _entry(kernel: Kernel, memory: Memory, slots: tuple[Slot, ...]) -> str:
    lines = [
        "static void take(Kernel *kernel, void *const *pointers, const long *numbers) {",
        "    Shape *shape = &kernel->shape;",
        "    shape->steps = numbers[0], shape->rows = numbers[1];",
        "    shape->reverse = (int)numbers[2];",
        "    shape->threads = (int)numbers[3], shape->parts = (int)numbers[4];",
        "    shape->packed = (int)numbers[5];",
        "    shape->size = pointers[0], shape->offset = pointers[1], shape->reset = pointers[2];",
        "    shape->barrier = (void (*)(void))pointers[4];",
    ]
    for number, slot in enumerate(slots):
        lines.append(f"    kernel->{field_name(slot, memory)} = pointers[{6 + number}];")
    lines.append("    char *workspace = pointers[5];")
    for packed in memory.packed:
        lines.append(f"    kernel->{packed.name} = (real *)workspace;")
        lines.append(f"    workspace += {_packed_bytes(packed)};")
    widest = max(kernel.states.values(), default=1)
    lines += [
        "    kernel->zeros = (real *)workspace;",
        f"    memset(workspace, 0, PADDED({widest}) * sizeof(real));",
        f"    kernel->workspace = workspace + PADDED({widest}) * sizeof(real);",
        "}",
        "",
        "static void pack_all(const Kernel *kernel, int part, int parts) {",
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
    lines += ["}", ""]
    total = " + ".join(_packed_bytes(packed) for packed in memory.packed) or "0"
    lines += [
        "/* Bytes of workspace for this many threads. */",
        "long workspace_bytes(long threads) {",
        f"    return {total} + PADDED({widest}) * sizeof(real) "
        "+ threads * (own_bytes() + shared_bytes());",
        "}",
        "",
        "static void work(void *argument, int thread, int threads) {",
        "    const Kernel *kernel = argument;",
        "    const Shape *shape = &kernel->shape;",
        "    if (!shape->packed) {",
        "        pack_all(kernel, thread, threads);",
        "        if (threads > 1) shape->barrier();",
        "    }",
        "    const int parts = threads > 1 ? shape->parts : 1, teams = threads / parts;",
        "    const int number = thread / parts;",
        "    const long from = shape->rows * number / teams;",
        "    const long to = shape->rows * (number + 1) / teams;",
        "    Team team;",
        "    prepare(kernel, &team, thread, thread % parts, parts);",
        "    const long groups = (to - from + MOST - 1) / MOST;",
        "    for (long g = 0; g < groups; g++) {",
        "        team.from = from + (to - from) * g / groups;",
        "        team.to = from + (to - from) * (g + 1) / groups;",
        "        walk(kernel, &team);",
        "    }",
        "}",
        "",
        "void run(void *const *pointers, const long *numbers) {",
        "    Kernel kernel;",
        "    take(&kernel, pointers, numbers);",
        "    Work *pool = (Work *)pointers[3];",
        "    if (kernel.shape.threads > 1) pool(work, &kernel, kernel.shape.threads);",
        "    else work(&kernel, 0, 1);",
        "}",
        "",
        "void pack_only(void *const *pointers, const long *numbers) {",
        "    Kernel kernel;",
        "    take(&kernel, pointers, numbers);",
        "    pack_all(&kernel, 0, 1);",
        "}",
        "",
    ]
    return "\n".join(lines)


def _packed_bytes(packed: Packed) -> str:
    vectors = len(packed.parts) * packed.width
    return (
        f"BLOCKS({packed.outputs}, {packed.width}) * {packed.inputs * vectors}L * VL * sizeof(real)"
    )
