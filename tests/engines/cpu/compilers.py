"""The compilers that there are here, each as what $CC may say, told to tune for several processors.

What a compiler thinks of multiply-adds depends on the processor that it tunes for.
"""

from __future__ import annotations

import importlib.util
import platform
import shlex
import shutil
import sys
from typing import Any

import pytest

from tests.effort import FULL

_TUNINGS = ["generic", "znver3"]
_MORE = ["haswell", "skylake-avx512", "sapphirerapids"]


def _tunings(compiler: str) -> list[str]:
    """For which processors, besides this one; zig has names of its own."""
    if platform.machine() not in ("x86_64", "AMD64") or compiler == "zig":
        return []
    if FULL:
        return _TUNINGS + _MORE
    return _TUNINGS if compiler == "gcc" else _TUNINGS[1:2]


def _commands() -> list[Any]:
    zig = shlex.join([sys.executable, "-m", "ziglang", "cc"])
    there = {
        "gcc": shutil.which("gcc"),
        "clang": shutil.which("clang"),
        "zig": zig if importlib.util.find_spec("ziglang") else None,
    }
    # At its first call zig builds parts of its own.
    slow = {"zig": [pytest.mark.slow]}
    found = []
    for name, command in there.items():
        marks = slow.get(name, [])
        if command is None:
            found.append(pytest.param(name, id=name, marks=pytest.mark.skip(f"no {name}")))
            continue
        for tuning in _tunings(name):
            tuned = f"{command} -mtune={tuning}"
            found.append(pytest.param(tuned, id=f"{name} for {tuning}", marks=marks))
        if not _tunings(name) or FULL:
            found.append(pytest.param(command, id=name, marks=marks))
    return found


#: Parameters of tests, of the kind `str`.
COMMANDS = _commands()
