"""The machine's compiler on exported C: a library to prove it by, and the size of its code."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cello.convert.c.source import NetInC
from cello.engines.cpu.toolchain.build import compiler
from cello.errors import ConversionError

__all__ = ["build", "code_size"]

_SECONDS = 600


def build(code: Path, library: Path, *, optimize: Sequence[str] = ("-O1",)) -> None:
    """Compile a library.

    Args:
        code: the C file.
        library: the file to make.
        optimize: how far. What is proved by it runs for a moment, while -O2 takes six times as long
            to compile a convolutional memory.

    Raises:
        CompilerError: there is no compiler.
        ConversionError: it refuses the file.
    """
    _compile("-std=c99", *optimize, "-fPIC", "-shared", str(code), "-o", str(library), "-lm")


def code_size(source: NetInC) -> int | None:
    """Bytes of instructions for this machine, made small; None where the object is no ELF file."""
    with tempfile.TemporaryDirectory(prefix="cello-") as folder:
        code, made = Path(folder, f"{source.name}.c"), Path(folder, "net.o")
        code.write_text(source.code, encoding="utf-8")
        code.with_suffix(".h").write_text(source.header, encoding="utf-8")
        _compile("-std=c99", "-Os", "-c", str(code), "-o", str(made))
        return _instructions(made.read_bytes())


def _compile(*arguments: str) -> None:
    found = compiler()
    try:
        done = subprocess.run(
            [*found.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConversionError(f"{found} cannot be run: {error}") from error
    if done.returncode:
        said = done.stdout.decode(errors="replace")[:2000]
        raise ConversionError(f"{found} could not compile the exported C:\n{said}")


def _instructions(data: bytes) -> int | None:
    """Bytes of the sections of an object file that are executed; None if it is no ELF file."""
    if data[:4] != b"\x7fELF" or data[4] != 2 or data[5] != 1:
        return None
    (begin,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    total = 0
    for number in range(count):
        (flags,) = struct.unpack_from("<Q", data, begin + number * size + 8)
        (length,) = struct.unpack_from("<Q", data, begin + number * size + 32)
        total += length if flags & 4 else 0
    return total
