from __future__ import annotations

import os
import pickle
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import cello
from cello.cli import COMMANDS, cli
from cello.cli.command import Command, Group
from cello.errors import ArgumentError, CelloError, DtypeError, EngineError, TrainingError
from tests.cli.running import ENVIRONMENT, process, run


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command, and every command of a group, by what a user types."""
    groups: list[tuple[str, Group]] = [("cello", cli)]
    while groups:
        path, group = groups.pop()
        yield path, group
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, Group):
                groups.append((f"{path} {name}", command))
            else:
                yield f"{path} {name}", command


ALL = dict(all_commands())
GROUPS = ("cello train", "cello tune")


# ------------------------------------------------------------ help


def test_the_commands():
    assert [path for path in ALL if path.count(" ") == 1 and path not in GROUPS] == [
        f"cello {name}"
        for names in COMMANDS.values()
        for name in names
        if f"cello {name}" not in GROUPS
    ]
    assert "cello train tag" in ALL
    assert "cello train chars" in ALL


@pytest.mark.parametrize("path", ALL)
def test_every_command_is_described_and_has_an_example(path: str):
    command = ALL[path]
    assert (command.help or "").strip()
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert all((option.help or "").strip() for option in options)
    text = run(*path.split()[1:], "--help").stdout
    example, own = (part.splitlines() for part in of_help(text))
    assert example, f"{path} --help has no example"
    assert all(line.startswith(("  cello ", "  echo ", "  printf ")) for line in example + own)
    if isinstance(command, Command):
        for lines in filter(None, (example, own)):
            assert any(f" {path} " in f"{line} " for line in lines)


def of_help(text: str) -> tuple[str, str]:
    """The lines of the example at the end of a help, and of that with files of one's own."""
    example, _, own = text.partition("\nExample:\n")[2].partition("\n\nWith files of your own:\n")
    return example, own


def words_of(line: str) -> tuple[list[str], str | None]:
    """The words of a line of an example, and what is piped into it."""
    told, pipe, command = line.rpartition(" | ")
    words = shlex.split(command.partition(" > ")[0])
    return words, shlex.split(told)[1] + "\n" if pipe else None


def words_of_examples() -> list[tuple[str, list[str]]]:
    return [
        (path, words_of(line)[0])
        for path, command in ALL.items()
        for line in (*command.example, *command.own)  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize(("path", "words"), words_of_examples())
def test_every_example_can_be_typed(path: str, words: list[str]):
    """Its words are a command and options that exist (nothing is run)."""
    command: click.Command = cli
    rest = words[1:]
    while isinstance(command, Group):
        inner = command.get_command(click.Context(command), rest.pop(0))
        assert inner is not None, words
        command = inner
    with command.make_context(words[-1], rest):
        pass


#: What the tests give in place of what takes longer, by the folder that it would write.
TRAINED = {"model": "kinds_model", "writer": "chars_model"}


@pytest.mark.parametrize("path", [path for path in ALL if isinstance(ALL[path], Command)])
def test_every_example_can_be_pasted(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    """Into an empty folder, line by line. What trains or waits is not run (see above)."""
    monkeypatch.chdir(tmp_path)
    for line in ALL[path].example:  # type: ignore[attr-defined]
        words, piped = words_of(line)
        if words[1] == "train" and words[-1] in TRAINED:
            shutil.copytree(request.getfixturevalue(TRAINED[words[-1]]), words[-1])
        elif words[1] not in ("train", "tune", "demo", "explore"):
            run(*words[1:], stdin=piped)


def test_without_words_there_is_help():
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2
    assert "Usage: cello" in result.output
    assert "example" in result.output


def test_the_version():
    assert run("--version").stdout == f"cello, version {cello.__version__}\n"


def test_the_help_of_cello_loads_no_command_that_is_heavy():
    code = "import sys\nfrom cello.cli import cli\ntry: cli.main(['--help'])\n"
    code += "except SystemExit: pass\n"
    heavy = "print('HEAVY', *sorted({'lightning_fabric', 'rich', 'sklearn'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code + heavy], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert result.stderr == ""
    assert result.stdout.endswith("HEAVY\n")


# ------------------------------------------------------------ errors and exit codes


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Let `cello info` raise what the test wants."""

    def fail_with(error: BaseException) -> None:
        def info(self, ctx, name):
            @click.command(name)
            def command() -> None:
                raise error

            return command

        monkeypatch.setattr(Group, "get_command", info)

    return fail_with


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (cello.errors.DataError("a.txt:3: bad"), 2, "cello: error: a.txt:3: bad"),
        (cello.errors.ModelError("no\nmodel"), 2, "cello: error: no model"),
        (cello.errors.ShapeError("shape"), 2, "cello: error: shape"),
        (cello.errors.UnknownNameError("'x'"), 2, "cello: error: 'x'"),
        (TrainingError("disk full"), 1, "cello: error: disk full"),
        (EngineError("no engine"), 1, "cello: error: no engine"),
        (CelloError("needs a package"), 1, "cello: error: needs a package"),
        (OSError(5, "Input/output error"), 1, "cello: error: [Errno 5] Input/output error"),
        (
            ModuleNotFoundError("No module named 'lightning_fabric'", name="lightning_fabric"),
            1,
            "cello: error: this needs the package lightning_fabric: pip install 'cello[train]'",
        ),
        (
            ZeroDivisionError("division by zero"),
            1,
            "cello: error: ZeroDivisionError: division by zero "
            "(a fault of Cello; --debug shows where)",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
            1,
            "cello: error: out of memory (DefaultCPUAllocator: can't allocate memory: you tried 9 "
            "bytes): try smaller sizes or batches",
        ),
        (MemoryError(), 1, "cello: error: out of memory: try smaller sizes or batches"),
        (KeyboardInterrupt(), 130, "cello: stopped"),
        (click.Abort(), 130, "cello: stopped"),
    ],
)
def test_errors_are_one_line(error, code: int, line: str, failing):
    failing(error)
    result = CliRunner().invoke(cli, ["info"])
    assert (result.exit_code, result.stderr, result.stdout) == (code, line + "\n", "")


@pytest.mark.parametrize("how", [["--debug", "info"], ["info", "--debug"], ["info"]])
def test_debug_shows_where(how: list[str], failing):
    failing(cello.errors.DataError("bad"))
    env = {} if "--debug" in how else {"CELLO_DEBUG": "1"}
    result = CliRunner().invoke(cli, how, env=env)
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("cello: error: bad\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nonsense"], "cello: error: No such command 'nonsense'; see cello --help"),
        (["run"], "cello: error: Missing argument 'FILE'; see cello run --help"),
        (["info", "--nonsense"], "cello: error: No such option"),
        (["train", "tag"], "cello: error: Missing option '-o' / '--output'; see cello train tag"),
        (["train", "knit"], "cello: error: No such command 'knit'; see cello train --help"),
    ],
)
def test_wrong_usage(words: list[str], line: str):
    assert run(*words, code=2).stderr.startswith(line)


# ------------------------------------------------------------ as a process


def test_as_a_module():
    result = process("example", "elman", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    result = process("run", "nowhere.toml")
    assert result.returncode == 2
    assert result.stderr == "cello: error: nowhere.toml: No such file or directory\n"


def test_a_reader_that_has_seen_enough():
    command = [sys.executable, "-m", "cello", "example"]
    writer = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()  # before anything is written
    errors = writer.stderr.read()
    writer.stderr.close()
    assert (writer.wait(), errors) == (0, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="the shell and /dev/full of Linux")
@pytest.mark.parametrize(
    ("redirect", "code", "errors"),
    [
        (">&-", 0, ""),
        (
            ">/dev/full",
            1,
            "cello: error: [Errno 28] standard output cannot be written: No space left on device\n",
        ),
        (">/dev/full 2>/dev/full", 1, ""),
    ],
)
def test_output_that_cannot_be_written(redirect: str, code: int, errors: str):
    command = f"{sys.executable} -m cello example lstm {redirect}"
    result = subprocess.run(command, shell=True, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (code, errors)


def test_colours_for_a_reader_that_has_seen_enough(monkeypatch: pytest.MonkeyPatch):
    from cello.cli.output import rich_output

    console = rich_output()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as file:
        console.file = file
        with pytest.raises(BrokenPipeError):
            console.print("text")
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), file.fileno())


def test_warnings_are_one_line():
    program = (
        "import warnings, click\n"
        "from cello.cli import cli\n"
        "from cello.cli.command import Group\n"
        "warned = click.command('info')(lambda: warnings.warn('mind\\nthis'))\n"
        "Group.get_command = lambda *_: warned\n"
        "cli.main(['info'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**ENVIRONMENT, "PYTHONWARNINGS": "default"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "cello: warning: mind this\n")


def test_a_terminal_without_our_signs():
    result = subprocess.run(
        [sys.executable, "-m", "cello", "example", "elman"],
        env={**ENVIRONMENT, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        encoding="latin-1",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "16 16 \\u2713" in result.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("cello sh", "show"),
        ("cello train ta", "tag"),
        ("cello example lstm-", "lstm-nine"),
        ("cello train chars --network g", "gru"),
        ("cello show mo", "file"),  # then the shell completes names of folders and files
    ],
)
def test_a_shell_can_complete_words(words: str, completed: str):
    result = subprocess.run(
        [sys.executable, "-m", "cello"],
        env={
            **ENVIRONMENT,
            "_CELLO_COMPLETE": "zsh_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert completed in result.stdout.split()


def test_the_console_script_calls_main(monkeypatch: pytest.MonkeyPatch):
    from cello.cli import main

    monkeypatch.setattr(sys, "argv", ["cello", "--version"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ArgumentError("must be smaller", argument="hidden_size"), "--hidden-size must be smaller"),
        (DtypeError("is no number", argument="hidden_size"), "--hidden-size is no number"),
        (ArgumentError("hidden_size must be smaller"), "hidden_size must be smaller"),
        (ArgumentError("must be a folder", argument="folder"), "folder must be a folder"),
    ],
)
def test_an_error_calls_an_argument_as_its_option(error: ArgumentError, line: str):
    """What names no argument is left as it is, whatever its message begins with."""

    @click.command(cls=Command, example="fails")
    @click.option("-s", "--hidden-size")
    @click.argument("folder", default="")
    def fails(**_: object) -> None:
        raise pickle.loads(pickle.dumps(error))  # as it comes from another process

    with pytest.raises(ArgumentError) as caught:
        fails.main([], standalone_mode=False)
    assert str(caught.value) == line
