"""Calls of loops, written down and made again by a small program in C.

The program is linked with one loop's C, by whatever compiler, and runs wherever it can. What a call
takes is copied into memory that is exactly as long as it is; the workspace is left as it comes.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import cello
from cello.engines.cpu import library as libraries
from cello.engines.fused.step_table import NOWHERE

_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>

enum { NOTHING = -1, WORKSPACE = -2, MOST = 64 };

void run(void *const *, const long *);
long workspace_bytes(long threads);

static long next(FILE *file) {
    long number = 0;
    if (fread(&number, sizeof number, 1, file) != 1) exit(3);
    return number;
}

int main(int count, char **arguments) {
    FILE *call = fopen(arguments[1], "rb");
    void *pointers[MOST];
    long numbers[6], sizes[MOST], n = next(call);
    for (int i = 0; i < 6; i++) numbers[i] = next(call);
    for (long i = 0; i < n; i++) {
        sizes[i] = next(call);
        pointers[i] = NULL;
        if (sizes[i] == WORKSPACE) {
            if (posix_memalign(&pointers[i], 64, workspace_bytes(1))) return 4;
        } else if (sizes[i] != NOTHING) {
            pointers[i] = malloc(sizes[i]);
            if (fread(pointers[i], 1, sizes[i], call) != (size_t)sizes[i]) return 5;
        }
    }
    run(pointers, numbers);
    FILE *after = count > 2 ? fopen(arguments[2], "wb") : NULL;
    for (long i = 0; i < n; i++) {
        if (after && sizes[i] > 0) fwrite(pointers[i], 1, sizes[i], after);
        free(pointers[i]);
    }
    return after ? fclose(after) : 0;
}
"""


def linked(command: Sequence[str], loop: Path, folder: Path) -> Path:
    """The program over a loop, which is a C file or a library.

    Args:
        command: the compiler with its flags.
        loop: whose `run` is called.
        folder: where it is built.
    """
    main, program = folder / "again.c", folder / f"{loop.stem}.again"
    if not program.exists():
        main.write_text(_PROGRAM, encoding="utf-8")
        words = [*command, str(main), str(loop), "-o", str(program), "-lm", "-lpthread"]
        subprocess.run(words, check=True)
    return program


@dataclass(frozen=True)
class Call:
    """A call of a loop.

    Attributes:
        library: the loop.
        path: of the file that the program reads.
        tensors: what the loop was given, as it left them.
    """

    library: libraries.Library
    path: Path
    tensors: list[Tensor]

    def found(self, content: bytes) -> list[Tensor]:
        """The same tensors, as the program has written them down."""
        result = []
        for tensor in self.tensors:
            size = tensor.nbytes
            part, content = content[:size], content[size:]
            result.append(torch.frombuffer(bytearray(part), dtype=tensor.dtype).view_as(tensor))
        assert not content
        return result


def _bytes(tensor: Tensor | None) -> bytes:
    if tensor is None or tensor is NOWHERE:
        return struct.pack("q", -1)
    content = tensor.detach().numpy().tobytes()
    return struct.pack("q", len(content)) + content


@contextmanager
def written_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """All calls of loops in the block, each written to a file in the folder; all on one thread."""
    calls: list[Call] = []
    run = libraries.Library.__call__

    def noted(self: libraries.Library, steps: Any, tensors: Any, reset: Any) -> None:
        self.load()
        path = folder / f"{len(calls)}.call"
        table: Sequence[Tensor | None] = (None, None) if steps.table is None else tuple(steps.table)
        before = [*table, reset, None, None]
        numbers = [6 + len(tensors), steps.length, steps.rows, steps.reverse, 1, 1, 0]
        parts = [struct.pack("7q", *numbers), *map(_bytes, before), struct.pack("q", -2)]
        path.write_bytes(b"".join([*parts, *map(_bytes, tensors)]))
        run(self, steps, tensors, reset)
        there = [p.clone() for p in (*before, *tensors) if p is not None and p.numel()]
        calls.append(Call(self, path, there))

    with monkeypatch.context() as patch:
        patch.setattr(libraries.Library, "__call__", noted)
        yield calls


def run_all(layer: cello.Recurrent, dtype: torch.dtype) -> None:
    """Forward and backward: one step of a row, ragged rows with resets, more rows than a tile."""
    for B, T, ragged in ((1, 1, False), (3, 4, True), (7, 2, False)):
        x = torch.randn(T, B, layer.cell.input_size, dtype=dtype, requires_grad=True)
        lengths = (torch.arange(B) + 1) % (T + 1) if ragged else None
        reset = torch.rand(T, B) < 0.5 if ragged else None
        y, state = layer(x, lengths=lengths, reset=reset)
        (y.sum() + sum(part.sum() for part in state)).backward()
