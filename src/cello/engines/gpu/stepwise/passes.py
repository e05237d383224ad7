"""A phase of a loop as passes: products with matrices, and functions for what is between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cello.program.kernel.nodes import Dot, Load, Node, TermSum, whole_of
from cello.program.kernel.schedule import Region, Schedule

__all__ = ["JoinedProduct", "Pass", "dots_of", "passes_of"]


@dataclass(eq=False)
class JoinedProduct:
    """Sums of products whose columns stand side by side: one block of `length` columns.

    Attributes:
        sums: whose products they are, from left to right.
        factors: what is added up; of each, the product of the first sum.
        length: columns of all sums.
    """

    sums: list[TermSum]
    factors: list[Dot]
    length: int


@dataclass(eq=False)
class Pass:
    """Products, then a function.

    Attributes:
        name: of the function.
        regions: what the function computes.
        factors: states from before the step that a product of this pass's phase reads: the first
            function of the phase has them put into memory.
        products: what has to be there before it.
    """

    name: str
    regions: list[Region] = field(default_factory=list)
    factors: list[Load] = field(default_factory=list)
    products: list[JoinedProduct] = field(default_factory=list)


def dots_of(node: TermSum) -> list[Dot]:
    """The products among the terms of a sum."""
    return [term for term in node.terms if isinstance(term, Dot)]


def passes_of(plan: Schedule, phase: str) -> list[Pass]:
    """The passes of a phase, in order.

    Regions share a function until one needs a product of what that very function computes.
    """
    regions = plan.of(phase)
    passes: list[Pass] = []
    kept = _states_before(plan, regions)
    if kept:
        passes.append(Pass(f"{phase}_1", factors=kept))
    sums: list[TermSum] = []
    made: set[Node] = set()
    for region in regions:
        args = {whole_of(dot.arg) for node in region.sums for dot in dots_of(node)}
        if not passes or args & made or (args and passes[-1].factors):
            passes.append(Pass(f"{phase}_{len(passes) + 1}"))
            sums, made = [], set()
        passes[-1].regions.append(region)
        sums += region.sums
        made.update(region.nodes)
        passes[-1].products = _side_by_side(sums)
    if phase == "loop" and not passes:  # the states have to go on all the same
        passes.append(Pass("loop_1"))
    return passes


def _states_before(plan: Schedule, regions: Iterable[Region]) -> list[Load]:
    """The states before a step, read from what the forward loop has left, that products read."""
    found: dict[Load, None] = {}
    for region in regions:
        for node in region.sums:
            for dot in dots_of(node):
                arg = whole_of(dot.arg)
                if isinstance(arg, Load) and arg.array.kind == "prev" != plan.kernel.chain:
                    found[arg] = None
    return list(found)


def _side_by_side(sums: list[TermSum]) -> list[JoinedProduct]:
    """Sums of the same vectors' products with neighbouring columns of the same matrices."""
    products: list[JoinedProduct] = []
    for node in sorted(sums, key=lambda node: dots_of(node)[0].n0):
        dots = dots_of(node)
        for product in products:
            if len(product.factors) == len(dots) and all(
                _goes_on(first, dot, product.length)
                for first, dot in zip(product.factors, dots, strict=True)
            ):
                product.sums.append(node)
                product.length += node.length
                break
        else:
            products.append(JoinedProduct([node], dots, node.length))
    return products


def _goes_on(first: Dot, dot: Dot, length: int) -> bool:
    same = first.arg is dot.arg and first.matrix is dot.matrix and first.k0 == dot.k0
    return same and first.transposed == dot.transposed and dot.n0 == first.n0 + length
