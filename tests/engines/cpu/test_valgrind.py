"""The loops under valgrind: calls are written down, and made again by a small program in C.

What a call takes is copied into memory that is exactly as long as it is; the workspace is left as
it comes, so that nothing in it may be read before it is written. Part of `HYPOTHESIS_PROFILE=full`.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import cello
from cello import zoo
from cello.engines.cpu import library as libraries
from cello.engines.cpu.toolchain.build import build
from tests.patience import LIMIT

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
GCC, VALGRIND = shutil.which("gcc"), shutil.which("valgrind")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FULL, reason="valgrind takes minutes: make test-full"),
    pytest.mark.skipif(not (GCC and VALGRIND), reason="there is no gcc or no valgrind here"),
]

AGAIN = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { NOTHING = -1, WORKSPACE = -2 };

static long next(FILE *file) {
    long number = 0;
    if (fread(&number, sizeof number, 1, file) != 1) exit(3);
    return number;
}

int main(int count, char **arguments) {
    FILE *call = fopen(arguments[2], "rb");
    void *library = dlopen(arguments[1], RTLD_NOW), *pointers[64];
    if (count != 3 || !call || !library) return 2;
    long numbers[6], n = next(call);
    for (int i = 0; i < 6; i++) numbers[i] = next(call);
    for (long i = 0; i < n; i++) {
        const long bytes = next(call);
        pointers[i] = NULL;
        if (bytes == WORKSPACE) {
            if (posix_memalign(&pointers[i], 64, next(call))) return 4;
        } else if (bytes != NOTHING) {
            pointers[i] = malloc(bytes);
            if (fread(pointers[i], 1, bytes, call) != (size_t)bytes) return 5;
        }
    }
    typedef void Run(void *const *, const long *);
    ((Run *)dlsym(library, "run"))(pointers, numbers);
    for (long i = 0; i < n; i++) free(pointers[i]);
    return 0;
}
"""
WRONG = "void run(float **pointers, long *numbers) { if (pointers[0][0] > 1) numbers[0] = 1; }"

CELLS = {
    "elman": lambda n: cello.ElmanCell(3, n),
    "lstm": lambda n: cello.LSTMCell(3, n, peephole=True),
    "gru": lambda n: cello.GRUCell(3, n, reset_after=False),
    "jordan": lambda n: cello.JordanCell(3, n, 2, output_activation="softmax"),
    "layer-norm": lambda n: zoo.LayerNormLSTMCell(3, n),
}
EVERY = [
    ("elman", 1, torch.float32),
    ("lstm", 5, torch.float32),
    ("lstm", 33, torch.float64),
    ("gru", 17, torch.float32),
    ("jordan", 5, torch.float64),
    ("layer-norm", 17, torch.float32),
]


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    folder = tmp_path_factory.mktemp("again")
    (folder / "again.c").write_text(AGAIN, encoding="utf-8")
    program = folder / "again"
    command = [str(GCC), "-g", str(folder / "again.c"), "-o", str(program), "-ldl"]
    subprocess.run(command, check=True)
    return program


def _bytes(tensor: Tensor | None) -> bytes:
    if tensor is None or tensor is libraries.NOWHERE:
        return struct.pack("q", -1)
    content = tensor.detach().numpy().tobytes()
    return struct.pack("q", len(content)) + content


def _call(library: libraries.Library, steps: Any, tensors: Sequence[Any], reset: Any) -> bytes:
    """What `AGAIN` reads."""
    table: Sequence[Tensor | None] = (None, None) if steps.table is None else tuple(steps.table)
    before = [*table, reset, None, None]
    numbers = [5 + 1 + len(tensors), steps.length, steps.rows, steps.reverse, 1, 1, 0]
    workspace = struct.pack("2q", -2, library._bytes(1))
    return b"".join(
        [struct.pack("7q", *numbers), *map(_bytes, before), workspace, *map(_bytes, tensors)]
    )


def complaints(program: Path, library: str, call: Path) -> str:
    """What valgrind says, if anything."""
    command = [str(VALGRIND), "--error-exitcode=9", "--quiet", str(program), library, str(call)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode in (0, 9), (done.returncode, done.stderr[-2000:])
    return done.stderr


def test_valgrind_sees_what_is_wrong(again: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.c").write_text(WRONG, encoding="utf-8")
    library = str(tmp_path / "wrong.so")
    command = [str(GCC), "-g", "-shared", "-fPIC", str(tmp_path / "wrong.c"), "-o", library]
    subprocess.run(command, check=True)
    call = tmp_path / "wrong.call"
    call.write_bytes(struct.pack("7q", 1, *[0] * 6) + struct.pack("2q", -2, 64))
    assert "uninitialised" in complaints(again, library, call)


@pytest.mark.parametrize(("name", "size", "dtype"), EVERY)
def test_loops_run_clean(
    name: str,
    size: int,
    dtype: torch.dtype,
    again: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Valgrind does not know AVX-512.
    monkeypatch.setenv("CC", f"{GCC} -mno-avx512f -g")
    monkeypatch.setenv("CELLO_CACHE", str(tmp_path / "cache"))
    calls: list[tuple[str, Path]] = []
    run = libraries.Library.__call__

    def noted(self: libraries.Library, steps: Any, tensors: Any, reset: Any) -> None:
        self.load()
        path = tmp_path / f"{len(calls)}.call"
        path.write_bytes(_call(self, steps, tensors, reset))
        calls.append((build(self.rendered.name, self.rendered.source)._name, path))
        run(self, steps, tensors, reset)

    monkeypatch.setattr(libraries.Library, "__call__", noted)
    layer = cello.Recurrent(CELLS[name](size), reverse=size == 5, engine="cpu").to(dtype)
    for B, T, ragged in ((1, 1, False), (3, 4, True), (7, 2, False)):
        x = torch.randn(T, B, 3, dtype=dtype, requires_grad=True)
        lengths = (torch.arange(B) + 1) % (T + 1) if ragged else None
        reset = torch.rand(T, B) < 0.5 if ragged else None
        y, state = layer(x, lengths=lengths, reset=reset)
        (y.sum() + sum(part.sum() for part in state)).backward()
    assert len(calls) == 6
    for library, path in calls:
        assert complaints(again, library, path) == ""
