"""The C compiler: where it is looked for, and how it is called."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cello.errors import CompilerError

__all__ = ["ENDING", "Compiler", "candidates", "flags", "identity_of", "tuned_for"]

_SHOWN_LINES = 12

HOW_TO_GET_ONE = "install gcc or clang, or `pip install cello[cc]`, or name one in $CC"


#: What the names of libraries end with here.
ENDING = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def tuned_for(system: str, machine: str) -> tuple[str, ...]:
    """What tells a compiler to use all that the processor can do.

    On Apple's that is what the first of them could: what newer ones can beside it serves no loop of
    ours, and the system does not say which of them this is.

    >>> tuned_for("linux", "aarch64"), tuned_for("darwin", "arm64")
    (('-mcpu=native',), ('-mcpu=apple-m1',))
    """
    if machine.lower() in ("x86_64", "amd64"):
        return ("-march=native", "-mprefer-vector-width=512")
    return ("-mcpu=apple-m1",) if system == "darwin" else ("-mcpu=native",)


def flags(tuned: bool = True) -> tuple[str, ...]:
    """How everything is compiled: for this very processor, and exact about NaN and infinity.

    No compiler fuses a product and a sum by itself: where that pays it is written out, see `muladd`
    in prelude_vectors.c.

    Args:
        tuned: False for a compiler that does not know this processor.
    """
    return (
        "-std=gnu11",
        "-O2",
        *(tuned_for(sys.platform, platform.machine()) if tuned else ()),
        "-fPIC",
        "-shared",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-ffp-contract=off",
    )


@dataclass(frozen=True)
class Compiler:
    """A C compiler that was found; whether it works is not yet known.

    Attributes:
        command: the words that its call begins with.
        place: where it was found, as a reader would say it.
        identity: changes when the compiler is exchanged for another one.
        flags: how it is called.
        libraries: what it links.
        ending: of the files that it takes.
    """

    command: tuple[str, ...]
    place: str
    identity: str
    flags: tuple[str, ...] = field(default_factory=flags)
    libraries: tuple[str, ...] = ("-lm", "-lpthread")
    ending: str = ".c"

    def __str__(self) -> str:
        return f"{shlex.join(self.command)} ({self.place})"

    def compile(self, source: Path, zig_cache: Path | None = None) -> bytes:
        """Build a library and return the file's content.

        Everything that is written on the way lies in a folder of its own, which is gone afterwards,
        also when the user interrupts.

        Args:
            source: the C file.
            zig_cache: where zig keeps what it builds for itself, if the user has not said.

        Raises:
            CompilerError: shows the command and what the compiler said.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="cello-") as folder:
                library = Path(folder, f"library{ENDING}")
                command = [*self.command, *self.flags, str(source), "-o", str(library)]
                command += self.libraries
                environment = os.environ | dict.fromkeys(("TMPDIR", "TMP", "TEMP"), folder)
                if zig_cache is not None:
                    environment.setdefault("ZIG_GLOBAL_CACHE_DIR", str(zig_cache))
                status, said = _call(command, folder, environment)
                if status == 0 and library.exists():
                    return library.read_bytes()
        except OSError as error:
            raise CompilerError(f"{self} cannot be run: {error}") from error
        raise CompilerError(
            f"{self} could not compile {source}:\n{_first_lines(said)}\n"
            f"    The command was: {shlex.join(command)}"
        )


def candidates() -> Iterator[Compiler]:
    """The compilers that there are, the one to prefer first.

    $CC, if set, is the only one: what the user asks for is not silently replaced.

    Raises:
        CompilerError: $CC names something that is not there, or cannot serve.
    """
    asked = os.environ.get("CC", "").strip()
    if asked:
        words = _words(asked)
        found = _which(words[0])
        if found is None:
            raise CompilerError(
                f"$CC names the C compiler {words[0]!r}, which is not there; correct it, or unset "
                "it to let cc, gcc, clang or the package ziglang be looked for"
            )
        if (why := _unfit(words[0], sys.platform)) is not None:
            raise CompilerError(
                f"$CC names the C compiler {words[0]!r}: {why}; unset it to let clang or the "
                "package ziglang be looked for"
            )
        command: tuple[str, ...] = (found, *words[1:])
        yield Compiler(command, "from $CC", identity_of(command))
        return
    seen = set()
    for name in ("cc", "gcc", "clang"):
        found = None if _unfit(name, sys.platform) else _which(name)
        if found is not None and (real := os.path.realpath(found)) not in seen:
            seen.add(real)
            yield Compiler((found,), "on the PATH", identity_of((found,)))
    zig = importlib.util.find_spec("ziglang")
    if zig is not None and zig.origin is not None and sys.executable:
        binary = Path(zig.origin).with_name("zig.exe" if os.name == "nt" else "zig")
        command = (sys.executable, "-m", "ziglang", "cc")
        yield Compiler(command, "the package ziglang", identity_of((str(binary),)))


def _unfit(command: str, system: str) -> str | None:
    """Why what is named so cannot compile the loops, as far as the name tells."""
    name = re.split(r"[/\\]", command)[-1].lower().removesuffix(".exe")
    if name in ("cl", "clang-cl"):
        return "it has not the vectors and options of GCC and Clang, in which the loops are written"
    if system == "win32" and re.fullmatch(r"(.*-)?(cc|gcc)(-[\d.]+)?", name):
        return "on Windows, GCC keeps wide vectors on its stack where they are not aligned"
    return None


def _words(command: str) -> list[str]:
    """What $CC says, such as "ccache gcc"; a path with spaces is one word if it is there."""
    if _which(command) is not None:
        return [command]
    try:
        return shlex.split(command)
    except ValueError:  # a quotation mark without its partner
        return [command]


def _which(name: str) -> str | None:
    """The file that this command runs, from wherever it is called."""
    found = shutil.which(name)
    return os.path.abspath(found) if found is not None else None


def identity_of(words: tuple[str, ...]) -> str:
    """The words, and path, size and time of every file that they name."""
    parts = [*words]
    for word in words:
        found = _which(word)
        if found is not None:
            real = os.path.realpath(found)
            status = os.stat(real)
            parts.append(f"{real} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(parts)


def _call(command: list[str], folder: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command to its end; if we are interrupted, it and all that it started end too."""
    import subprocess

    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            said, _ = process.communicate()
        except BaseException:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise
    return process.returncode, said.decode(errors="replace")


def _first_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    shown = [f"    {line}" for line in lines[:_SHOWN_LINES]] or ["    (it said nothing)"]
    if len(lines) > _SHOWN_LINES:
        shown.append(f"    ... and {len(lines) - _SHOWN_LINES} more lines")
    return "\n".join(shown)
