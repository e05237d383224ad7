"""What the first call of a layer takes beyond its second, forward and backward, in a new process.

First with a cache without a loop, where a compiled cell is built; then with what that has left in
the cache, as every later process finds it. The extension in C++, which a process of its own builds
once on each machine, is there before: it would take the time of a processor from what is measured.
PyTorch has made its first backward pass before, so that what it sets up itself is in neither.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from torch import nn

import cello
from benchmarks.case import Case, Measured
from benchmarks.passes import backward
from benchmarks.processes import in_fresh_process
from cello.engines.cpu.node import extension
from cello.engines.cpu.toolchain.cache import cache_folder

MOST_BUILD_MS = 3000.0
MOST_CACHED_MS = 50.0
BUILDS, LOADS = 3, 7

CELLS: dict[str, Callable[[int], cello.Cell]] = {
    "LSTMCell": lambda size: cello.LSTMCell(size, size),
    "GRUCell": lambda size: cello.GRUCell(size, size),
    "JordanCell": lambda size: cello.JordanCell(size, size, output_size=size),
    "LayerNormLSTMCell": lambda size: cello.zoo.LayerNormLSTMCell(size, size),
}
SMALL, LARGE = (1, 2, 32), (32, 100, 128)  # B, T, H


def cases() -> Iterator[Case]:
    for name in CELLS:
        for size in (SMALL, LARGE) if name == "LSTMCell" else (SMALL,):
            for cached in (False, True):
                first, second = calls(name, size, cached)
                yield Case(
                    f"{name}, {'from the cache' if cached else 'nothing built yet'}",
                    first,
                    second,
                    dict(zip("BTH", size, strict=True)),
                    rounds=LOADS if cached else BUILDS,
                    quick=name == "LSTMCell" and size == SMALL,
                    most_extra=MOST_CACHED_MS if cached else MOST_BUILD_MS,
                )


def calls(
    name: str, size: tuple[int, int, int], cached: bool
) -> tuple[Callable[[], Measured], Callable[[], Measured]]:
    """Functions for the first call in a new process, and for the second one in that process."""
    second: list[Measured] = []

    def run_first() -> Measured:
        folder = _warm_cache(name) if cached else _without_loops()
        ran = _in_process(name, size, folder)
        seconds, outputs = ran.value
        second[:] = [Measured(seconds, outputs)]
        return Measured(ran.amount, outputs)

    return run_first, lambda: second[0]


def _in_process(name: str, size: tuple[int, int, int], folder: Path) -> Measured:
    env = {"CELLO_CACHE": str(folder)}
    return in_fresh_process("benchmarks.bench_compile", "two_calls", name, *size, env=env)()


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="cello-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _without_loops() -> Path:
    """A cache where only the extension in C++ is."""
    folder = Path(tempfile.mkdtemp(dir=_folder()))
    extension.make()
    for file in cache_folder().glob(f"{extension.NAME}-*"):
        shutil.copy2(file, folder)
    return folder


@cache
def _warm_cache(name: str) -> Path:
    """A cache that a process has filled at other sizes, for it must not depend on them."""
    folder = _without_loops()
    _in_process(name, (2, 3, 16), folder)
    return folder


def two_calls(
    name: str, batch: int, steps: int, hidden: int
) -> tuple[float, tuple[float, list[float]]]:
    """Seconds of the first call; those of the second, and outputs. Runs in a new process."""
    torch.manual_seed(0)
    warm = nn.Linear(hidden, hidden)
    backward(lambda x: (warm(x).sigmoid(), None), warm, torch.randn(2, batch, hidden))()
    cell = CELLS[name](hidden)
    run = backward(cello.Recurrent(cell), cell, torch.randn(steps, batch, hidden))
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        y, _ = run()
        seconds.append(time.perf_counter() - begin)
    return seconds[0], (seconds[1], y[0, 0].tolist())
