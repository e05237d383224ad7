from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

import pytest

from cello.engines.cpu.toolchain.compiler import Compiler, candidates, flags
from cello.errors import CompilerError
from tests.engines.cpu.conftest import executable
from tests.patience import until

SOURCE = "int answer(void) { return 42; }\n"


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CC", raising=False)
    return folder


def without_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ziglang" else find(name)
    )


def commands() -> list[str]:
    return [shlex.join(compiler.command) for compiler in candidates()]


# ------------------------------------------------------------ search


def test_cc_comes_first_then_gcc_clang_and_zig(bin_folder: Path):
    for name in ("clang", "gcc", "cc"):
        executable(bin_folder / name, "")
    assert commands() == [
        *(str(bin_folder / name) for name in ("cc", "gcc", "clang")),
        shlex.join([sys.executable, "-m", "ziglang", "cc"]),
    ]


def test_what_has_two_names_is_tried_once(bin_folder: Path, monkeypatch: pytest.MonkeyPatch):
    without_zig(monkeypatch)
    executable(bin_folder / "gcc", "")
    (bin_folder / "cc").symlink_to("gcc")
    assert commands() == [str(bin_folder / "cc")]


def test_the_variable_cc_goes_before_all(bin_folder: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("cc", "other", "wrapper"):
        executable(bin_folder / name, "")
    monkeypatch.setenv("CC", "other")
    assert commands() == [str(bin_folder / "other")]
    monkeypatch.setenv("CC", " wrapper other -m64 ")
    assert commands() == [f"{bin_folder / 'wrapper'} other -m64"]
    monkeypatch.setenv("CC", "  ")
    assert commands()[0] == str(bin_folder / "cc")


def test_the_variable_cc_may_be_a_path(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    spaced = executable(tmp_path / "my tools" / "compiler", "")
    monkeypatch.setenv("CC", str(spaced))
    assert [compiler.command for compiler in candidates()] == [(str(spaced),)]
    # A compiler is called from another folder than the user's.
    monkeypatch.chdir(spaced.parent)
    monkeypatch.setenv("CC", "./compiler")
    assert [compiler.command for compiler in candidates()] == [(str(spaced),)]


@pytest.mark.parametrize("text", ["no-such-compiler -O2", "'no-such-compiler"])
def test_a_compiler_asked_for_that_is_not_there(
    text: str, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    executable(bin_folder / "cc", "")
    monkeypatch.setenv("CC", text)
    with pytest.raises(CompilerError, match=r"\$CC names .*no-such-compiler.*not there; correct"):
        list(candidates())


def test_another_compiler_has_another_identity(bin_folder: Path, monkeypatch: pytest.MonkeyPatch):
    def identity() -> str:
        return next(candidates()).identity

    cc = executable(bin_folder / "cc", "one")
    first = identity()
    assert identity() == first
    executable(cc, "another")
    os.utime(cc, (0, 0))
    second = identity()
    os.utime(cc, (0, 1))
    third = identity()
    executable(bin_folder / "wrapper", "")
    monkeypatch.setenv("CC", "wrapper cc")
    wrapped = identity()
    os.utime(cc, (0, 2))
    assert len({first, second, third, wrapped, identity()}) == 5


def test_exact_about_nan_and_infinity():
    assert not {"-ffast-math", "-Ofast", "-ffinite-math-only"} & set(flags())


# ------------------------------------------------------------ calls


def compile_with(script: str, tmp_path: Path) -> bytes:
    """Call a fake compiler; it gets what the real one would."""
    fake = executable(tmp_path / "fake compiler", script)
    source = tmp_path / "source.c"
    source.write_text(SOURCE)
    return Compiler((str(fake), "-w"), "from a test", "").compile(source)


def test_a_compiler_is_given_source_target_and_flags(tmp_path: Path):
    # Its last arguments are: source, -o, library, -lm, -lpthread.
    content = compile_with(
        'echo "$@" >&2; while [ $# -gt 3 ]; do shift; done; pwd > "$1"', tmp_path
    )
    folder = Path(content.decode().strip())
    assert folder.name.startswith("cello-")
    assert not folder.exists()


def test_what_a_failing_compiler_says_is_shown(tmp_path: Path):
    with pytest.raises(CompilerError) as caught:
        compile_with("echo 'source.c:1: error: no such luck'; echo 'more' >&2; exit 3", tmp_path)
    lines = str(caught.value).splitlines()
    fake = shlex.quote(str(tmp_path / "fake compiler"))
    source = tmp_path / "source.c"
    assert lines[:3] == [
        f"{fake} -w (from a test) could not compile {source}:",
        "    source.c:1: error: no such luck",
        "    more",
    ]
    assert lines[3].startswith(f"    The command was: {fake} -w -std=gnu11 -O2 ")
    assert f" {source} -o " in lines[3]


def test_of_a_long_message_the_first_lines_are_shown(tmp_path: Path):
    with pytest.raises(CompilerError, match=r"    line 12\n    \.\.\. and 28 more lines\n"):
        compile_with("for i in $(seq 40); do echo line $i; echo; done; exit 1", tmp_path)


def test_a_compiler_that_says_and_does_nothing(tmp_path: Path):
    with pytest.raises(CompilerError, match=r"could not compile .*\n    \(it said nothing\)"):
        compile_with("exit 0", tmp_path)


def test_a_compiler_that_is_no_program(tmp_path: Path):
    fake = executable(tmp_path / "fake", "")
    fake.write_text("neither a script nor a program")
    with pytest.raises(CompilerError, match=r"fake \(from a test\) cannot be run: .*format"):
        Compiler((str(fake),), "from a test", "").compile(tmp_path / "source.c")


def test_ctrl_c_ends_the_compiler_and_all_that_it_started(
    folder: Path, tmp_path: Path, interrupted: Path
):
    started = tmp_path / "started"
    script = f"sleep 600 & echo $$ $! > {started}; echo part > part; touch {interrupted}; wait"
    with pytest.raises(KeyboardInterrupt):
        compile_with(script, tmp_path)
    for number in map(int, started.read_text().split()):
        until(lambda number=number: has_ended(number))
    assert list(Path(os.environ["TMPDIR"]).iterdir()) == []


def has_ended(process: int) -> bool:
    """Whether the process is gone; one that nobody has waited for is."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True
