from __future__ import annotations

import ctypes
import importlib.util
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cello.engines.cpu.toolchain.build import build, compiler
from cello.errors import CompilerError, EngineError
from tests.engines.cpu.conftest import (
    builder,
    cache,
    counting,
    executable,
    forget,
    in_fork,
)

ROOT = Path(__file__).resolve().parents[4]
NOBODY = 65534
posix = pytest.mark.skipif(os.name != "posix", reason="users, permissions and fork of POSIX")


def answer(number: int) -> int:
    """What a library made for this number says."""
    return build("answer", f"int answer(void) {{ return {number}; }}\n").answer()


def kept(folder: Path) -> list[str]:
    """What the cache folder holds, without the digests."""
    names = (path.name for path in folder.iterdir() if path.is_file())
    return sorted(re.sub(r"-[0-9a-f]{20}", "", name) for name in names)


WHOLE = [f"{name}{suffix}" for name in ("answer", "probe") for suffix in (".c", ".json", ".so")]

# ------------------------------------------------------------ building


def test_a_source_becomes_a_library(folder: Path):
    source = "#include <math.h>\ndouble root(double x) { return sqrt(x); }\n"
    root = build("root", source).root
    root.argtypes, root.restype = [ctypes.c_double], ctypes.c_double
    assert root(2.0) == 2.0**0.5
    (text,) = folder.glob("root-*.c")
    assert text.read_text() == source
    about = json.loads(text.with_suffix(".json").read_text())
    assert about["compiler"] == list(compiler().command)
    assert "-O2" in about["flags"]
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_nan_and_infinity_hold(folder: Path):
    source = """
    int is_nan(double x) { return x != x; }
    int is_infinite(double x) { return x - x != 0 && x == x; }
    double zero_times(double x) { return x * 0.0; }
    """
    library = build("special", source)
    one_double = [ctypes.c_double]
    library.is_nan.argtypes = library.is_infinite.argtypes = one_double
    library.zero_times.argtypes, library.zero_times.restype = one_double, ctypes.c_double
    values = [float("nan"), float("inf"), 1.0]
    assert [library.is_nan(value) for value in values] == [1, 0, 0]
    assert [library.is_infinite(value) for value in values] == [0, 1, 0]
    assert [library.is_nan(library.zero_times(value)) for value in values] == [1, 1, 0]


def test_what_is_loaded_is_loaded_once(folder: Path):
    source = "int count(void) { static int n; return ++n; }\n"
    assert [build("count", source).count() for _ in range(3)] == [1, 2, 3]


def test_the_disk_spares_the_compiler(
    folder: Path, tmp_path: Path, real_compiler: str, monkeypatch: pytest.MonkeyPatch
):
    calls = counting(tmp_path / "cc", real_compiler)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    assert answer(3) == 3
    assert calls() == 2  # the library, and the small one before it that tried the compiler
    forget(monkeypatch)
    assert answer(3) == 3
    assert calls() == 2
    os.utime(tmp_path / "cc", (0, 0))  # now it is another compiler
    forget(monkeypatch)
    assert answer(3) == 3
    assert calls() == 4


def test_the_folder_may_be_deleted_at_any_time(folder: Path):
    assert answer(4) == 4
    shutil.rmtree(folder)
    assert answer(4) == 4
    assert answer(5) == 5
    assert kept(folder) == WHOLE[:3]


@pytest.mark.slow  # at its first call zig builds parts of its own
def test_the_package_ziglang_is_a_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CC")
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert answer(6) == 6
    assert "ziglang" in str(compiler())
    assert kept(folder) == WHOLE
    assert (folder / "zig").is_dir()


# ------------------------------------------------------------ compilers that are not there or fail


def test_no_compiler(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (compiler, lambda: answer(7)):
        with pytest.raises(CompilerError, match=r"no C compiler was found: .*cello\[cc\]"):
            call()
    assert issubclass(CompilerError, EngineError)
    assert not folder.exists()


def test_a_compiler_that_does_not_work_leaves_it_to_the_next(
    folder: Path, tmp_path: Path, real_compiler: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CC")
    executable(tmp_path / "bin" / "cc", "echo no licence; exit 1")
    counting(tmp_path / "bin" / "gcc", real_compiler)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert answer(8) == 8
    assert compiler().command == (str(tmp_path / "bin" / "gcc"),)


def test_no_compiler_that_works(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CC")
    log = tmp_path / "log"
    executable(tmp_path / "bin" / "cc", f"echo called >> {log}; echo no licence; exit 1")
    executable(tmp_path / "bin" / "clang", "echo no headers; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for _ in range(2):
        with pytest.raises(CompilerError) as caught:
            compiler()
        message = str(caught.value)
        assert message.startswith("no C compiler works here:\n")
        assert message.index("no licence") < message.index("no headers")
        assert message.splitlines()[-1].startswith("To get one, install gcc")
    assert log.read_text() == "called\n"  # what failed is not tried at every call


def test_a_source_that_does_not_compile(folder: Path):
    with pytest.raises(CompilerError, match="could not compile") as caught:
        build("wrong", "int f(void) { return nobody; }\n")
    message = str(caught.value)
    (text,) = folder.glob("wrong-*.c")  # the compiler's message names it, so it is kept
    assert f"{text}:1:" in message
    assert "nobody" in message
    assert kept(folder) == [*WHOLE[3:], "wrong.c"]
    assert answer(9) == 9


def test_another_variable_cc_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert answer(10) == 10
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CompilerError, match="no-such-compiler"):
        compiler()


# ------------------------------------------------------------ damaged files


@posix
@pytest.mark.parametrize("suffix", [".so", ".json", ".c"])
def test_what_is_damaged_is_built_again(suffix: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert in_fork(lambda: answer(11)) == "11"  # a library once loaded would not be read again
    for path in folder.glob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert in_fork(lambda: answer(11)) == "11"
    monkeypatch.setattr(builder, "_make", None)  # what was mended is found
    assert answer(11) == 11


def test_a_library_that_the_system_cannot_load_is_built_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    assert in_fork(lambda: answer(12)) == "12"
    (library,) = folder.glob("answer-*.so")
    cache.store(folder, library.stem, b"whole, but of another system", compiler())
    assert answer(12) == 12


# ------------------------------------------------------------ threads and processes


def test_threads_that_want_the_same_build_it_once(
    folder: Path, tmp_path: Path, real_compiler: str, monkeypatch: pytest.MonkeyPatch
):
    calls = counting(tmp_path / "cc", real_compiler)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(answer, [23] * 8)) == [23] * 8
    assert calls() == 2


@posix
def test_a_forked_process_goes_on_with_what_is_loaded(folder: Path):
    assert answer(24) == 24
    held = builder._locks[next(entry for entry in builder._loaded if "answer" in entry)]
    with held:  # as by a thread that builds just then
        assert in_fork(lambda: [answer(24), answer(25)]) == "[24, 25]"
    builder._loaded.clear()
    with held:
        assert in_fork(lambda: answer(24)) == "24"


def test_a_spawned_process_loads_from_the_disk(
    folder: Path, tmp_path: Path, real_compiler: str, monkeypatch: pytest.MonkeyPatch
):
    calls = counting(tmp_path / "cc", real_compiler)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    assert answer(26) == 26
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(answer, [26]) == 26
    assert calls() == 2


@posix
def test_processes_that_build_at_once_all_succeed(folder: Path):
    ready = threading.Barrier(4)

    def one(_: int) -> str:
        ready.wait()
        return in_fork(lambda: [answer(number) for number in range(30, 33)])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == ["[30, 31, 32]"] * 4
    assert answer(30) == 30
    assert kept(folder) == sorted([*WHOLE, *WHOLE[:3] * 2])


# ------------------------------------------------------------ interruption, imports


def test_ctrl_c_leaves_nothing_half_written(
    folder: Path,
    tmp_path: Path,
    real_compiler: str,
    interrupted: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    interrupting = executable(
        tmp_path / "cc",
        f'case "$*" in *answer-*) echo part > part; touch {interrupted}; sleep 600;; esac\n'
        f'exec {real_compiler} "$@"',
    )
    monkeypatch.setenv("CC", str(interrupting))
    with pytest.raises(KeyboardInterrupt):
        answer(33)
    assert kept(folder) == ["answer.c", *WHOLE[3:]]
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
    interrupted.unlink()
    monkeypatch.setenv("CC", real_compiler)
    assert answer(33) == 33


FRESH = """
import os, sys, cello, cello.engines.cpu.toolchain.build, cello.engines.cpu.toolchain.cache as cache
print("called before:", os.path.exists(sys.argv[1]))
def build(number):
    source = f"int answer(void) {{ return {number}; }}\\n"
    return cello.engines.cpu.toolchain.build.build("answer", source).answer()
print(build(34), [path.exists() for path in cache._private], file=sys.stderr)
"""


def test_an_import_looks_for_nothing_and_the_end_leaves_nothing(
    folder: Path, tmp_path: Path, real_compiler: str, monkeypatch: pytest.MonkeyPatch
):
    calls = counting(tmp_path / "cc", real_compiler)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    folder.write_text("a file in its place")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    command = [sys.executable, "-W", "ignore", "-c", FRESH, str(tmp_path / "cc.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "called before: False\n"
    assert done.stderr == "34 [True]\n"
    assert calls() == 2
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
