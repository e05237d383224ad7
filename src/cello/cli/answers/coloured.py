"""Text coloured by a number for each character, with what was predicted below each line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cello.see.colours import ENDS

__all__ = ["legend", "print_coloured"]

_LOW, _MIDDLE, _HIGH = ENDS["light"]
_STEPS = "0123456789"


def _mix(one: tuple[int, ...], other: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def _style(share: float) -> str:
    """The style for a value from 0 (low) to 1 (high): a background, and a legible foreground."""
    pair = (_LOW, _MIDDLE, 2 * share) if share < 0.5 else (_MIDDLE, _HIGH, 2 * share - 1)
    r, g, b = _mix(*pair)
    ink = "rgb(0,0,0)" if 0.299 * r + 0.587 * g + 0.114 * b > 110 else "rgb(255,255,255)"
    return f"{ink} on rgb({r},{g},{b})"


def legend(console: Console, low: float, high: float, name: str) -> None:
    """One line that says which colour (or digit, without colours) is which value of `name`."""
    line = Text(f"{name}  {low:.2f} ")
    for step in _STEPS:
        line.append(f" {step} ", _style(int(step) / 9))
    line.append(f" {high:.2f}")
    console.print(line, soft_wrap=True)


def print_coloured(
    console: Console,
    text: str,
    values: Sequence[float],
    low: float,
    high: float,
    below: Sequence[str] | None = None,
    wrong: Sequence[bool] | None = None,
) -> None:
    """Print `text` with each character on a background that tells its value.

    Where the console has no colours, the values stand below each line as digits, 0 for `low` and
    9 for `high`.

    Args:
        console: where to print.
        text: the text; its line ends are shown as a space, so that they have a colour too.
        values: a number for each character.
        low: the value from which on down all is blue.
        high: the value from which on up all is orange.
        below: a sign for each character, printed below its line.
        wrong: which of these signs are to stand out.
    """
    shares = [min(1.0, max(0.0, (v - low) / ((high - low) or 1.0))) for v in values]
    at = 0
    for line in text.splitlines(keepends=True):
        span = range(at, at + len(line))
        at += len(line)
        row = Text()
        for position, character in zip(span, line.replace("\n", " "), strict=True):
            row.append(character, _style(shares[position]))
        console.print(row, soft_wrap=True)
        if console.color_system is None:
            digits = "".join(_STEPS[round(9 * shares[position])] for position in span)
            console.print(Text(digits), soft_wrap=True)
        if below is not None:
            signs = Text(style="dim")
            for position in span:
                bad = wrong is not None and wrong[position]
                signs.append(below[position], "bold red" if bad else "")
            console.print(signs, soft_wrap=True)
