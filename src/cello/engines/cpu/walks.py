"""The walk through time in C: forward, and backward."""

from __future__ import annotations

from cello.engines.cpu.memory import Memory
from cello.program.kernel.kernel import Kernel

__all__ = ["backward_walk", "forward_walk", "rows_of_team"]

Calls = dict[str, list[tuple[str, int]]]


def rows_of_team(kernel: Kernel, memory: Memory) -> str:
    """The memory of a team: how much, and which is where."""
    chain = memory.chained
    lists = [f"team->{name}" for name in chain]
    if kernel.name == "backward":
        lists += [f"team->{memory.name('prev', name)}" for name in kernel.states]
    lasts = [f"team->last_{name}" for name in chain]
    rows: list[tuple[str, str]] = []  # own to a thread
    shared: list[tuple[str, str]] = []  # of the whole team
    for name, size in zip(chain, kernel.states.values(), strict=True):
        rows.append((f"team->own_{name}", f"MOST * PADDED({size})"))
    for node, name in memory.scratch.items():
        shared.append((f"team->s_{name}", f"AT_HAND * PADDED({node.length})"))
    for array in memory.next_arrays:
        shared.append((f"team->new_{memory.array_name(array)}", f"AT_HAND * PADDED({array.width})"))
    lines = [
        "#define MOST 64 /* rows of a team that run together */",
        "#define AT_HAND (MOST > TOGETHER ? MOST : TOGETHER) /* rows, of one step or of a few */",
        "#define ALIGNED(bytes) (((bytes) + 63) / 64 * 64)",
        "",
    ]
    own = [f"ALIGNED({n} * sizeof(real))" for _, n in rows]
    own += ["3 * ALIGNED((2 * AT_HAND + 1) * sizeof(long))"]
    own += [f"{len(lists)} * ALIGNED(AT_HAND * sizeof(real *))"]
    own += [f"{len(lasts)} * ALIGNED(MOST * sizeof(real *))"]
    all_of = [f"ALIGNED({n} * sizeof(real))" for _, n in shared] or ["0"]
    lines += [
        "INLINE long own_bytes(void) {",
        f"    return {' + '.join(own)};",
        "}",
        "INLINE long shared_bytes(void) {",
        f"    return {' + '.join(all_of)};",
        "}",
        "",
        "static void prepare(const Kernel *kernel, Team *team, int thread, int part, int parts) {",
        "    team->part = part, team->parts = parts, team->back = 0;",
        "    char *own = kernel->workspace + thread * own_bytes();",
        "    UNUSED char *shared = kernel->workspace + kernel->shape.threads * own_bytes() "
        "+ (thread - part) * shared_bytes();",
    ]
    for place, count in rows:
        lines.append(f"    {place} = (real *)own, own += ALIGNED({count} * sizeof(real));")
    for place in ("row", "seq", "begin"):
        lines.append(
            f"    team->{place} = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));"
        )
    for place in lists:
        lines.append(f"    {place} = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));")
    for place in lasts:
        lines.append(f"    {place} = (real **)own, own += ALIGNED(MOST * sizeof(real *));")
    for place, count in shared:
        lines.append(f"    {place} = (real *)shared, shared += ALIGNED({count} * sizeof(real));")
    return "\n".join([*lines, "}", ""])


def _phase(calls: list[tuple[str, int]], arguments: str, indent: str) -> list[str]:
    """The calls of a phase; a team waits for all its threads after each level."""
    lines = []
    for number, (name, level) in enumerate(calls):
        lines.append(f"{indent}{name}(kernel, team, {arguments});")
        if number + 1 == len(calls) or calls[number + 1][1] != level:
            lines.append(f"{indent}if (team->parts > 1) shape->barrier();")
    return lines


def _next(memory: Memory, name: str) -> str:
    """The address of a new state of row number `at`."""
    array, start = memory.schedule.next_states[name]
    return f"{memory.array(array)} + {start}".replace("row *", "team->row[at] *")


def _chunk(order: str) -> list[str]:
    """Gather the rows of the next few steps."""
    return [
        "        long rows = 0, step = done;",
        "        for (; step < shape->steps && step - done < AT_HAND; step++) {",
        f"            const long t = {order};",
        "            long active = size_of(shape, t) - team->from;",
        "            active = active < 0 ? 0 : active < count ? active : count;",
        "            if (rows && rows + active > TOGETHER) break;",
        "            team->begin[step - done] = rows;",
        "            for (long r = 0; r < active; r++, rows++) {",
        "                team->row[rows] = offset_of(shape, t) + team->from + r;",
        "                team->seq[rows] = team->from + r;",
        "            }",
        "        }",
        "        team->begin[step - done] = rows;",
    ]


def _keep(kernel: Kernel, memory: Memory) -> list[str]:
    """States that stand where the next few steps will write are moved."""
    lines = []
    for name, size in kernel.states.items():
        chained = memory.name(kernel.chain, name)
        if memory.schedule.next_states[name][0].kind == "next":
            lines += [
                "        for (long r = 0; r < count; r++) {",
                f"            real *own = team->own_{chained} + r * PADDED({size});",
                f"            if (team->last_{chained}[r] != own) "
                f"memcpy(own, team->last_{chained}[r], {size} * sizeof(real));",
                f"            team->last_{chained}[r] = own;",
                "        }",
            ]
    return lines


def forward_walk(kernel: Kernel, memory: Memory, calls: Calls, feedback: str | None) -> str:
    """All steps of a team's rows."""
    order = "shape->reverse ? shape->steps - 1 - step : step"
    lines = [
        "static void walk(const Kernel *kernel, Team *team) {",
        "    const Shape *shape = &kernel->shape;",
        "    const long count = team->to - team->from;",
        "    for (long r = 0; r < count; r++) {",
        "        UNUSED const long seq = team->from + r;",
    ]
    for name, size in kernel.states.items():
        chained = memory.name("prev", name)
        start = memory.name("start", name)
        lines.append(f"        team->last_{chained}[r] = kernel->{start} + seq * {size};")
    lines += ["    }", "    for (long done = 0; done < shape->steps;) {", *_chunk(order)]
    lines += _phase(calls["before"], "0, rows", "        ")
    lines += [
        "        for (long s = done; s < step; s++) {",
        "            const long first = team->begin[s - done];",
        "            const long active = team->begin[s - done + 1] - first;",
        "            UNUSED const long t = shape->reverse ? shape->steps - 1 - s : s;",
        "            for (long r = 0, at = first; r < active; r++, at++) {",
        "                UNUSED const long row = team->row[at], seq = team->seq[at];",
        "                UNUSED const int reset = shape->reset && shape->reset[row];",
    ]
    for name, size in kernel.states.items():
        chained = memory.name("prev", name)
        initial = memory.name("initial", name)
        lines.append(f"                real *{chained} = team->last_{chained}[r];")
        if name == feedback:
            lines += _fed_back(size, chained)
        lines += [
            f"                if (reset) {chained} = kernel->{initial} + seq * {size};",
            f"                team->{chained}[at] = {chained};",
        ]
    lines.append("            }")
    lines += _phase(calls["loop"], "first, active", "            ")
    lines.append("            team->back = !team->back;")
    lines.append("            for (long r = 0, at = first; r < active; r++, at++) {")
    for name in kernel.states:
        chained = memory.name("prev", name)
        lines.append(f"                team->last_{chained}[r] = {_next(memory, name)};")
    lines += ["            }", "        }"]
    lines += _phase(calls["after"], "0, rows", "        ")
    lines += _keep(kernel, memory)
    lines += [
        "        if (team->parts > 1) shape->barrier();",
        "        done = step;",
        "    }",
        "    for (long r = 0; r < count && team->part == 0; r++) {",
    ]
    for name, size in kernel.states.items():
        chained, final = memory.name("prev", name), memory.name("final", name)
        lines.append(
            f"        memcpy(kernel->{final} + (team->from + r) * {size}, "
            f"team->last_{chained}[r], {size} * sizeof(real));"
        )
    return "\n".join([*lines, "    }", "}", ""])


def _fed_back(size: int, pointer: str) -> list[str]:
    """The known output of the step before takes the place of the cell's own."""
    return [
        "                if (kernel->forced) {",
        "                    const long before = shape->reverse ? t + 1 : t - 1;",
        "                    if (before >= 0 && before < shape->steps && "
        "seq < size_of(shape, before))",
        f"                        {pointer} = kernel->forced + "
        f"(offset_of(shape, before) + seq) * {size};",
        "                }",
    ]


def backward_walk(kernel: Kernel, memory: Memory, calls: Calls, feedback: str | None) -> str:
    """All steps of a team's rows, the last one first."""
    order = "shape->reverse ? step : shape->steps - 1 - step"
    lines = [
        "static void walk(const Kernel *kernel, Team *team) {",
        "    const Shape *shape = &kernel->shape;",
        "    const long count = team->to - team->from;",
        "    for (long r = 0; r < count; r++) {",
        "        UNUSED const long seq = team->from + r;",
    ]
    for name, size in kernel.states.items():
        chained, given = memory.name("carry", name), memory.name("grad_final", name)
        lines.append(f"        team->last_{chained}[r] = kernel->{given} + seq * {size};")
    lines += ["    }", "    for (long done = 0; done < shape->steps;) {", *_chunk(order)]
    lines += [
        "        for (long s = done; s < step; s++) {",
        f"            const long t = {order.replace('step :', 's :').replace('- step', '- s')};",
        "            const long before = shape->reverse ? t + 1 : t - 1;",
        "            for (long at = team->begin[s - done]; at < team->begin[s - done + 1]; at++) {",
        "                UNUSED const long seq = team->seq[at];",
        "                UNUSED const int reset = shape->reset && shape->reset[team->row[at]];",
        "                const int has = before >= 0 && before < shape->steps && "
        "seq < size_of(shape, before);",
        "                UNUSED const long row = has ? offset_of(shape, before) + seq : 0;",
    ]
    for name, size in kernel.states.items():
        array, start = kernel.kept[name]
        prev = memory.name("prev", name)
        lines.append(
            f"                real *{prev} = has ? {memory.array(array)} + {start} : "
            f"kernel->{memory.name('start', name)} + seq * {size};"
        )
        if name == feedback:
            lines.append(
                f"                if (kernel->forced && has) {prev} = "
                f"kernel->forced + row * {size};"
            )
        lines += [
            f"                if (reset) {prev} = kernel->{memory.name('initial', name)} "
            f"+ seq * {size};",
            f"                team->{prev}[at] = {prev};",
        ]
    lines += ["            }", "        }"]
    lines += _phase(calls["before"], "0, rows", "        ")
    lines += [
        "        for (long s = done; s < step; s++) {",
        "            const long first = team->begin[s - done];",
        "            const long active = team->begin[s - done + 1] - first;",
    ]
    for name in kernel.states:
        chained = memory.name("carry", name)
        lines.append(
            f"            for (long r = 0; r < active; r++) team->{chained}[first + r] = "
            f"team->last_{chained}[r];"
        )
    lines += _phase(calls["loop"], "first, active", "            ")
    lines.append("            team->back = !team->back;")
    lines.append("            for (long r = 0, at = first; r < active; r++, at++) {")
    for name in kernel.states:
        chained = memory.name("carry", name)
        lines.append(f"                team->last_{chained}[r] = {_next(memory, name)};")
    lines += ["            }", *_where_states_end(kernel, memory, feedback), "        }"]
    lines += _phase(calls["after"], "0, rows", "        ")
    lines += _keep(kernel, memory)
    lines += [
        "        if (team->parts > 1) shape->barrier();",
        "        done = step;",
        "    }",
        "    for (long r = 0; r < count && team->part == 0; r++) {",
    ]
    for name, size in kernel.states.items():
        chained, begin = memory.name("carry", name), memory.name("grad_start", name)
        lines.append(
            f"        memcpy(kernel->{begin} + (team->from + r) * {size}, "
            f"team->last_{chained}[r], {size} * sizeof(real));"
        )
    return "\n".join([*lines, "    }", "}", ""])


def _where_states_end(kernel: Kernel, memory: Memory, feedback: str | None) -> list[str]:
    """A cotangent goes no further than a reset, or a known output that was fed back."""
    lines = [
        "            if (shape->reset || kernel->forced) {",
        "                const long t = ("
        "shape->reverse ? s : shape->steps - 1 - s), before = shape->reverse ? t + 1 : t - 1;",
        "                for (long r = 0, at = first; r < active; r++, at++) {",
        "                    UNUSED const long seq = team->seq[at];",
        "                    const int reset = shape->reset && shape->reset[team->row[at]];",
        "                    UNUSED const int has = before >= 0 && before < shape->steps && "
        "seq < size_of(shape, before);",
    ]
    for name, size in kernel.states.items():
        chained = memory.name("carry", name)
        last = f"team->last_{chained}[r]"
        given = f"kernel->{memory.name('grad_initial', name)} + seq * {size}"
        lines += [
            "                    if (reset) {",
            f"                        for (long i = 0; i < {size} && team->part == 0; i++) "
            f"({given})[i] += {last}[i];",
            f"                        {last} = kernel->zeros;",
            "                    }",
        ]
        if name == feedback:
            lines += [
                "                    else if (kernel->forced && has) {",
                f"                        real *known = kernel->grad_forced + "
                f"(offset_of(shape, before) + seq) * {size};",
                f"                        if (team->part == 0) memcpy(known, {last}, "
                f"{size} * sizeof(real));",
                f"                        {last} = kernel->zeros;",
                "                    }",
            ]
    return [*lines, "                }", "            }"]
