"""The loops under valgrind, called by a small program: see `again`.

Nothing in the workspace may be read before it is written. Part of `HYPOTHESIS_PROFILE=full`.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch

import cello
from cello import zoo
from cello.engines.cpu.toolchain.build import build
from tests.effort import FULL
from tests.engines.cpu.again import linked, run_all, written_down
from tests.patience import LIMIT

GCC, VALGRIND = shutil.which("gcc"), shutil.which("valgrind")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FULL, reason="valgrind takes minutes: make test-full"),
    pytest.mark.skipif(not (GCC and VALGRIND), reason="there is no gcc or no valgrind here"),
]

WRONG = """
void run(float **pointers, long *numbers) { if (pointers[0][0] > 1) numbers[0] = 1; }
long workspace_bytes(long threads) { return 64 * threads; }
"""

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


def complaints(library: Path, call: Path) -> str:
    """What valgrind says, if anything."""
    program = linked([str(GCC), "-g"], library, call.parent)
    command = [str(VALGRIND), "--error-exitcode=9", "--quiet", str(program), str(call)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode in (0, 9), (done.returncode, done.stderr[-2000:])
    return done.stderr


def test_valgrind_sees_what_is_wrong(tmp_path: Path) -> None:
    wrong, call = tmp_path / "wrong.c", tmp_path / "wrong.call"
    wrong.write_text(WRONG, encoding="utf-8")
    call.write_bytes(struct.pack("7q", 1, *[0] * 6) + struct.pack("q", -2))
    assert "uninitialised" in complaints(wrong, call)


@pytest.mark.parametrize(("name", "size", "dtype"), EVERY)
def test_loops_run_clean(
    name: str, size: int, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Valgrind does not know AVX-512.
    monkeypatch.setenv("CC", f"{GCC} -mno-avx512f -g")
    monkeypatch.setenv("CELLO_CACHE", str(tmp_path / "cache"))
    layer = cello.Recurrent(CELLS[name](size), reverse=size == 5, engine="cpu").to(dtype)
    with written_down(tmp_path, monkeypatch) as calls:
        run_all(layer, dtype)
    assert len(calls) == 6
    for call in calls:
        rendered = call.library.rendered
        assert complaints(Path(build(rendered.name, rendered.source)._name), call.path) == ""
