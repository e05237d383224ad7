"""Exported C under every compiler that is here: no warning, no undefined behaviour, arm too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cello
from cello.convert.proof import Case, draw_input, run_net
from tests.convert.c.nets import NETS
from tests.registry import make

STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror", "-O1")
STEPS = 7
CASES: dict[str, dict[str, Any]] = {
    "both-ways": {},
    "projection": {"weights": "int8"},
    "embedding": {"math": "libm"},
    "window-projection": {"weights": "int8"},
}
#: Clang's runtime for addresses is a package of its own: there faults end the program.
SANITIZED = {
    "gcc": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "clang": ("-fsanitize=undefined,local-bounds", "-fsanitize-trap=all"),
}


def _needs(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not here")
    return found


def _exported(name: str, folder: Path, **more: Any) -> torch.nn.Module:
    net, arguments = NETS[name]
    made = net()
    cello.to_c(made, folder, **arguments, **more)
    return made


def _check(net: Any, command: list[str], tolerance: float, several: int = 3) -> None:
    """What the program makes of a sequence is what the net makes of it."""
    x = draw_input(net, STEPS, 1, torch.Generator().manual_seed(0), several)
    data = x.numpy().astype(np.float32 if x.is_floating_point() else np.int32).tobytes()
    done = subprocess.run([*command, str(STEPS)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    y = torch.from_numpy(np.frombuffer(done.stdout, np.float32).copy())
    expected = run_net(net, Case("", x))[0].flatten()
    assert torch.allclose(y, expected, atol=tolerance), (y - expected).abs().max()


def _build(compiler: str, folder: Path, *flags: str) -> Path:
    """The program of driver.c."""
    header = (folder / "net.h").read_text()
    ids = "-DINPUT=int32_t" if "int32_t" in header else "-DINPUT=float"
    program = folder / "program"
    sources = [str(folder / "net.c"), str(Path(__file__).parent / "driver.c")]
    command = [compiler, *STRICT, *flags, ids, "-DREAL=float", f"-I{folder}", *sources]
    done = subprocess.run(
        [*command, "-o", str(program), "-lm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", CASES)
def test_no_warning_and_clean_under_sanitizers(name: str, compiler: str, tmp_path: Path) -> None:
    found = _needs(compiler)
    net = _exported(name, tmp_path, **CASES[name])
    program = _build(found, tmp_path, *SANITIZED[compiler])
    several = NETS[name][1].get("ids", 3)
    _check(net, [str(program)], 0.05 if "weights" in CASES[name] else 1e-5, several)


@pytest.mark.parametrize("name", NETS)
def test_it_is_cpp_too(name: str, tmp_path: Path) -> None:
    """Projects of plug-ins compile all that they have as C++."""
    command = [_needs("g++"), "-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror"]
    _exported(name, tmp_path)
    subprocess.run([*command, "-fsyntax-only", str(tmp_path / "net.c")], check=True)


@pytest.mark.parametrize("cell", ["pieces", "SLSTMCell"])
def test_cells_of_many_kinds_are_clean_too(cell: str, tmp_path: Path) -> None:
    found = _needs("gcc")
    net = cello.Recurrent(make(cell, torch.float32))
    cello.to_c(net, tmp_path)
    program = _build(found, tmp_path, *SANITIZED["gcc"])
    _check(net, [str(program)], 1e-5)


def test_arm64(tmp_path: Path) -> None:
    compiler, emulator = _needs("aarch64-linux-gnu-gcc"), _needs("qemu-aarch64")
    net = _exported("both-ways", tmp_path)
    program = _build(compiler, tmp_path, "-static")
    _check(net, [emulator, str(program)], 1e-5)


#: Who compiles for a Cortex-M4: the command, and how the target is told.
MICROCONTROLLER = {
    "arm-none-eabi-gcc": (["arm-none-eabi-gcc"], ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"]),
    "clang": (["clang"], ["--target=arm-none-eabi", "-mcpu=cortex-m4"]),
    "zig": (
        [sys.executable, "-m", "ziglang", "cc"],
        ["-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp", "-fno-unwind-tables"],
    ),
}


@pytest.mark.parametrize("weights", ["float", "int8"])
@pytest.mark.parametrize("who", MICROCONTROLLER)
def test_a_microcontroller(
    who: str, weights: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A Cortex-M4 without a C library: nothing is called but what compilers call themselves."""
    compiler, target = MICROCONTROLLER[who]
    _needs(compiler[0])
    report = cello.to_c(
        cello.Stack(cello.LSTM(1, 16), torch.nn.Linear(16, 1)), tmp_path, weights=weights
    )
    made = tmp_path / "net.o"
    command = [*compiler, *target, "-mfloat-abi=hard", "-ffreestanding", *STRICT, "-Os"]
    done = subprocess.run(
        [*command, "-c", str(tmp_path / "net.c"), "-o", str(made)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    data = made.read_bytes()
    undefined = _undefined(data)
    assert undefined <= {"memcpy", "memset", "__aeabi_memcpy4", "__aeabi_memclr4"}, undefined
    code, constants = _sizes(data)
    record_property("bytes of code", code)
    assert 500 < code < 2500  # docs/c.md: 1.2 KB
    # Some single numbers go into the instructions.
    assert report.weight_bytes - 16 <= constants < report.weight_bytes + 500


def _heads(data: bytes) -> list[Any]:
    """The heads of the sections of an ELF object file of 32 bits."""
    whole = np.frombuffer(data, np.uint8)
    begin = int(whole[0x20:0x24].view("<u4")[0])
    size, count = (int(n) for n in whole[0x2E:0x32].view("<u2"))
    return [whole[begin + n * size :][:40].view("<u4") for n in range(count)]


def _sizes(data: bytes) -> tuple[int, int]:
    """Bytes of the instructions of an object file, and of its constants."""
    kept = [head for head in _heads(data) if head[1] == 1 and head[2] & 2]
    code = sum(int(head[5]) for head in kept if head[2] & 4)
    return code, sum(int(head[5]) for head in kept) - code


def _undefined(data: bytes) -> set[str]:
    """What an ELF object file of 32 bits asks others for."""
    whole, heads = np.frombuffer(data, np.uint8), _heads(data)
    table = next(head for head in heads if head[1] == 2)  # the symbols
    words = heads[int(table[6])]
    found = set()
    for at in range(int(table[4]) + 16, int(table[4] + table[5]), 16):
        section = int(whole[at + 14 : at + 16].view("<u2")[0])
        start = int(words[4]) + int(whole[at : at + 4].view("<u4")[0])
        if section == 0:
            found.add(data[start : data.index(b"\0", start)].decode())
    return found
