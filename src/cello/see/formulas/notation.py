"""Formulas as data: each part of one knows how it is written, and when it needs brackets.

How the signs look is a matter of `styles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from cello.see.formulas.styles import ATOM, CHOICE, POWER, PRODUCT, SUM, Style

__all__ = [
    "Choice",
    "Compare",
    "Convolution",
    "Expression",
    "FunctionCall",
    "MatrixProduct",
    "Minus",
    "More",
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


class Expression:
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

    def without_sign(self) -> tuple[bool, Expression]:
        """Whether there is a minus before it, and what follows the minus."""
        return False, self

    def side(self, style: Style) -> str:
        """Written as a side of an equation: a comparison in brackets."""
        return self.write(style)


@dataclass(frozen=True)
class Number(Expression):
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

    def without_sign(self) -> tuple[bool, Expression]:
        return self._negative, Number(abs(self.value)) if self._negative else self


@dataclass(frozen=True)
class Symbol(Expression):
    """A name, such as z_i or A.bias; `fixed` if it is a parameter's."""

    name: str
    fixed: bool = False

    def write(self, style: Style) -> str:
        return style.symbol(self.name)


@dataclass(frozen=True)
class Part(Expression):
    """Units of something: `z[3]`, `z[0:4]`, every second one `z[0:4:2]`.

    Of something with several axes, `before` and `after` count those that are left whole:
    `S[:, 0:4]`.
    """

    whole: Expression
    first: int
    stop: int | None = None
    step: int = 1
    before: int = 0
    after: int = 0

    def write(self, style: Style) -> str:
        inside = f"{self.first}" if self.stop is None else f"{self.first}:{self.stop}"
        inside += f":{self.step}" if self.step != 1 else ""
        indices = [":"] * self.before + [inside] + [":"] * self.after
        return style.index(self.whole.within(style, ATOM), ", ".join(indices))


@dataclass(frozen=True)
class Transposed(Expression):
    """A matrix, rows and columns exchanged."""

    matrix: Expression

    def write(self, style: Style) -> str:
        return style.transposed(self.matrix.within(style, ATOM))


@dataclass(frozen=True)
class More(Expression):
    """Terms of a sum that are not shown."""

    count: int

    def write(self, style: Style) -> str:
        rest = style.words(f"{self.count} more term{'s' if self.count > 1 else ''}")
        return f"{style.dots} {style.plus} {rest}"


@dataclass(frozen=True)
class Minus(Expression):
    """−a."""

    part: Expression
    level = SUM

    def write(self, style: Style) -> str:
        return style.minus + self.part.within(style, PRODUCT)

    def without_sign(self) -> tuple[bool, Expression]:
        return True, self.part


@dataclass(frozen=True)
class Sum(Expression):
    """a + b − c."""

    terms: tuple[Expression, ...]
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
            part = rest.within(style, PRODUCT if negative else SUM)
            twice = negative and rest.without_sign()[0] and rest.binds(style) >= PRODUCT
            text += style.brackets(part) if twice else part
        return text


@dataclass(frozen=True)
class Product(Expression):
    """a·b of numbers, or a ⊙ b of tensors, unit by unit."""

    factors: tuple[Expression, ...]
    level = PRODUCT

    def write(self, style: Style) -> str:
        negative, first = self.factors[0].without_sign()
        # Else one could read a / (b·c), W (x ⊙ y).
        is_alone = isinstance(first, (Quotient, MatrixProduct))
        text = first.within(style, POWER if is_alone else PRODUCT)
        for before, factor in pairwise(self.factors):
            of_number = isinstance(before, Number) or isinstance(factor, Number)
            text += (style.dot if of_number else style.each) + factor.within(style, POWER)
        return (style.minus if negative else "") + text

    def without_sign(self) -> tuple[bool, Expression]:
        negative, first = self.factors[0].without_sign()
        return negative, Product((first, *self.factors[1:]))


@dataclass(frozen=True)
class MatrixProduct(Expression):
    """W x: a matrix applied to what has a column for each row of the batch."""

    matrix: Expression
    to: Expression
    level = PRODUCT

    def write(self, style: Style) -> str:
        return self.matrix.within(style, ATOM) + style.apply + self.to.within(style, ATOM)


@dataclass(frozen=True)
class Convolution(MatrixProduct):
    """W ∗ x: a filter moved over the places of x."""

    def write(self, style: Style) -> str:
        return self.matrix.within(style, ATOM) + style.over + self.to.within(style, ATOM)


@dataclass(frozen=True)
class Quotient(Expression):
    """a / b."""

    top: Expression
    bottom: Expression

    def binds(self, style: Style) -> int:
        return style.fraction_level

    def write(self, style: Style) -> str:
        inner = style.fraction_level == ATOM  # a fraction's own line brackets both sides
        negative, rest = self.top.without_sign()
        top = rest.within(style, CHOICE if inner and not negative else PRODUCT)
        bottom = self.bottom.within(style, CHOICE if inner else POWER)
        return (style.minus if negative else "") + style.fraction(top, bottom)

    def without_sign(self) -> tuple[bool, Expression]:
        negative, rest = self.top.without_sign()
        return negative, Quotient(rest, self.bottom)


@dataclass(frozen=True)
class Power(Expression):
    """a to the power of b."""

    base: Expression
    exponent: Expression
    level = POWER

    def write(self, style: Style) -> str:
        inner = style.fraction_level == ATOM
        exponent = self.exponent.within(style, CHOICE if inner else ATOM)
        return style.power(self.base.within(style, ATOM), exponent)


@dataclass(frozen=True)
class Root(Expression):
    """The square root."""

    part: Expression

    def write(self, style: Style) -> str:
        return style.root(self.part.write(style))


@dataclass(frozen=True)
class FunctionCall(Expression):
    """A function of something; `dim` are the axes it works along, where there are others too."""

    name: str
    arguments: tuple[Expression, ...]
    dim: tuple[int, ...] = ()

    def write(self, style: Style) -> str:
        along = [style.along(self.dim)] if self.dim else []
        return style.call(self.name, [part.write(style) for part in self.arguments] + along)


@dataclass(frozen=True)
class Compare(Expression):
    """a > b, and its kin."""

    sign: str
    left: Expression
    right: Expression
    level = CHOICE

    def write(self, style: Style) -> str:
        left, right = self.left.within(style, SUM), self.right.within(style, SUM)
        return f"{left} {style.compare(self.sign)} {right}"

    def side(self, style: Style) -> str:
        return style.brackets(self.write(style))


@dataclass(frozen=True)
class Choice(Expression):
    """One of two, by a condition."""

    condition: Expression
    yes: Expression
    no: Expression
    level = CHOICE

    def write(self, style: Style) -> str:
        condition = self.condition.within(style, CHOICE)
        yes, no = self.yes.within(style, SUM), self.no.within(style, SUM)
        return style.choice(yes, condition, no)
