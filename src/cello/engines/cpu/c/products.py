"""Products of a region: sums that read the same features share a register tile."""

from __future__ import annotations

from dataclasses import dataclass

from cello.engines.cpu.c.memory import Memory, Packed, address
from cello.program.graph import Value
from cello.program.kernel.nodes import Dot, TermSum
from cello.program.kernel.schedule import Region

__all__ = [
    "Lines",
    "ProductGroup",
    "go_in_pairs",
    "groups_of",
    "input_functions",
    "pack",
    "render_products",
    "tile_width",
]

VECTORS = 4  # sums of a register tile for each row
AT_HAND = 16384  # bytes of a block's weights, so that two and more stay in the first cache


@dataclass(frozen=True)
class ProductRun:
    """Features of one place that products of several sums read."""

    place: tuple[str, int]  # what stands before "+ start" in an address, and the start
    length: int
    dots: tuple[tuple[Value, bool, int, int], ...]


@dataclass(eq=False)
class ProductGroup:
    """Sums whose products read the same features: they share a register tile."""

    number: int
    sums: list[TermSum]
    runs: list[ProductRun]


def groups_of(region: Region, memory: Memory) -> list[ProductGroup]:
    """The sums of a region by what their products read, at most `VECTORS` together."""
    by_inputs: dict[
        tuple[tuple[tuple[str, int], int], ...], list[tuple[TermSum, list[ProductRun]]]
    ] = {}
    for node in region.sums:
        runs = _runs(node, memory)
        by_inputs.setdefault(tuple((r.place, r.length) for r in runs), []).append((node, runs))
    groups: list[ProductGroup] = []
    for members in by_inputs.values():
        for first in range(0, len(members), VECTORS):
            some = members[first : first + VECTORS]
            runs = [
                ProductRun(same[0].place, same[0].length, tuple(run.dots[0] for run in same))
                for same in zip(*(runs for _, runs in some), strict=True)
            ]
            groups.append(ProductGroup(len(groups), [node for node, _ in some], runs))
    return groups


def _runs(node: TermSum, memory: Memory) -> list[ProductRun]:
    """The products of a sum, in an order that its matrices tell; neighbours become one.

    What is computed lies where the loop has room for it, or where it is recorded: in a forward
    loop only what arrives in an array counts as a neighbour, so that recording changes no bit.
    """
    dots = [term for term in node.terms if isinstance(term, Dot)]
    matrices = list(dict.fromkeys(dot.matrix for dot in dots))
    dots.sort(key=lambda dot: (matrices.index(dot.matrix), dot.k0))
    is_forward = memory.schedule.kernel.name == "forward"
    runs: list[ProductRun] = []
    for dot in dots:
        place, part = memory.place(dot.arg), (dot.matrix, dot.transposed, dot.k0, dot.n0)
        if runs and not (is_forward and dot.arg.inputs):
            before = runs[-1]
            matrix, transposed, k0, n0 = before.dots[0]
            follows = before.place == (place[0], place[1] - before.length)
            if follows and part == (matrix, transposed, k0 + before.length, n0):
                runs[-1] = ProductRun(before.place, before.length + dot.arg.length, before.dots)
                continue
        runs.append(ProductRun(place, dot.arg.length, (part,)))
    return runs


def tile_width(region: Region, groups: list[ProductGroup], memory: Memory) -> int:
    """Vectors of units that one tile takes: few sums leave registers for more of them."""
    if not groups:
        return 1
    most = max(len(group.sums) for group in groups)
    lanes = 64 // memory.schedule.kernel.item_size
    return max(1, min(VECTORS // most, -(-region.length // lanes)))


def pack(name: str, group: ProductGroup, width: int, memory: Memory) -> None:
    """Note which parts of matrices the products of a group need packed."""
    for run_number, run in enumerate(group.runs):
        for part in run.dots:
            memory.matrices[part[0]] = None
        memory.packed.append(
            Packed(
                f"{name}_{group.number}_{run_number}",
                run.dots,
                run.length,
                group.sums[0].length,
                width,
            )
        )


def go_in_pairs(groups: list[ProductGroup], width: int) -> bool:
    """Whether two blocks of a group at once are faster for a single row; see `dot_pair` in C.

    Fewer sums than 3 have stretches of their own; more weights than `AT_HAND` wait for memory.
    """
    return all(
        len(group.sums) * width >= 3
        and sum(run.length for run in group.runs) * len(group.sums) * width * 64 <= AT_HAND
        for group in groups
    )


def render_products(
    name: str, group: ProductGroup, width: int, lines: Lines, *, pairs: bool
) -> None:
    """The products of a group for a tile of rows, from zero."""
    number, vectors = group.number, len(group.sums) * width
    many = "(rows + pair)" if pairs else "rows"
    lines.add(
        f"vec sum_{number}[ROWS * {vectors}];",
        f"for (long n = 0; n < {many} * {vectors}; n++) sum_{number}[n] = splat(0);",
    )
    for run_number, run in enumerate(group.runs):
        packed = f"{name}_{number}_{run_number}"
        lines.add(
            "{",
            "    const real *in[ROWS];",
            f"    for (long r = 0; r < rows; r++) in[r] = {packed}_in(kernel, team, at + r);",
            f"    const long size = {run.length * vectors}L * VL;",
            f"    const real *weights = kernel->{packed} + block * size;",
            f"    const real *next = kernel->{packed} + after * size;",
        )
        if pairs:
            lines.add(
                f"    if (pair) pair{vectors}(sum_{number}, weights, next, {run.length}, in[0]);",
                "    else",
            )
        lines.add(
            f"    dot{vectors}(rows, sum_{number}, weights, {run.length}, in, "
            f"next + (tiles % {vectors}) * ({run.length}L * VL));",
            "}",
        )


def input_functions(name: str, groups: list[ProductGroup]) -> str:
    """For each run of a group, the function that tells where a row's features begin."""
    functions = []
    for group in groups:
        for run_number, run in enumerate(group.runs):
            functions.append(
                f"INLINE const real *{name}_{group.number}_{run_number}_in"
                "(const Kernel *kernel, const Team *team, long at) {\n"
                "    UNUSED const long row = team->row[at];\n"
                f"    return {address(run.place)};\n"
                "}\n"
            )
    return "".join(functions)


class Lines:
    """Lines of C, each as far in as the block that it stands in."""

    def __init__(self) -> None:
        self.indent, self.all = 0, list[str]()

    def add(self, *lines: str) -> None:
        self.all += [f"{'    ' * self.indent}{line}" for line in lines]

    @property
    def text(self) -> str:
        return "\n".join(self.all) + "\n"
