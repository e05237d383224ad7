"""The equations of a step, each part of them knowing which value of the program it writes."""

from __future__ import annotations

from cello.program import Program, Value
from cello.see.formulas.notation import Expression
from cello.see.formulas.symbols import Symbols, Units

__all__ = ["Traced"]


class Traced(Symbols):
    """`Symbols` that remember what they wrote.

    Attributes:
        origins: by the id of a formula: the formula, its value, and the first of the units meant.
        equations: both sides of each line.
    """

    def __init__(self, program: Program, gates: tuple[str, ...]) -> None:
        super().__init__(program, gates)
        self.origins: dict[int, tuple[Expression, Value, int]] = {}
        self.equations = self.lines()

    def made(self, value: Value, units: Units, axis: int = -1) -> Expression:
        """By the operation that makes it; see `Symbols`."""
        node = super().made(value, units, axis)
        self.origins.setdefault(id(node), (node, value, units[0] if units else 0))
        return node

    def origin(self, node: Expression) -> tuple[Value, int] | None:
        """The value that a formula writes, and the first of its units."""
        found = self.origins.get(id(node))
        return None if found is None else found[1:]
