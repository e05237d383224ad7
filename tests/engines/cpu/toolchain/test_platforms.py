"""macOS and Windows: what can be tried of them elsewhere. Nothing here has run on either."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

import cello
from cello.engines.cpu.toolchain.compiler import Compiler, candidates, flags, tuned_for
from cello.errors import CompilerError
from tests.engines.cpu.conftest import builder, cache, executable

POOL = files("cello.engines.cpu.c").joinpath("pool.c").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def loops() -> list[str]:
    layer = cello.Recurrent(cello.LSTMCell(3, 5))
    return [layer.source(whole=True, backward=backward) for backward in (False, True)]


@pytest.mark.parametrize("target", ["x86_64-windows-gnu", "aarch64-macos", "x86_64-macos"])
def test_the_c_is_c_for_other_systems_too(target: str, loops: list[str], tmp_path: Path):
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-Wall", "-Werror"]
    ours = [flag for flag in flags(tuned=False) if flag not in ("-shared", "-O2")]
    path = tmp_path / "file.c"
    for text in (POOL, *loops):
        path.write_text(text, encoding="utf-8")
        command = [*zig, *ours, "-c", path]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_whole_numbers_have_64_bits_on_windows_too(loops: list[str], tmp_path: Path):
    check = '_Static_assert(sizeof(long) == 8 && sizeof(1L) == 4, "on Windows");\n'
    path = tmp_path / "loop.c"
    path.write_text(loops[0] + check)
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-windows-gnu"]
    subprocess.run([*zig, "-c", path], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("system", "machine", "said"),
    [
        ("linux", "x86_64", ("-march=native", "-mprefer-vector-width=512")),
        ("win32", "AMD64", ("-march=native", "-mprefer-vector-width=512")),
        ("linux", "aarch64", ("-mcpu=native",)),
        ("darwin", "arm64", ("-mcpu=apple-m1",)),
    ],
)
def test_for_which_processor(system: str, machine: str, said: tuple[str, ...]):
    assert tuned_for(system, machine) == said


# ------------------------------------------------------------ compilers


def test_a_compiler_that_does_not_know_the_processor_is_asked_without(
    folder: Path, real_compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    word = flags()[2]
    script = f"""for word in "$@"; do if [ "$word" = {word} ]; then
      echo "error: unsupported argument 'native' to option '-mcpu='"; exit 1
    fi; done; exec {real_compiler} "$@" """
    monkeypatch.setenv("CC", str(executable(tmp_path / "older" / "cc", script)))
    assert builder.compiler().flags == flags(tuned=False)
    assert builder.build("loop", "int answer(void) { return 42; }\n").answer() == 42


def test_microsofts_compiler_is_refused_with_a_word(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("cl", "CL.EXE", "clang-cl"):
        monkeypatch.setenv("CC", str(executable(tmp_path / "msvc" / name, "")))
        with pytest.raises(CompilerError, match=r"'.*(?i:cl)(\.EXE)?': it has not the vectors"):
            builder.compiler()


def test_on_windows_clang_and_zig_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("cc", "gcc", "clang"):
        executable(tmp_path / "bin" / name, "")
    windows = SimpleNamespace(platform="win32", executable=sys.executable)
    monkeypatch.setattr("cello.engines.cpu.toolchain.compiler.sys", windows)
    assert [Path(found.command[0]).name for found in candidates()][:1] == ["clang"]
    assert [found.place for found in candidates()] == ["on the PATH", "the package ziglang"]
    gcc = executable(tmp_path / "bin" / "x86_64-w64-mingw32-gcc", "")
    monkeypatch.setenv("CC", str(gcc))
    with pytest.raises(CompilerError, match="on Windows, GCC keeps wide vectors on its stack"):
        list(candidates())


# ------------------------------------------------------------ files


def test_a_library_that_another_process_has_loaded_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """On Windows it cannot be replaced, and need not be."""
    compiler = Compiler(("cc",), "from a test", "")
    cache.store(tmp_path, "loop", b"theirs", compiler)
    replace = cache.files.replace

    def loaded(path: Path, data: bytes, **options: bool) -> None:
        if path.suffix != ".json":
            raise PermissionError(13, "Access is denied", str(path))
        replace(path, data, **options)

    monkeypatch.setattr(cache.files, "replace", loaded)
    assert cache.store(tmp_path, "loop", b"ours", compiler).read_bytes() == b"theirs"
    with pytest.raises(PermissionError):
        cache.store(tmp_path, "another", b"ours", compiler)
