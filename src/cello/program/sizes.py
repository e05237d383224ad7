"""How a message speaks of a step: of its line, and of the numbers of rows as B, the user's."""

from __future__ import annotations

import linecache
import re

__all__ = ["of_any_size", "said", "shown"]

_NUMBER = re.compile(r"\d+")


def shown(a: int, b: int, sizes: tuple[int, int]) -> str | None:
    """What is `a` at the first number of rows and `b` at the second, as "2·B"; None if unclear.

    >>> shown(10, 14, (5, 7)), shown(4, 6, (5, 7)), shown(3, 3, (5, 7))
    ('2·B', 'B − 1', '3')
    """
    if a == b:
        return str(a)
    if sizes[0] == sizes[1]:
        return None
    times, left = divmod(b - a, sizes[1] - sizes[0])
    more = a - times * sizes[0]
    if left or times < 1 or (times > 1 and more):  # of two numbers, one cannot tell more
        return None
    rows = "B" if times == 1 else f"{times}·B"
    return rows + (f" {'+' if more > 0 else '−'} {abs(more)}" if more else "")


def of_any_size(first: str, second: str | None, sizes: tuple[int, int]) -> str:
    """The text of an error that came up at both numbers of rows, without either of them.

    Where it came up at the first only, `second` is None.

    >>> of_any_size("shapes (5x3 and 4x5)", "shapes (7x3 and 4x5)", (5, 7))
    'shapes (Bx3 and 4x5)'
    """
    numbers, others = _NUMBER.findall(first), _NUMBER.findall(second or "")
    if second is not None and _NUMBER.sub("", first) == _NUMBER.sub("", second):
        pairs = zip(numbers, others, strict=True)
        said = [shown(int(a), int(b), sizes) or "…" for a, b in pairs]
    else:
        said = ["B" if int(number) == sizes[0] else number for number in numbers]
    words = iter(said)
    return _NUMBER.sub(lambda _: next(words), first)


def said(where: str) -> str:
    """A line of the user's for a message: where it is, and what it says.

    >>> said("unknown line")
    '(unknown line)'
    """
    file, _, line = where.rpartition(":")
    text = linecache.getline(file, int(line)).strip() if line.isdecimal() else ""
    return f"({where})" + (f", `{text}`" if text else "")
