"""C source → a library that is loaded, compiled when it is not yet on the disk."""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import replace
from threading import Lock

from cello import files
from cello.engines.cpu.toolchain import cache
from cello.engines.cpu.toolchain.compiler import HOW_TO_GET_ONE, Compiler, candidates, flags
from cello.errors import CompilerError

__all__ = ["build", "compiler", "found"]

# What kernels need of a compiler and of the system's headers.
_PROBE = """\
#include <math.h>
#include <pthread.h>
#include <stdint.h>

typedef float vec __attribute__((vector_size(64)));

int cello_probe(float x) {
    vec v = {x, x};
    v = v * v + v;
    return (int)expf(v[1]);
}
"""


def build(name: str, source: str, by: Compiler | None = None) -> ctypes.CDLL:
    """Load the library that this source makes, compiling it if that was not done before.

    Args:
        name: what the files in the cache begin with.
        source: the whole file.
        by: what compiles it, if not the C compiler in use.

    Raises:
        CompilerError: there is no compiler, none works, or it refuses the source.
    """
    return _library(name, source, by or compiler())


def found(name: str, source: str, by: Compiler) -> ctypes.CDLL | None:
    """The same if it has been compiled before."""
    return _find(cache.entry_name(name, source, by))


def compiler() -> Compiler:
    """The C compiler in use: the first of those found that can build and load a small library.

    Raises:
        CompilerError: there is none; says how to get one, or why those that there are do not work.
    """
    key = (os.environ.get("CC"), os.environ.get("PATH"))
    if key not in _chosen:
        _chosen[key] = _choose()
    chosen = _chosen[key]
    if isinstance(chosen, str):
        raise CompilerError(chosen)
    return chosen


_chosen: dict[tuple[str | None, str | None], Compiler | str] = {}
_loaded: dict[str, ctypes.CDLL] = {}
_locks: dict[str, Lock] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_locks.clear)  # whoever held one is not in the child


def _choose() -> Compiler | str:
    """The first compiler that works, or what to tell the user."""
    failures = []
    try:
        for candidate in candidates():
            try:
                return _probed(candidate)
            except CompilerError as error:
                failures.append(str(error))
    except CompilerError as error:
        return str(error)
    if not failures:
        return (
            "no C compiler was found: cc, gcc and clang are not on the PATH, and the package "
            f"ziglang is not installed; {HOW_TO_GET_ONE}"
        )
    return "\n".join(["no C compiler works here:", *failures, f"To get one, {HOW_TO_GET_ONE}"])


def _probed(candidate: Compiler) -> Compiler:
    """The compiler, if it works; not told about the processor if that is what it does not know."""
    try:
        _library("probe", _PROBE, candidate)
    except CompilerError as error:
        said = str(error).partition("The command was")[0]
        if not re.search(r"-m(arch|cpu|prefer)|native|CPU", said):
            raise
        candidate = replace(candidate, flags=flags(tuned=False))
        _library("probe", _PROBE, candidate)
    return candidate


def _library(name: str, source: str, compiler: Compiler) -> ctypes.CDLL:
    entry = cache.entry_name(name, source, compiler)
    with _locks.setdefault(entry, Lock()):
        if entry not in _loaded:
            _loaded[entry] = _find(entry) or _make(entry, source, compiler)
        return _loaded[entry]


def _find(entry: str) -> ctypes.CDLL | None:
    for folder in cache.places_to_search():
        library = cache.find(folder, entry)
        if library is not None:
            try:
                return ctypes.CDLL(str(library))
            except OSError:
                continue  # built elsewhere, with another C library: built anew
    return None


def _make(entry: str, source: str, compiler: Compiler) -> ctypes.CDLL:
    reason = "there is no folder for temporary files"
    for folder in cache.places():
        try:
            text = folder / f"{entry}{compiler.ending}"
            files.replace(text, source.encode(), forced=False)
            content = compiler.compile(text, zig_cache=folder / "zig")
            return ctypes.CDLL(str(cache.store(folder, entry, content, compiler)))
        except OSError as error:
            reason = str(error)
            cache.give_up(folder, reason)
    raise CompilerError(f"what {compiler} built can be kept or loaded nowhere: {reason}")
