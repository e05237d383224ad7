"""Tables in plain text: what recordings, gradients, probes and commands print.

It needs rich, which knows how many places a character takes; that is loaded when a table is made.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import zip_longest
from typing import Any

__all__ = ["column_widths", "text_table"]


def column_widths(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
    """How wide each column of `text_table` is, in places of a terminal."""
    from rich.cells import cell_len

    def width(cell: Any) -> int:
        return max(map(cell_len, str(cell).split("\n")))

    return [
        max([width(title) + 2, *(width(row[place]) for row in rows)])
        for place, title in enumerate(head)
    ]


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Container[int] | None = None
) -> str:
    """A table: the titles, a rule, and the rows.

    Args:
        head: the titles of the columns, each of one line or several.
        rows: the cells, each shown as `str` shows it.
        right: the numbers of the columns that are flush right; all, unless given.

    >>> print(text_table(["t", "value"], [[0, "-1.5"], [10, "2"]]))
      t    value
    ---  -------
      0     -1.5
     10        2
    """
    from rich.cells import cell_len

    widths = column_widths(head, rows)

    def lines(cells: Sequence[Any]) -> Iterator[str]:
        for parts in zip_longest(*(str(cell).split("\n") for cell in cells), fillvalue=""):
            padded = []
            for place, (part, width) in enumerate(zip(parts, widths, strict=True)):
                space = " " * (width - cell_len(part))
                padded.append(space + part if right is None or place in right else part + space)
            yield "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([*lines(head), rule, *(line for row in rows for line in lines(row))])
