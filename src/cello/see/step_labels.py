"""Tokens below the steps of a plot: readable, and in fonts that have their letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from unicodedata import category

__all__ = ["height_of", "put_tokens"]

_MANY = 80  # steps that get a label each; of more steps a few get one
_LEVEL = 2  # characters, up to which labels need not be turned
_LONGEST = 16  # characters of a label
_INCHES = 0.1  # of a letter
_SEEN = {"\n": "⏎", "\t": "⇥", " ": "␣"}
_NOTHING = "�"  # for a character that no font has


def height_of(tokens: Sequence[str]) -> float:
    """How many inches more the labels of these tokens take than a number does."""
    longest = max((len(_visible(str(token))) for token in tokens), default=0)
    return _INCHES * (1 if len(tokens) > _MANY else longest if longest > _LEVEL else 0)


def put_tokens(ax: Any, tokens: Sequence[str]) -> None:
    """Write the tokens below the steps of a matplotlib axes."""
    from matplotlib import rcParams
    from matplotlib.ticker import FuncFormatter

    shown = [_visible(str(token)) for token in tokens]
    letters = frozenset("".join(shown))
    fonts = _fonts_for(letters, tuple(rcParams["font.family"]))
    unknown = letters.difference(*fonts.values())
    shown = ["".join(_NOTHING if c in unknown else c for c in token) for token in shown]

    def label(place: float, _: object) -> str:
        step = round(place)
        return f"{step}\n{shown[step]}" if place == step and 0 <= step < len(shown) else ""

    if len(shown) > _MANY:
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.xaxis.set_major_formatter(FuncFormatter(label))
    else:
        ax.set_xticks(range(len(shown)), shown)
        ax.tick_params("x", rotation=90 if any(len(token) > _LEVEL for token in shown) else 0)
    for text in ax.get_xticklabels():
        text.set(fontfamily=list(fonts), parse_math=False)


def _visible(token: str) -> str:
    """A token in which white space can be seen, not too long for a label."""
    drawn = "".join(letter for letter in token if category(letter) != "Cf")  # such as joiners
    cut = drawn if len(drawn) <= _LONGEST else f"{drawn[: _LONGEST - 1]}…"
    letters = (_SEEN.get(letter, letter) for letter in cut)
    return "".join(letter if letter.isprintable() else _NOTHING for letter in letters)


@lru_cache(maxsize=16)
def _fonts_for(letters: frozenset[str], families: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """The usual fonts, and as many more as it takes: each with those of the letters it has."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    fonts = {name: _had(letters, findfont(FontProperties(family=[name]))) for name in families}
    missing = letters.difference(*fonts.values())
    others = {
        font.name: _had(missing, font.fname)
        for font in (fontManager.ttflist if missing else ())
        if not font.name.startswith("Last Resort")  # which draws boxes
    }
    while others:
        best = max(others, key=lambda name: len(others[name] & missing))
        if not others[best] & missing:
            break
        fonts[best] = others.pop(best)
        missing -= fonts[best]
    return fonts


def _had(letters: Iterable[str], path: str) -> frozenset[str]:
    """The letters that a font has; none if its letters are bitmaps."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
    except (OSError, RuntimeError):
        return frozenset()
    if not font.scalable:
        return frozenset()
    return frozenset(letter for letter in letters if font.get_char_index(ord(letter)))
