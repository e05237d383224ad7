"""Formulas as data: each part of one knows how it is written, and when it needs brackets.

How the signs look is a matter of `styles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from cello.see.formulas.styles import ATOM, CHOICE, POWER, PRODUCT, SUM, Style

__all__ = [
    "Apply",
    "Choice",
    "Compare",
    "FunctionCall",
    "Minus",
    "More",
    "Node",
    "Number",
    "Part",
    "Power",
    "Product",
    "Quotient",
    "Root",
    "Sum",
    "Symbol",
    "Transposed",
]


class Node:
    """A formula or a part of one."""

    level = ATOM

    def write(self, style: Style) -> str:
        """The formula in this style."""
        raise NotImplementedError

    def within(self, style: Style, level: int) -> str:
        """Written where something stands that binds at least as strongly as `level`."""
        text = self.write(style)
        return style.brackets(text) if self.binds(style) < level else text

    def binds(self, style: Style) -> int:
        """How strongly it binds, written in this style."""
        return self.level

    def without_sign(self) -> tuple[bool, Node]:
        """Whether there is a minus before it, and what follows the minus."""
        return False, self


@dataclass(frozen=True)
class Number(Node):
    """A number; `fixed` if it is a parameter's."""

    value: float | complex
    fixed: bool = False

    def write(self, style: Style) -> str:
        if isinstance(self.value, complex):
            return style.complex(self.value)
        return (style.minus if self._negative else "") + style.number(abs(self.value))

    def binds(self, style: Style) -> int:
        if isinstance(self.value, complex):
            return SUM if self.value != 1j else ATOM
        if self._negative:
            return SUM
        return PRODUCT if "10^" in style.number(self.value) else ATOM

    @property
    def _negative(self) -> bool:
        return not isinstance(self.value, complex) and self.value < 0

    def without_sign(self) -> tuple[bool, Node]:
        return self._negative, Number(abs(self.value)) if self._negative else self


@dataclass(frozen=True)
class Symbol(Node):
    """A name, such as z_i or A.bias; `fixed` if it is a parameter's."""

    name: str
    fixed: bool = False

    def write(self, style: Style) -> str:
        return style.symbol(self.name)


@dataclass(frozen=True)
class Part(Node):
    """Units of something: `z[3]` or `z[0:4]`."""

    whole: Node
    first: int
    stop: int | None = None

    def write(self, style: Style) -> str:
        inside = f"{self.first}" if self.stop is None else f"{self.first}:{self.stop}"
        return style.index(self.whole.within(style, ATOM), inside)


@dataclass(frozen=True)
class Transposed(Node):
    """A matrix, rows and columns exchanged."""

    matrix: Node

    def write(self, style: Style) -> str:
        return style.transposed(self.matrix.within(style, ATOM))


@dataclass(frozen=True)
class More(Node):
    """Terms of a sum that are not shown."""

    count: int

    def write(self, style: Style) -> str:
        rest = style.words(f"{self.count} more term{'s' if self.count > 1 else ''}")
        return f"{style.dots} {style.plus} {rest}"


@dataclass(frozen=True)
class Minus(Node):
    """−a."""

    part: Node
    level = SUM

    def write(self, style: Style) -> str:
        return style.minus + self.part.within(style, PRODUCT)

    def without_sign(self) -> tuple[bool, Node]:
        return True, self.part


@dataclass(frozen=True)
class Sum(Node):
    """a + b − c."""

    terms: tuple[Node, ...]
    level = SUM

    def write(self, style: Style) -> str:
        text = ""
        for number, term in enumerate(self.terms):
            negative, rest = term.without_sign()
            sign = style.minus if negative else style.plus
            if number:
                text += f" {sign} "
            elif negative:
                text += sign
            text += rest.within(style, PRODUCT if negative else SUM)
        return text


@dataclass(frozen=True)
class Product(Node):
    """a·b of numbers, or a ⊙ b of tensors, unit by unit."""

    factors: tuple[Node, ...]
    level = PRODUCT

    def write(self, style: Style) -> str:
        negative, first = self.factors[0].without_sign()
        is_alone = isinstance(first, (Quotient, Apply))  # else one could read a / (b·c), W (x ⊙ y)
        text = first.within(style, POWER if is_alone else PRODUCT)
        for before, factor in pairwise(self.factors):
            of_number = isinstance(before, Number) or isinstance(factor, Number)
            text += (style.dot if of_number else style.each) + factor.within(style, POWER)
        return (style.minus if negative else "") + text

    def without_sign(self) -> tuple[bool, Node]:
        negative, first = self.factors[0].without_sign()
        return negative, Product((first, *self.factors[1:]))


@dataclass(frozen=True)
class Apply(Node):
    """W x: a matrix applied to what has a column for each row of the batch."""

    matrix: Node
    to: Node
    level = PRODUCT

    def write(self, style: Style) -> str:
        return self.matrix.within(style, ATOM) + style.apply + self.to.within(style, ATOM)


@dataclass(frozen=True)
class Quotient(Node):
    """a / b."""

    top: Node
    bottom: Node

    def binds(self, style: Style) -> int:
        return style.fraction_level

    def write(self, style: Style) -> str:
        inner = style.fraction_level == ATOM  # a fraction's own line brackets both sides
        negative, rest = self.top.without_sign()
        top = rest.within(style, CHOICE if inner and not negative else PRODUCT)
        bottom = self.bottom.within(style, CHOICE if inner else POWER)
        return (style.minus if negative else "") + style.fraction(top, bottom)

    def without_sign(self) -> tuple[bool, Node]:
        negative, rest = self.top.without_sign()
        return negative, Quotient(rest, self.bottom)


@dataclass(frozen=True)
class Power(Node):
    """a to the power of b."""

    base: Node
    exponent: Node
    level = POWER

    def write(self, style: Style) -> str:
        inner = style.fraction_level == ATOM
        exponent = self.exponent.within(style, CHOICE if inner else ATOM)
        return style.power(self.base.within(style, ATOM), exponent)


@dataclass(frozen=True)
class Root(Node):
    """The square root."""

    part: Node

    def write(self, style: Style) -> str:
        return style.root(self.part.write(style))


@dataclass(frozen=True)
class FunctionCall(Node):
    """A function of something."""

    name: str
    arguments: tuple[Node, ...]

    def write(self, style: Style) -> str:
        return style.call(self.name, [argument.write(style) for argument in self.arguments])


@dataclass(frozen=True)
class Compare(Node):
    """a > b, and its kin."""

    sign: str
    left: Node
    right: Node
    level = CHOICE

    def write(self, style: Style) -> str:
        left, right = self.left.within(style, SUM), self.right.within(style, SUM)
        return f"{left} {style.compare(self.sign)} {right}"


@dataclass(frozen=True)
class Choice(Node):
    """One of two, by a condition."""

    condition: Node
    yes: Node
    no: Node
    level = CHOICE

    def write(self, style: Style) -> str:
        condition = self.condition.within(style, CHOICE)
        yes, no = self.yes.within(style, SUM), self.no.within(style, SUM)
        return style.choice(yes, condition, no)
