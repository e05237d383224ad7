"""How many parameters each block of a cell's diagram has, compared with a plain layer."""

from __future__ import annotations

import math

from cello.cells import Cell
from cello.cells.contract.shapes import width_of
from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.step.formulas import parts
from cello.see.formulas.notation import Expression, Part, Symbol
from cello.see.formulas.symbols import TORCH
from cello.see.parameters import count_parameters

__all__ = ["parameter_shapes", "put_counts"]


def put_counts(diagram: Diagram, cell: Cell) -> None:
    """Write into each block what its parameters add up to, and below what all of them do."""
    for block in diagram.blocks:
        shapes = parameter_shapes(block, cell)
        if shapes:
            terms = " + ".join("×".join(map(str, shape)) or "1" for shape in shapes)
            total = sum(map(math.prod, shapes))
            block.lines = (f"{terms} = {total:,}" if terms != f"{total}" else terms,)
    total = count_parameters(cell).total
    inputs = width_of(cell.input_size)
    plain = inputs * cell.hidden_size + cell.hidden_size
    times = f"{total / plain:.3g}"
    diagram.legend.append(
        f"{total:,} parameters: {times} times the {plain:,} of a plain layer, "
        f"{inputs}×{cell.hidden_size} + {cell.hidden_size}"
    )


def parameter_shapes(block: Block, cell: Cell) -> list[tuple[int, ...]]:
    """The shapes of the parameters that are in a block's formula."""
    found = [] if block.formula is None else dict.fromkeys(_fixed_symbols(block.formula))
    shapes = []
    for name, part in found:
        if (shape := _shape(name, cell)) is not None:
            shapes.append(shape if part is None else _cut(shape, part))
    return shapes


def _cut(shape: tuple[int, ...], part: Part) -> tuple[int, ...]:
    """The shape of a part of a parameter, along one of its axes."""
    units = 1 if part.stop is None else len(range(part.first, part.stop, part.step))
    return (*shape[: part.before], units, *shape[part.before + 1 :])


def _fixed_symbols(node: Expression) -> list[tuple[str, Part | None]]:
    """Names of parameters, each with the part of it that is meant, where it is one."""
    if isinstance(node, Symbol):
        return [(node.name, None)] if node.fixed else []
    if isinstance(node, Part) and isinstance(node.whole, Symbol):
        return [(name, node) for name, _ in _fixed_symbols(node.whole)]
    return [name for part in parts(node) for name in _fixed_symbols(part)]


def _shape(name: str, cell: Cell) -> tuple[int, ...] | None:
    """The shape of a parameter as a formula names it: whole, or a gate's part; None for others."""
    shapes = {n: tuple(p.shape) for n, p in cell.named_parameters()}
    for known in (name, f"{name}.weight"):
        if known in shapes:
            return shapes[known]
    base, _, gate = name.rpartition("_")
    for parameter, symbol in TORCH.items():
        if parameter in shapes and name == symbol:
            return shapes[parameter]
        if parameter in shapes and name[:-1] == symbol[:-1]:
            base, gate = parameter, name[-1]
    if gate in cell.gates and base in shapes:
        first, *rest = shapes[base]
        return (first // len(cell.gates), *rest)
    return None
