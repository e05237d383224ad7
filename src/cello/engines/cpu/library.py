"""A rendered loop as a function that can be called: built, loaded, given its pointers."""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cello.engines.cpu.c.render import Rendered
from cello.engines.cpu.toolchain.build import build
from cello.engines.fused.step_table import StepTable

__all__ = ["Library", "join", "openmp_of_torch", "pool"]

_address = Tensor.data_ptr

WORTH_A_THREAD = 2_000_000  # multiplications below which a second thread does not pay
WORTH_SHARING = 1 << 16  # weights of a loop from which on threads share the units of one row


class Library:
    """A loop in C."""

    def __init__(self, rendered: Rendered) -> None:
        self.rendered = rendered
        self._run: Any = None
        self._bytes: Any = None
        self._pack: Any = None
        self._workspaces: list[tuple[int, int, Tensor]] = []
        self._sizes: dict[int, int] = {}

    def load(self) -> None:
        """Build it, if that was not done before.

        Raises:
            CompilerError: it cannot be built.
        """
        if self._run is None:
            library = build(self.rendered.name, self.rendered.source)
            self._bytes = library.workspace_bytes
            self._bytes.restype = ctypes.c_int64
            self._bytes.argtypes = [ctypes.c_int64]
            run = library.run
            run.restype = None
            run.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            self._pack = library.pack_only
            self._pack.restype, self._pack.argtypes = None, run.argtypes
            self._run = run

    def in_numbers(self) -> list[int]:
        """The addresses of its functions, and what decides how many threads run."""
        self.load()
        functions = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (self._run, self._bytes))
        return [*functions, self.rendered.work, self.rendered.weights, self.rendered.shares]

    def new_workspace(self) -> Tensor:
        """Memory for one thread."""
        return torch.empty(self._bytes(1) + 64, dtype=torch.uint8)

    def pack(self, addresses: array[int], numbers: array[int]) -> None:
        """Only pack the weights into the workspace."""
        self._pack(addresses.buffer_info()[0], numbers.buffer_info()[0])

    def run(self, addresses: array[int], numbers: array[int]) -> None:
        """Run with the pointers and numbers of the C function."""
        self._run(addresses.buffer_info()[0], numbers.buffer_info()[0])

    def __call__(
        self,
        steps: StepTable,
        tensors: Sequence[Tensor],
        reset: Tensor | None,
    ) -> None:
        """Run all steps.

        Args:
            steps: which rows each step has.
            tensors: contiguous, in the order of `Rendered.slots`; `NOWHERE` for what there is not.
            reset: which rows are reset before their step, [N] bool.
        """
        if self._run is None:
            self.load()
        threads, parts = self._threads(steps)
        run, barrier = pool() if threads > 1 else (0, 0)
        workspace = self._workspace(threads)
        reset = None if reset is None else reset.contiguous()  # it may be a column of a larger one
        first = 0 if steps.table is None else steps.table.data_ptr()
        second = first and first + 8 * steps.length
        pointers = [
            first,
            second,
            0 if reset is None else reset.data_ptr(),
            run,
            barrier,
            workspace[1],
        ]
        pointers += map(_address, tensors)
        numbers = array("q", (steps.length, steps.rows, steps.reverse, threads, parts, 0))
        self.run(array("Q", pointers), numbers)
        self._workspaces.append(workspace)

    def _threads(self, steps: StepTable) -> tuple[int, int]:
        """How many threads run, and how many of them share the units of a row."""
        available = torch.get_num_threads()  # node/loop.cpp decides the same
        if available == 1 or steps.total * self.rendered.work < 2 * WORTH_A_THREAD:
            return 1, 1
        if steps.rows >= available:
            return available, 1
        shares = self.rendered.shares or (self.rendered.weights >= WORTH_SHARING and available)
        parts = max(1, min(shares, available // max(1, steps.rows)))
        return parts * max(1, steps.rows), parts

    def _workspace(self, threads: int) -> tuple[int, int, Tensor]:
        """Memory for so many threads: its bytes, where in it they may begin, and itself."""
        size = self._sizes.get(threads)
        if size is None:
            size = self._sizes[threads] = self._bytes(threads) + 64
        while self._workspaces:
            kept = self._workspaces.pop()
            if kept[0] >= size:
                return kept
        made = torch.empty(size, dtype=torch.uint8)
        return size, (made.data_ptr() + 63) // 64 * 64, made


def join(pool: ctypes.CDLL, openmp: ctypes.CDLL) -> None:
    """Let a pool run on the threads of an OpenMP."""
    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
    pool.cello_pool_join(*(ctypes.cast(openmp[name], ctypes.c_void_p) for name in names))


def openmp_of_torch() -> ctypes.CDLL | None:
    """The OpenMP whose threads PyTorch uses, if it is GNU's."""
    folder = Path(torch.__file__).parent
    for path in (*folder.glob("lib/libgomp*.so*"), *folder.parent.glob("torch.libs/libgomp*.so*")):
        try:
            return ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        except OSError:  # it is there, but is not what has been loaded
            continue
    return None


@cache
def pool() -> tuple[int, int]:
    """The addresses of the functions with which threads run, and wait for each other."""
    source = files("cello.engines.cpu.c").joinpath("pool.c").read_text(encoding="utf-8")
    library = build("pool", source)
    if (openmp := openmp_of_torch()) is not None:
        join(library, openmp)
    run, barrier = library.cello_pool_run, library.cello_barrier
    return (
        ctypes.cast(run, ctypes.c_void_p).value or 0,
        ctypes.cast(barrier, ctypes.c_void_p).value or 0,
    )
