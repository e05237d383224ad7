"""What every kernel begins with: vectors, their functions and products with matrices, in C."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["driver", "prelude", "walk"]

_PARTS = ("vectors", "math", "dot", "pack")


@cache
def prelude(*, double: bool = False) -> str:
    """The prelude for kernels of float64 or float32; it needs nothing but the C library's headers.

    >>> print(prelude(double=True).splitlines()[0])
    #define CELLO_DOUBLE 1
    """
    folder = files(__package__)
    parts = [folder.joinpath(f"prelude_{part}.c").read_text(encoding="utf-8") for part in _PARTS]
    return "\n".join([f"#define CELLO_DOUBLE {int(double)}", *parts])


@cache
def driver() -> str:
    """What follows the prelude in every kernel: how rows and blocks are walked over."""
    return files(__package__).joinpath("driver.c").read_text(encoding="utf-8")


@cache
def walk() -> str:
    """What ends every kernel: the walk through time, and the functions called from outside."""
    return files(__package__).joinpath("walk.c").read_text(encoding="utf-8")
