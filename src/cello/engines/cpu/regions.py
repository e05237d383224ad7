"""One region of a schedule → a C function that goes once over its features."""

from __future__ import annotations

from dataclasses import dataclass, field

from cello.engines.cpu.expressions import EXPRESSIONS, identifier, number
from cello.program.graph import Value
from cello.program.kernel.nodes import (
    Array,
    Call,
    Constant,
    Dot,
    Fold,
    Load,
    Node,
    Shared,
    Sum,
)
from cello.program.kernel.primitives import PRIMITIVES
from cello.program.kernel.schedule import Region, Schedule

__all__ = ["Group", "Memory", "Packed", "render_region"]

VECTORS = 4  # sums of a register tile for each row


@dataclass(frozen=True)
class Packed:
    """A part of a matrix, packed for the products of a group.

    Attributes:
        name: of the packed copy.
        parts: for each sum: (matrix, transposed, first input, first output).
        inputs, outputs: how many.
        width: vectors of one sum in a tile.
    """

    name: str
    parts: tuple[tuple[Value, bool, int, int], ...]
    inputs: int
    outputs: int
    width: int


@dataclass(frozen=True)
class Run:
    """Features of one place that products of several sums read."""

    place: tuple[str, int]  # what stands before "+ start" in an address, and the start
    length: int
    dots: tuple[tuple[Value, bool, int, int], ...]


@dataclass(eq=False)
class Group:
    """Sums whose products read the same features: they share a register tile."""

    number: int
    sums: list[Sum]
    runs: list[Run]


@dataclass(eq=False)
class Memory:
    """Where everything stands.

    Attributes:
        schedule: what is rendered.
        stored: the array and column of nodes that some array holds.
        scratch: nodes that have a place of their own, for the rows of a few steps.
        arrays: arrays outside, in the order in which they are first used.
        vectors: tensors without rows that are read element by element.
        matrices: tensors without rows that products multiply with.
        packed: parts of matrices in packed form.
    """

    schedule: Schedule
    stored: dict[Node, tuple[Array, int]] = field(default_factory=dict)
    scratch: dict[Node, str] = field(default_factory=dict)
    arrays: dict[Array, None] = field(default_factory=dict)
    vectors: dict[Value, None] = field(default_factory=dict)
    matrices: dict[Value, None] = field(default_factory=dict)
    packed: list[Packed] = field(default_factory=list)

    def __post_init__(self) -> None:
        for region in self.schedule.regions:
            for store in region.stores:
                if not store.per_sequence:
                    self.stored.setdefault(store.node, (store.array, store.start))
        for node in self.schedule.outside:
            if isinstance(node, Fold) or node not in self.stored:
                taken = set(self.scratch.values())
                self.scratch[node] = identifier(node.name or f"t{len(taken)}", taken)

    def place(self, node: Node) -> tuple[str, int]:
        """The address of a node's features for row number `at`, without its offset."""
        if node in self.scratch:
            return f"team->s_{self.scratch[node]} + at * PADDED({node.length})", 0
        if isinstance(node, Load):
            return self.array(node.array), node.start
        array, start = self.stored[node]
        return self.array(array), start

    def array(self, array: Array) -> str:
        """The address of a row of an array."""
        if array.kind in ("prev", "carry"):
            return f"team->{c_name(array)}[at]"
        if array.kind == "next":
            return f"team->s_{c_name(array)} + at * PADDED({array.width})"
        self.arrays[array] = None
        return f"kernel->{c_name(array)} + row * {array.width}"


def c_name(array: Array) -> str:
    """The name of an array in C."""
    return identifier(str(array))


def render_region(name: str, region: Region, memory: Memory) -> str:
    """The function `name(kernel, team, first, count)`, and what it does for one vector."""
    groups = _groups(region, memory)
    width = _tile_width(region, groups, memory)
    for group in groups:
        _pack(name, group, width, memory)
    one = _units(name, region, groups, width, memory)
    whole = _walk(name, region, groups, width, memory)
    return f"{_input_functions(name, groups)}{one}\n{whole}"


# ---------------------------------------------------------------- products


def _groups(region: Region, memory: Memory) -> list[Group]:
    by_inputs: dict[tuple[tuple[tuple[str, int], int], ...], list[tuple[Sum, list[Run]]]] = {}
    for node in region.sums:
        runs = _runs(node, memory)
        by_inputs.setdefault(tuple((r.place, r.length) for r in runs), []).append((node, runs))
    groups: list[Group] = []
    for members in by_inputs.values():
        for first in range(0, len(members), VECTORS):
            some = members[first : first + VECTORS]
            runs = [
                Run(same[0].place, same[0].length, tuple(run.dots[0] for run in same))
                for same in zip(*(runs for _, runs in some), strict=True)
            ]
            groups.append(Group(len(groups), [node for node, _ in some], runs))
    return groups


def _runs(node: Sum, memory: Memory) -> list[Run]:
    """The products of a sum; neighbours in memory and matrix become one."""
    dots = [term for term in node.terms if isinstance(term, Dot)]
    placed = sorted(((memory.place(dot.arg), dot) for dot in dots), key=lambda pair: pair[0])
    runs: list[Run] = []
    for place, dot in placed:
        part = (dot.matrix, dot.transposed, dot.k0, dot.n0)
        if runs:
            before = runs[-1]
            matrix, transposed, k0, n0 = before.dots[0]
            follows = before.place == (place[0], place[1] - before.length)
            if follows and part == (matrix, transposed, k0 + before.length, n0):
                runs[-1] = Run(before.place, before.length + dot.arg.length, before.dots)
                continue
        runs.append(Run(place, dot.arg.length, (part,)))
    return runs


def _tile_width(region: Region, groups: list[Group], memory: Memory) -> int:
    """Vectors of units that one tile takes: few sums leave registers for more of them."""
    if not groups:
        return 1
    most = max(len(group.sums) for group in groups)
    lanes = 64 // memory.schedule.kernel.item_size
    return max(1, min(VECTORS // most, -(-region.length // lanes)))


def _pack(name: str, group: Group, width: int, memory: Memory) -> None:
    for number_, run in enumerate(group.runs):
        for part in run.dots:
            memory.matrices[part[0]] = None
        memory.packed.append(
            Packed(
                f"{name}_{group.number}_{number_}",
                run.dots,
                run.length,
                group.sums[0].length,
                width,
            )
        )


# ---------------------------------------------------------------- one vector


def _units(name: str, region: Region, groups: list[Group], width: int, memory: Memory) -> str:
    """The pointwise part, for the features of one row from `unit` on, `left` of them."""
    body = _Body(region, groups, width, memory)
    sums = "".join(f", const vec *sum_{group.number}" for group in groups)
    lines = [
        f"INLINE void {name}_units(const Kernel *kernel, const Team *team, long at, long unit, "
        f"long left{sums}) {{",
        "    UNUSED const long row = team->row[at], seq = team->seq[at];",
        *(f"    {line}" for line in body.lines),
        "}",
    ]
    return "\n".join(lines) + "\n"


class _Body:
    """The statements of `_units`."""

    def __init__(self, region: Region, groups: list[Group], width: int, memory: Memory) -> None:
        self.region, self.memory, self.width = region, memory, width
        self.lines: list[str] = []
        self.names: dict[Node, str] = {}
        self.taken: set[str] = set()
        self.sums = {
            node: f"sum_{group.number}[{d * width}]"
            for group in groups
            for d, node in enumerate(group.sums)
        }
        for node in region.nodes:
            if isinstance(node, Fold):
                self._fold(node)
            else:
                mask = isinstance(node, Call) and PRIMITIVES[node.function].is_bool
                self._local(node, self._expression(node), "mask" if mask else "vec")
                if node in memory.scratch:
                    self._put(memory.place(node), self._vector(node), padded=True)
        for store in region.stores:
            if store.per_sequence:
                memory.arrays[store.array] = None
                place = f"kernel->{c_name(store.array)} + seq * {store.array.width}", store.start
                total = f"{self._get(place)} + {self._vector(store.node)}"
                self._put(place, total)
            else:
                place = memory.array(store.array), store.start
                padded = store.array.kind == "next" and len(self._next(store.array)) == 1
                self._put(place, self._vector(store.node), padded)

    def _next(self, array: Array) -> list[Node]:
        return self.memory.schedule.kernel.carried[array.name]

    def _local(self, node: Node, expression: str, kind: str = "vec") -> str:
        name = identifier(node.name or f"t{len(self.taken)}", self.taken)
        self.taken.add(name)
        self.names[node] = name
        self.lines.append(f"const {kind} {name} = {expression};")
        return name

    def _expression(self, node: Node) -> str:
        if isinstance(node, Sum):
            rest = [self._vector(term) for term in node.terms if not isinstance(term, Dot)]
            return " + ".join([self.sums[node], *rest] if node in self.sums else rest)
        assert isinstance(node, Call)
        masks = {"where": 1, "and": 2, "or": 2, "not": 1}.get(node.function, 0)
        args = [
            self._mask(arg) if i < masks else self._vector(arg) for i, arg in enumerate(node.args)
        ]
        return EXPRESSIONS[node.function].format(*args)

    def _is_mask(self, node: Node) -> bool:
        return isinstance(node, Call) and PRIMITIVES[node.function].is_bool

    def _mask(self, node: Node) -> str:
        if self._is_mask(node) and node in self.names:
            return self.names[node]
        return f"(mask)({self._vector(node)} != 0)"

    def _vector(self, node: Node) -> str:
        """The node as a vector of numbers, loaded when it is first needed."""
        if isinstance(node, Constant):
            return number(node.value)
        if node in self.names:
            name = self.names[node]
            return f"truth({name})" if self._is_mask(node) else name
        if isinstance(node, Shared):
            self.memory.vectors[node.value] = None
            place = f"kernel->{vector_name(node.value)}", node.start
        else:
            place = self.memory.place(node)
        if node.length == 1 and self.region.length > 1:
            expression = f"splat(*({_at(place)}))"
        else:
            expression = self._get(place, padded=node in self.memory.scratch)
        if self._is_mask(node):  # kept as numbers
            name = identifier(node.name or f"t{len(self.taken)}", self.taken)
            self.taken.add(name)
            self.lines.append(f"const vec {name} = {expression};")
            return name
        return self._local(node, expression)

    def _get(self, place: tuple[str, int], padded: bool = False) -> str:
        address = _at(place, "unit")
        return f"load({address})" if padded else f"load_left({address}, left)"

    def _put(self, place: tuple[str, int], value: str, padded: bool = False) -> None:
        address = _at(place, "unit")
        self.lines.append(
            f"store({address}, {value});" if padded else f"store_left({address}, {value}, left);"
        )

    def _fold(self, node: Fold) -> None:
        base, _ = self.memory.place(node)
        value = self._vector(node.arg)
        neutral = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}[node.kind]
        part = f"first_lanes({value}, left, {neutral})"
        old = f"load({base})"
        total = f"{old} + {part}" if node.kind == "sum" else f"v_{node.kind}({old}, {part})"
        self.lines.append(f"store({base}, {total});")


def vector_name(value: Value) -> str:
    """The name in C of a tensor without rows that is read element by element."""
    return identifier(f"vector_{value.name}")


def _at(place: tuple[str, int], unit: str = "") -> str:
    parts = [place[0], *([str(place[1])] if place[1] else []), *([unit] if unit else [])]
    return " + ".join(parts)


# ---------------------------------------------------------------- all vectors


def _walk(name: str, region: Region, groups: list[Group], width: int, memory: Memory) -> str:
    """Over blocks of units and tiles of rows."""
    n, lines = region.length, _Lines()
    lines.add(
        f"/* {_summary(region, groups)} */",
        f"APART void {name}(const Kernel *kernel, const Team *team, long first, long count) {{",
    )
    lines.indent += 1
    folds = region.folds
    for fold in folds:
        neutral = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}[fold.kind]
        lines.add("for (long at = first; at < first + count; at++)")
        lines.add(f"    store({memory.place(fold)[0]}, splat({neutral}));")
    lines.add(
        f"const long blocks = BLOCKS({n}, {width});",
        f"for (long block = SHARE_BEGIN({int(bool(folds))}); block < SHARE_END({int(bool(folds))}); "
        "block++)",
    )
    if groups:
        lines.add("FOR_TILES(first, count) {")
    else:
        lines.add("for (long at = first; at < first + count; at++) {")
    lines.indent += 1
    for group in groups:
        _products(name, group, width, lines)
    if groups:
        lines.add(f"for (long r = 0; r < rows; r++) for (int u = 0; u < {width}; u++) {{")
        lines.indent += 1
    at = "at + r" if groups else "at"
    unit = f"(block * {width} + u) * VL" if groups else "block * VL"
    sums = "".join(f", sum_{g.number} + r * {len(g.sums) * width} + u" for g in groups)
    lines.add(
        f"const long unit = {unit}, left = {n} - unit;",
        f"if ({n} % (VL * {width}) == 0 || left >= VL) "
        f"{name}_units(kernel, team, {at}, unit, VL{sums});",
        f"else if (left > 0) {name}_units(kernel, team, {at}, unit, left{sums});",
    )
    if groups:
        lines.indent -= 1
        lines.add("}")
    lines.indent -= 1
    lines.add("}")
    for fold in folds:
        lines.add("for (long at = first; at < first + count; at++) {")
        place = memory.place(fold)[0]
        lines.add(f"    real *total = {place};", f"    *total = h{fold.kind}(load(total));", "}")
    lines.indent -= 1
    lines.add("}")
    return lines.text


def _products(name: str, group: Group, width: int, lines: _Lines) -> None:
    number_, V = group.number, len(group.sums) * width
    lines.add(
        f"vec sum_{number_}[ROWS * {V}];",
        f"for (long i = 0; i < rows * {V}; i++) sum_{number_}[i] = splat(0);",
    )
    for run_number, run in enumerate(group.runs):
        packed = f"{name}_{number_}_{run_number}"
        lines.add(
            "{",
            "    const real *in[ROWS];",
            f"    for (long r = 0; r < rows; r++) in[r] = {packed}_in(kernel, team, at + r);",
            f"    dot{V}(rows, sum_{number_}, kernel->{packed} + block * "
            f"((long){run.length * V} * VL), {run.length}, in);",
            "}",
        )


class _Lines:
    def __init__(self) -> None:
        self.indent, self.all = 0, list[str]()

    def add(self, *lines: str) -> None:
        self.all += [f"{'    ' * self.indent}{line}" for line in lines]

    @property
    def text(self) -> str:
        return "\n".join(self.all) + "\n"


def _input_functions(name: str, groups: list[Group]) -> str:
    """For each run of a group, the function that tells where a row's features begin."""
    functions = []
    for group in groups:
        for run_number, run in enumerate(group.runs):
            functions.append(
                f"INLINE const real *{name}_{group.number}_{run_number}_in"
                "(const Kernel *kernel, const Team *team, long at) {\n"
                "    UNUSED const long row = team->row[at];\n"
                f"    return {_at(run.place)};\n"
                "}\n"
            )
    return "".join(functions)


def _summary(region: Region, groups: list[Group]) -> str:
    words = {"before": "for many steps at once", "loop": "step by step", "after": "for many steps"}
    made = [node.name for node in region.nodes if node.name]
    products = sum(len(group.sums) for group in groups)
    parts = [f"{region.phase}: {words[region.phase]}, {region.length} features"]
    if products:
        parts.append(f"{products} product{'s' if products > 1 else ''}")
    if made:
        parts.append("makes " + ", ".join(dict.fromkeys(made)))
    return "; ".join(parts).replace("*/", "")

