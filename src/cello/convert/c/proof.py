"""Whether exported C computes what the net does: compiled, run, and compared with it."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cello.convert.c.source import NetInC
from cello.convert.proof import Case
from cello.convert.state_parts import parts_of, state_of
from cello.engines.cpu.toolchain.compiler import ENDING

__all__ = ["CompiledNet", "differences"]

Array = NDArray[Any]


class CompiledNet:
    """A compiled C file of a net; a call is the other side of a proof.

    Args:
        source: the C.
        net: what it was made of.
        shape: of one output of the net.
        build: makes a library of a C file, both by their paths.
    """

    def __init__(
        self,
        source: NetInC,
        net: nn.Module,
        shape: Sequence[int],
        build: Callable[[Path, Path], None],
    ) -> None:
        self.source, self.net, self.shape = source, net, shape
        # Windows does not let go of a library that is loaded.
        with tempfile.TemporaryDirectory(prefix="cello-", ignore_cleanup_errors=True) as folder:
            code = Path(folder, f"{source.name}.c")
            code.write_text(source.code, encoding="utf-8")
            code.with_suffix(".h").write_text(source.header, encoding="utf-8")
            library = Path(folder, f"net{ENDING}")
            build(code, library)
            self._library = ctypes.CDLL(str(library))
        self.real = np.float32 if source.item == 4 else np.float64
        self.state = np.full(max(1, sum(source.fields.values())), np.nan, self.real)

    def __call__(self, case: Case) -> tuple[Tensor, list[Tensor]]:
        """The output and the final state, sequence by sequence."""
        first = bool(getattr(self.net, "batch_first", False))
        x = case.x.transpose(0, 1) if first else case.x
        steps, batch = x.shape[:2]
        rows = x.reshape(steps, batch, -1).numpy()
        given = None if case.state is None else parts_of(self.net, case.state)
        y = np.zeros((steps, batch, self.source.outputs), self.real)
        finals = []
        for b in range(batch):
            length = steps if case.lengths is None else int(case.lengths[b])
            begin = [part[b].reshape(-1).numpy() for part in given] if given else None
            y[:length, b] = self.sequence(rows[:length, b], begin)
            finals.append(self.state[: sum(self.source.fields.values())].copy())
        parts = _parts(self.source, finals)
        out = torch.from_numpy(y).reshape(steps, batch, *self.shape)
        return out.transpose(0, 1) if first else out, state_of(self.net, parts)

    def sequence(self, x: Array, begin: list[Array] | None = None) -> Array:
        """The outputs of one sequence: the first half in one call, then step by step."""
        self._call("reset", self.state)
        if begin is not None:
            self.state[:] = np.concatenate(begin)
        if not self.source.steps:
            return self._run(x)
        half = len(x) // 2
        return np.concatenate([self._run(x[:half]), *(self._step(row)[None] for row in x[half:])])

    def block(self, x: Array) -> Array:
        """The outputs of one sequence, from the initial state, in one call."""
        self._call("reset", self.state)
        return self._run(x)

    def _step(self, x: Array) -> Array:
        y = np.full(self.source.outputs, np.nan, self.real)
        self._call("step", self.state, self._input(x), y)
        return y

    def _run(self, x: Array) -> Array:
        y = np.full((len(x), self.source.outputs), np.nan, self.real)
        work = np.full(self.source.work * len(x), np.nan, self.real)
        more = [work] if self.source.work else []
        self._call("run", self.state, self._input(x), y, ctypes.c_long(len(x)), *more)
        return y

    def _input(self, x: Array) -> Array:
        return np.ascontiguousarray(x, np.int32 if self.source.ids else self.real)

    def _call(self, function: str, *arguments: Any) -> None:
        getattr(self._library, f"{self.source.name}_{function}")(
            *(ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in arguments)
        )


def differences(one: CompiledNet, other: CompiledNet, x: Array) -> Array:
    """By how much the outputs of two programs differ."""
    return np.asarray(one.sequence(x).astype(float) - other.sequence(x))


def _parts(source: NetInC, finals: list[Array]) -> list[Tensor]:
    """Each field of the struct, [B, size]."""
    table = torch.from_numpy(np.stack(finals))
    return list(table.split(list(source.fields.values()), dim=1)) if source.fields else []
