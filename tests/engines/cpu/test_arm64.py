"""The loops on arm64: what was called here is called again there, under qemu, with the same bits.

Debian has what it takes: `gcc-aarch64-linux-gnu`, `libc6-dev-arm64-cross` and `qemu-user`. Part of
`HYPOTHESIS_PROFILE=full`.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cello
from cello import zoo
from cello.engines.cpu.toolchain.compiler import flags
from tests.effort import FULL
from tests.engines.cpu.again import linked, run_all, written_down
from tests.patience import LIMIT

GCC, QEMU = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
FUSES = torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512", "NEON", "SVE"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FULL, reason="arm64 takes minutes: make test-full"),
    pytest.mark.skipif(
        not (GCC and QEMU), reason="there is no aarch64-linux-gnu-gcc or no qemu-aarch64 here"
    ),
    pytest.mark.skipif(not FUSES, reason="without a multiply-add the bits here are others"),
]

# All that the loops compute themselves: products, activations, sums and extremes of features.
CELLS: dict[str, Callable[[int], cello.Cell]] = {
    "elman": lambda n: cello.ElmanCell(3, n),
    "lstm": lambda n: cello.LSTMCell(3, n, peephole=True),
    "gru": lambda n: cello.GRUCell(3, n, reset_after=False),
    "jordan": lambda n: cello.JordanCell(3, n, 2, output_activation="softmax"),
    "layer-norm": lambda n: zoo.LayerNormLSTMCell(3, n),
    "slstm": lambda n: zoo.SLSTMCell(3, n),
}
SIZES = {torch.float32: (5, 33), torch.float64: (17,)}


def command() -> list[str]:
    """The compiler with the flags of every loop, for any arm64."""
    ours = [flag for flag in flags() if not flag.startswith(("-m", "-fPIC", "-shared"))]
    return [str(GCC), *ours, "-static"]


def test_the_program_is_one_for_arm64(tmp_path: Path) -> None:
    loop = tmp_path / "loop.c"
    loop.write_text("void run(void) {}\nlong workspace_bytes(void) { return 0; }\n")
    header = linked(command(), loop, tmp_path).read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64
    assert platform.machine() != "aarch64"  # else there is nothing to compare


@pytest.mark.parametrize("dtype", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_the_bits_are_those_of_this_machine(
    name: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in SIZES[dtype]:
        folder = tmp_path / str(size)
        folder.mkdir()
        layer = cello.Recurrent(CELLS[name](size), reverse=size == 5, engine="cpu").to(dtype)
        with written_down(folder, monkeypatch) as calls:
            run_all(layer, dtype)
        assert len(calls) == 6
        for call in calls:
            rendered, after = call.library.rendered, call.path.with_suffix(".after")
            loop = folder / f"{rendered.name}.c"
            loop.write_text(rendered.source, encoding="utf-8")
            program = linked(command(), loop, folder)
            done = [str(QEMU), str(program), str(call.path), str(after)]
            subprocess.run(done, check=True, timeout=LIMIT)
            for ours, theirs in zip(call.tensors, call.found(after.read_bytes()), strict=True):
                torch.testing.assert_close(theirs, ours, rtol=0, atol=0, equal_nan=True)
