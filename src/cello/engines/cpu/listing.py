"""The C of a cell's loops, to read."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from cello.cells import Cell
from cello.cells.contract.like import like_of
from cello.engines.cpu.engine import DTYPES, cpu_plan, no_loops
from cello.errors import CaptureError, EngineError
from cello.program import program_of

__all__ = ["source"]


def source(cell: Cell, *, backward: bool = False, whole: bool = False) -> str:
    """The C of the loop that this engine makes of `cell`; no compiler is needed.

    It is that for the dtype of the cell's parameters and for its mode, train or eval. The backward
    loop is the one that computes all gradients.

    Args:
        cell: whose step it is.
        backward: the loop that computes gradients, in place of the one that computes outputs.
        whole: with what is the same in every file (vectors, their functions, products): the very
            text that is compiled.

    Raises:
        EngineError: the cell cannot become a loop in C; names the reason.

    >>> import cello
    >>> "v_tanh" in source(cello.ElmanCell(3, 5))
    True
    """
    like = like_of(cell)
    try:
        if like.dtype not in DTYPES:
            raise CaptureError(no_loops(like.dtype))
        plan = cpu_plan(program_of(cell, like.dtype, like.device), cell.feedback)
    except CaptureError as error:
        name = type(cell).__name__
        raise EngineError(f"{name} cannot become a loop in C: {error}") from error
    if backward:
        needed = frozenset(value.name for value in plan.shared)
        loop = plan.backward(names=(), seen=(), x=True, needed=needed).rendered
    else:
        loop = plan.forward(save=False).rendered
    return loop.source if whole else _own(loop.source)


def _own(text: str) -> str:
    """The part of a C file that was made for its cell."""
    for pasted in _pasted():
        text = text.replace(pasted, "")
    return re.sub(r"\n{3,}", "\n\n", text)


@cache
def _pasted() -> tuple[str, ...]:
    """The C that lies in files."""
    found = (file for file in files("cello.engines.cpu.c").iterdir() if file.name.endswith(".c"))
    return tuple(file.read_text(encoding="utf-8") for file in found)
