"""Whether this engine can run anything at all, before there is a cell to ask about."""

from __future__ import annotations

import torch

from cello.engines.cpu.engine import DTYPES, no_loops
from cello.engines.cpu.toolchain.build import compiler
from cello.errors import CompilerError

__all__ = ["lacks"]


def lacks(dtype: torch.dtype) -> str | None:
    """Why it can run no cell for inputs of `dtype`, or None if it can run some."""
    if dtype not in DTYPES:
        return no_loops(dtype)
    try:
        compiler()
    except CompilerError as error:
        return str(error)
    return None
