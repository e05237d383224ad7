"""One region of a schedule → a C function that goes once over its features."""

from __future__ import annotations

from cello.engines.cpu.c.body import NEUTRAL, Body
from cello.engines.cpu.c.memory import Memory
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
from cello.program.kernel.nodes import Node
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
    body = Body(region, memory, _places_of_sums(groups, width))
    sums = "".join(f", const vec *sum_{group.number}" for group in groups)
    lines = [
        f"INLINE void {name}_units(const Kernel *kernel, const Team *team, long at, long unit, "
        f"long left{sums}) {{",
        "    UNUSED const long row = team->row[at], sum = team->sum[at];",
        *(f"    {line}" for line in body.lines),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _places_of_sums(groups: list[ProductGroup], width: int) -> dict[Node, str]:
    return {
        node: f"sum_{group.number}[{d * width}]"
        for group in groups
        for d, node in enumerate(group.sums)
    }


# ---------------------------------------------------------------- all vectors


def _walk(name: str, region: Region, groups: list[ProductGroup], width: int, memory: Memory) -> str:
    """Over the features of `count` rows from `first` on, in blocks of vectors."""
    lines, folds = Lines(), region.folds
    lines.add(
        f"/* {_summary(region, groups)} */",
        f"APART void {name}(const Kernel *kernel, const Team *team, long first, long count) {{",
    )
    lines.indent += 1
    begin, end = "SHARE_BEGIN", "SHARE_END"
    if memory.together > width:
        begin, end = (f"SHARE(team->part{p}, {memory.together // width})" for p in ("", " + 1"))
    if folds:  # a fold needs all features: the first of a team takes them
        lines.add("if (team->part > 0) return;")
        begin, end = "0", "blocks"
    for fold in folds:
        lines.add("for (long at = first; at < first + count; at++)")
        lines.add(f"    fold_begin({memory.place(fold)[0]}, {NEUTRAL[fold.kind]});")
    lines.add(
        f"const long blocks = BLOCKS({region.length}, {width});",
        f"const long from = {begin}, to = {end};",
    )
    if groups:
        _with_products(name, region, groups, width, lines)
    else:  # memory is read in its order
        lines.add("for (long at = first; at < first + count; at++)")
        lines.add("for (long block = from; block < to; block++) {")
        lines.indent += 1
        _one_vector(name, region, width, lines, at="at", unit="block * VL")
        lines.indent -= 1
        lines.add("}")
    for fold in folds:
        lines.add("for (long at = first; at < first + count; at++) {")
        place = memory.place(fold)[0]
        lines.add(f"    real *total = {place};", f"    *total = fold_{fold.kind}(total);", "}")
    lines.indent -= 1
    lines.add("}")
    return lines.text


def _with_products(
    name: str, region: Region, groups: list[ProductGroup], width: int, lines: Lines
) -> None:
    """Blocks, and inside each the tiles of rows: weights stay while rows pass by."""
    to_and_fro = region.phase == "loop" and not region.folds
    pairs = to_and_fro and go_in_pairs(groups, width)
    lines.add(
        f"FOR_BLOCKS{'_TO_AND_FRO' if to_and_fro else ''}(from, to)", "FOR_TILES(first, count) {"
    )
    lines.indent += 1
    rows, at, block = "rows", "at + r", "block"
    if pairs:
        lines.add("const int pair = count == 1 && i + 1 < to; /* this block and the one after */")
        rows, at, block = "rows + pair", "at + (pair ? 0 : r)", "(pair && r ? after : block)"
    for group in groups:
        render_products(name, group, width, lines, pairs=pairs)
    lines.add(f"for (long r = 0; r < {rows}; r++) for (int u = 0; u < {width}; u++) {{")
    lines.indent += 1
    sums = "".join(f", sum_{g.number} + r * {len(g.sums) * width} + u" for g in groups)
    unit = f"({block} * {width} + u) * VL"
    _one_vector(name, region, width, lines, at=at, unit=unit, sums=sums)
    lines.indent -= 1
    lines.add("}")
    if pairs:
        lines.add("i += pair;")
    lines.indent -= 1
    lines.add("}")


def _one_vector(
    name: str, region: Region, width: int, lines: Lines, *, at: str, unit: str, sums: str = ""
) -> None:
    """The call for the vector that begins at `unit`, of the row `at`; the last may be shorter."""
    n = region.length
    lines.add(
        f"const long unit = {unit}, left = {n} - unit;",
        f"if ({n} % (VL * {width}) == 0 || left >= VL) "
        f"{name}_units(kernel, team, {at}, unit, VL{sums});",
        f"else if (left > 0) {name}_units(kernel, team, {at}, unit, left{sums});",
    )


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
