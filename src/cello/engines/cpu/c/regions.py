"""One region of a schedule → a C function that goes once over its features."""

from __future__ import annotations

from cello.engines.cpu.c.expressions import EXPRESSIONS, identifier, number, scalar
from cello.engines.cpu.c.memory import Memory, address
from cello.engines.cpu.c.products import (
    Lines,
    ProductGroup,
    go_in_pairs,
    groups_of,
    input_functions,
    pack,
    render_products,
    tile_width,
)
from cello.program.kernel.nodes import Apply, Array, Constant, Dot, Fold, Gather, Node, TermSum
from cello.program.kernel.primitives import PRIMITIVES
from cello.program.kernel.schedule import Region

__all__ = ["render_region"]


def render_region(name: str, region: Region, memory: Memory) -> str:
    """The function `name(kernel, team, first, count)`, and what it does for one vector."""
    groups = groups_of(region, memory)
    width = tile_width(region, groups, memory)
    for group in groups:
        pack(name, group, width, memory)
    one = _units(name, region, groups, width, memory)
    whole = _walk(name, region, groups, width, memory)
    return f"{input_functions(name, groups)}{one}\n{whole}"


# ---------------------------------------------------------------- one vector


def _units(
    name: str, region: Region, groups: list[ProductGroup], width: int, memory: Memory
) -> str:
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

    def __init__(
        self, region: Region, groups: list[ProductGroup], width: int, memory: Memory
    ) -> None:
        self.region, self.memory, self.width = region, memory, width
        self.lines: list[str] = []
        self.names: dict[Node, str] = {}
        self.taken: set[str] = set()
        self.given = {f"sum_{group.number}" for group in groups}
        self.sums = {
            node: f"sum_{group.number}[{d * width}]"
            for group in groups
            for d, node in enumerate(group.sums)
        }
        for node in region.nodes:
            if isinstance(node, Fold):
                self._fold(node)
            else:
                mask = isinstance(node, Apply) and PRIMITIVES[node.function].is_bool
                self._local(node, self._expression(node), "mask" if mask else "vec")
                if node in memory.scratch:
                    self._put(memory.place(node), self._vector(node), padded=True)
        for store in region.stores:
            if store.per_sequence:
                memory.arrays[store.array] = None
                place = (
                    f"kernel->{memory.array_name(store.array)} + seq * {store.array.width}",
                    store.start,
                )
                total = f"{self._get(place)} + {self._vector(store.node)}"
                self._put(place, total)
            else:
                place = memory.array(store.array), store.start
                padded = store.array.kind == "next" and len(self._next(store.array)) == 1
                self._put(place, self._vector(store.node), padded)

    def _next(self, array: Array) -> list[Node]:
        return self.memory.schedule.kernel.carried[array.name]

    def _local(self, node: Node, expression: str, kind: str = "vec") -> str:
        self.names[node] = name = self._new_name(node)
        self.lines.append(f"const {kind} {name} = {expression};")
        return name

    def _new_name(self, node: Node) -> str:
        name = identifier(node.name or f"t{len(self.taken)}", self.taken | self.given)
        self.taken.add(name)
        return name

    def _expression(self, node: Node) -> str:
        if isinstance(node, TermSum):
            rest = [self._vector(term) for term in node.terms if not isinstance(term, Dot)]
            return " + ".join([self.sums[node], *rest] if node in self.sums else rest)
        if isinstance(node, Gather):
            return self._gathered(node)
        assert isinstance(node, Apply)
        masks = {"where": 1, "and": 2, "or": 2, "not": 1}.get(node.function, 0)
        args = [
            self._mask(arg) if i < masks else self._vector(arg) for i, arg in enumerate(node.args)
        ]
        return EXPRESSIONS[node.function].format(*args)

    def _gathered(self, node: Gather) -> str:
        """Features from where they stand, one by one."""
        name = f"lanes{len(self.lines)}"
        places = [
            f"(const real[]){{{scalar(arg.value)}}}"
            if isinstance(arg, Constant)
            else address(self.memory.place(arg))
            for arg in node.args
        ]
        which, at = zip(*node.places, strict=True)
        self.lines += [
            f"static const int {name}_of[] = {{{', '.join(map(str, which))}}};",
            f"static const int {name}_at[] = {{{', '.join(map(str, at))}}};",
            f"const real *const {name}_from[] = {{{', '.join(places)}}};",
            f"real {name}[VL] = {{0}};",
            f"for (long lane = 0; lane < left && lane < VL; lane++) "
            f"{name}[lane] = {name}_from[{name}_of[unit + lane]][{name}_at[unit + lane]];",
        ]
        return f"load({name})"

    def _is_mask(self, node: Node) -> bool:
        return isinstance(node, Apply) and PRIMITIVES[node.function].is_bool

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
        place = self.memory.place(node)
        if node.length == 1 and self.region.length > 1:
            expression = f"splat(*({address(place)}))"
        else:
            expression = self._get(place, padded=node in self.memory.scratch)
        if self._is_mask(node):  # kept as numbers
            name = self._new_name(node)
            self.lines.append(f"const vec {name} = {expression};")
            return name
        return self._local(node, expression)

    def _get(self, place: tuple[str, int], padded: bool = False) -> str:
        where = address(place, "unit")
        return f"load({where})" if padded else f"load_left({where}, left)"

    def _put(self, place: tuple[str, int], value: str, padded: bool = False) -> None:
        where = address(place, "unit")
        self.lines.append(
            f"store({where}, {value});" if padded else f"store_left({where}, {value}, left);"
        )

    def _fold(self, node: Fold) -> None:
        lanes = f"{self.memory.place(node)[0]} + unit % FOLDED"
        value = self._vector(node.arg)
        neutral = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}[node.kind]
        part = f"first_lanes({value}, left, {neutral})"
        old = f"load({lanes})"
        total = f"{old} + {part}" if node.kind == "sum" else f"v_{node.kind}({old}, {part})"
        self.lines.append(f"store({lanes}, {total});")


# ---------------------------------------------------------------- all vectors


def _walk(name: str, region: Region, groups: list[ProductGroup], width: int, memory: Memory) -> str:
    """Over blocks of units and tiles of rows."""
    n, lines = region.length, Lines()
    lines.add(
        f"/* {_summary(region, groups)} */",
        f"APART void {name}(const Kernel *kernel, const Team *team, long first, long count) {{",
    )
    lines.indent += 1
    folds = region.folds
    if folds:  # a fold needs all features: the first of a team takes them
        lines.add("if (team->part > 0) return;")
    for fold in folds:
        neutral = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}[fold.kind]
        lines.add("for (long at = first; at < first + count; at++)")
        lines.add(f"    fold_begin({memory.place(fold)[0]}, {neutral});")
    lines.add(
        f"const long blocks = BLOCKS({n}, {width});",
        f"const long from = {'0' if folds else 'SHARE_BEGIN'}, "
        f"to = {'blocks' if folds else 'SHARE_END'};",
    )
    to_and_fro = bool(groups) and region.phase == "loop" and not folds
    pairs = to_and_fro and go_in_pairs(groups, width)
    if groups:  # weights stay while rows pass by
        lines.add(f"FOR_BLOCKS{'_TO_AND_FRO' if to_and_fro else ''}(from, to)")
        lines.add("FOR_TILES(first, count) {")
    else:  # memory is read in its order
        lines.add("for (long at = first; at < first + count; at++)")
        lines.add("for (long block = from; block < to; block++) {")
    lines.indent += 1
    if pairs:
        lines.add("const int pair = count == 1 && i + 1 < to; /* this block and the one after */")
    for group in groups:
        render_products(name, group, width, lines, pairs=pairs)
    if groups:
        many = "rows + pair" if pairs else "rows"
        lines.add(f"for (long r = 0; r < {many}; r++) for (int u = 0; u < {width}; u++) {{")
        lines.indent += 1
    at = "at + (pair ? 0 : r)" if pairs else "at + r" if groups else "at"
    block = "(pair && r ? after : block)" if pairs else "block"
    unit = f"({block} * {width} + u) * VL" if groups else "block * VL"
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
    if pairs:
        lines.add("i += pair;")
    lines.indent -= 1
    lines.add("}")
    for fold in folds:
        lines.add("for (long at = first; at < first + count; at++) {")
        place = memory.place(fold)[0]
        lines.add(f"    real *total = {place};", f"    *total = fold_{fold.kind}(total);", "}")
    lines.indent -= 1
    lines.add("}")
    return lines.text


def _summary(region: Region, groups: list[ProductGroup]) -> str:
    words = {"before": "for many steps at once", "loop": "step by step", "after": "for many steps"}
    made = [node.name for node in region.nodes if node.name]
    products = sum(len(group.sums) for group in groups)
    parts = [f"{region.phase}: {words[region.phase]}, {region.length} features"]
    if products:
        parts.append(f"{products} product{'s' if products > 1 else ''}")
    if made:
        parts.append("makes " + ", ".join(dict.fromkeys(made)))
    return "; ".join(parts).replace("*/", "")
