"""How the signs of a formula look: in plain text, and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cello.see.numbers import short

__all__ = ["ATOM", "CHOICE", "POWER", "PRODUCT", "SUM", "Latex", "Style"]

# What binds how strongly: a part that binds less than its place asks for gets brackets.
CHOICE, SUM, PRODUCT, POWER, ATOM = range(5)


class Style:
    """Plain text, in Unicode.

    Args:
        digits: of the numbers.
        numbers: whether all that is multiplied is numbers, so that it needs no sign of its own.
    """

    dot, each, apply, minus, plus, dots = "·", " ⊙ ", " ", "−", "+", "…"
    dim = "dim"
    over = " ∗ "  # a filter over what it is moved along
    fraction_level = PRODUCT

    def __init__(self, digits: int = 5, *, numbers: bool = False) -> None:
        self.digits = digits
        if numbers:
            self.each = self.dot

    def number(self, value: float) -> str:
        """A number that is not negative."""
        text = short(value, self.digits)
        return "∞" if text == "inf" else text

    def complex(self, value: complex) -> str:
        """A complex number; without what is 0 in it."""
        real, size = value.real, abs(value.imag)
        imaginary = "i" if size == 1 else f"{self.number(size)}i"
        sign = self.minus if value.imag < 0 else self.plus
        if real == 0:
            return imaginary if value.imag >= 0 else f"{sign}{imaginary}"
        before = self.minus if real < 0 else ""
        return f"{before}{self.number(abs(real))} {sign} {imaginary}"

    def symbol(self, name: str) -> str:
        return name

    def words(self, text: str) -> str:
        return text

    def function(self, name: str) -> str:
        return {"sigmoid": "σ"}.get(name, name)

    def call(self, name: str, arguments: list[str]) -> str:
        if name == "abs":
            return f"|{arguments[0]}|"
        return self.brackets(", ".join(arguments), self.function(name))

    def along(self, dim: tuple[int, ...]) -> str:
        """The axes that a function works along, counted from the last as in PyTorch."""
        several = ", ".join(map(str, dim))
        return f"{self.dim}={several if len(dim) == 1 else f'({several})'}"

    def brackets(self, text: str, before: str = "") -> str:
        return f"{before}({text})"

    def fraction(self, top: str, bottom: str) -> str:
        return f"{top} / {bottom}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}²" if exponent == "2" else f"{base}^{exponent}"

    def root(self, text: str) -> str:
        return f"√({text})"

    def index(self, base: str, inside: str) -> str:
        return f"{base}[{inside}]"

    def transposed(self, base: str) -> str:
        return f"{base}ᵀ"

    def compare(self, sign: str) -> str:
        return {"<=": "≤", ">=": "≥", "!=": "≠", "==": "="}.get(sign, sign)

    def choice(self, yes: str, condition: str, no: str) -> str:
        return f"{yes} if {condition} else {no}"

    def equations(self, sides: Iterable[tuple[str, str]]) -> str:
        """Equations below each other, from their left and right sides."""
        return "\n".join(map(" = ".join, sides))


class Latex(Style):
    """LaTeX, for math mode."""

    dot, each, apply, minus, plus, dots = r" \cdot ", r" \odot ", r"\,", "-", "+", r"\dots"
    dim = r"\mathrm{dim}"
    over = r" \ast "
    fraction_level = ATOM

    _FUNCTIONS = frozenset(("tanh", "exp", "log", "sin", "cos", "max", "min"))

    def number(self, value: float) -> str:
        text = super().number(value)
        if text == "nan":
            return r"\mathrm{nan}"
        mantissa, e, exponent = text.partition("e")
        if not e:
            return text.replace("∞", r"\infty")
        times = "" if mantissa == "1" else rf"{mantissa} \cdot "
        return rf"{times}10^{{{exponent}}}"

    def symbol(self, name: str) -> str:
        base, *below = (
            part if len(part) == 1 or part.isdigit() else rf"\mathrm{{{part}}}"
            for part in re.split(r"[._]+", name.strip("._"))
        )
        return base + (f"_{{{','.join(below)}}}" if below else "")

    def words(self, text: str) -> str:
        escaped = re.sub(r"([_#%&{}])", r"\\\1", text)
        return rf"\text{{{escaped}}}"

    def function(self, name: str) -> str:
        if name == "sigmoid":
            return r"\sigma"
        if name in self._FUNCTIONS:
            return rf"\{name}"
        return rf"\mathrm{{{name}}}".replace("_", r"\_")

    def call(self, name: str, arguments: list[str]) -> str:
        if name == "abs":
            return rf"\left|{arguments[0]}\right|"
        return super().call(name, arguments)

    def brackets(self, text: str, before: str = "") -> str:
        return rf"{before}\left({text}\right)"

    def fraction(self, top: str, bottom: str) -> str:
        return rf"\frac{{{top}}}{{{bottom}}}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{{{exponent}}}"

    def root(self, text: str) -> str:
        return rf"\sqrt{{{text}}}"

    def transposed(self, base: str) -> str:
        return rf"{base}^{{\top}}"

    def compare(self, sign: str) -> str:
        return {"<=": r"\le", ">=": r"\ge", "!=": r"\ne", "==": "="}.get(sign, sign)

    def choice(self, yes: str, condition: str, no: str) -> str:
        lines = rf"{yes} & \text{{if }} {condition} \\ {no} & \text{{otherwise}}"
        return rf"\begin{{cases}} {lines} \end{{cases}}"

    def equations(self, sides: Iterable[tuple[str, str]]) -> str:
        lines = " \\\\\n".join(map(" &= ".join, sides))
        return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"
