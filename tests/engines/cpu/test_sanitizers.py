"""The loops under AddressSanitizer and UndefinedBehaviorSanitizer, in a process of their own.

They are compiled with the sanitizers, whose runtime is preloaded, so that the tensors' memory,
which is exactly as long as they are, is watched too; a loop that errs on purpose must be found.
Two cells always, the others with `HYPOTHESIS_PROFILE=full`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cello
from tests.effort import FULL
from tests.patience import LIMIT

GCC = shutil.which("gcc")

SCRIPT = """
import itertools, sys, warnings
import torch
import cello
from cello import zoo
from tests.compiling import quickly
from tests.registry import TwoSizesCell

quickly(True)  # what the sanitizers look at is the same, and compiles in a tenth of the time
warnings.simplefilter("error")
I = 3
CELLS = {
    "elman": lambda n: cello.ElmanCell(I, n),
    "lstm": lambda n: cello.LSTMCell(I, n, peephole=True),
    "gru": lambda n: cello.GRUCell(I, n, reset_after=False),
    "jordan": lambda n: cello.JordanCell(I, n, 2, output_activation="softmax"),
    "layer-norm": lambda n: zoo.LayerNormLSTMCell(I, n),
    "two-sizes": lambda n: TwoSizesCell(),
}
name, size, dtype = sys.argv[1].split(":")
layer = cello.Recurrent(CELLS[name](int(size)), reverse=size == "5", engine="cpu")
layer = layer.to(getattr(torch, dtype))
torch.set_num_threads(1)
for B, T in ((1, 1), (3, 4), (7, 2)):
    x = torch.randn(T, B, I, dtype=getattr(torch, dtype), requires_grad=True)
    ragged = (torch.arange(B) + 1) % (T + 1)
    for lengths, resets in itertools.product((None, ragged), (False, True)):
        reset = torch.rand(T, B) < 0.5 if resets else None
        y, state = layer(x, lengths=lengths, reset=reset)
        (y.sum() + sum(part.sum() for part in state)).backward()
print("ran")
"""
WRONG = """
import ctypes
import torch
from cello.engines.cpu.toolchain.build import build

wrong = build("wrong", "void run(float *x, long n) { x[n] = 1; }")
x = torch.empty(10)
wrong.run.argtypes = [ctypes.c_void_p, ctypes.c_long]
wrong.run(x.data_ptr(), 10)
"""

ALWAYS = ("elman:1:float32", "two-sizes:4:float64")
EVERY = [
    f"{name}:{size}:{dtype}"
    for name, size, dtype in [
        ("elman", 1, "float32"),
        ("lstm", 5, "float32"),
        ("lstm", 17, "float64"),
        ("lstm", 33, "bfloat16"),
        ("gru", 5, "float64"),
        ("gru", 33, "float32"),
        ("jordan", 5, "float32"),
        ("jordan", 17, "float64"),
        ("layer-norm", 5, "float32"),
        ("two-sizes", 4, "float64"),
    ]
]


def sanitized(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script whose loops are compiled with both sanitizers."""
    assert GCC is not None
    runtime = [
        subprocess.run(
            [GCC, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so.6")  # the first needs the second at once
    ]
    root = Path(cello.__file__).parents[1]
    environment = os.environ | {
        "CC": f"{GCC} -fsanitize=address,undefined -fno-sanitize-recover=all -g",
        "CELLO_CACHE": str(folder),
        "LD_PRELOAD": " ".join(runtime),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python and torch keep what they have until the end
        "PYTHONPATH": os.pathsep.join([str(root), str(Path(__file__).parents[3])]),
        "PYTHONMALLOC": "malloc",
    }
    return subprocess.run(
        [sys.executable, "-c", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        GCC is None or not sys.platform.startswith("linux"),
        reason="the sanitizers' runtime is preloaded as that of gcc on Linux is",
    ),
]


def test_sanitizers_see_what_is_wrong(tmp_path: Path) -> None:
    done = sanitized(tmp_path / "cache", WRONG)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr, done.stderr[-2000:]


@pytest.mark.parametrize("cell", EVERY if FULL else ALWAYS)
def test_loops_run_clean(cell: str, tmp_path: Path) -> None:
    done = sanitized(tmp_path / "cache", SCRIPT, cell)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "ran\n"
