"""How loops are compiled in tests.

Without optimisation one is there in a fifth of the time, runs slower and has the same numbers to
the bit, which tests/engines/cpu/bits/test_bits_of_compilers.py checks. So tests compile, but for
those marked `optimised` and all of `make test-full`; what one has compiled is there for the others.
"""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import replace
from typing import Any

from cello.engines.cpu.toolchain.build import build, compiler

library: Any = importlib.import_module("cello.engines.cpu.library")


def quickly(yes: bool) -> None:
    """Whether loops are compiled so from now on."""
    library.build = _unoptimised if yes else build


def _unoptimised(name: str, source: str) -> ctypes.CDLL:
    usual = compiler()
    flags = tuple("-O0" if flag == "-O2" else flag for flag in usual.flags)
    return build(name, source, replace(usual, flags=flags))
