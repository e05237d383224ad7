"""How tests of engines compile."""

from __future__ import annotations

import importlib

import pytest

from tests.engines.cpu.compilers import FULL


@pytest.fixture
def compiled_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled has the same numbers, slower, and takes a fifth of the time to compile.

    For what tests the text of a loop; `make test-full` compiles that as for users too.
    """
    if FULL:
        return
    flags = importlib.import_module("cello.engines.cpu.toolchain.compiler").flags
    quick = tuple("-O0" if flag == "-O2" else flag for flag in flags())
    for module in ("compiler", "cache"):
        monkeypatch.setattr(f"cello.engines.cpu.toolchain.{module}.flags", lambda: quick)
