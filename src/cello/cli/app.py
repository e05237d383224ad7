"""Running a command: errors become one line, and exit codes say what happened."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import click

from cello._version import __version__
from cello.cli.command import Group
from cello.errors import ArgumentError, CelloError, DataError, ModelError, UnknownNameError
from cello.streams import fill_standard_streams, lasting, named

__all__ = ["Commands"]

FAILED, BAD_INPUT, STOPPED = 1, 2, 130

#: What a user can put right in what was given; other errors are failures.
_INPUT_ERRORS = (ArgumentError, DataError, ModelError, UnknownNameError)


class Commands(Group):
    """The group of all commands."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        text = "Show where an error comes from (also CELLO_DEBUG=1)."
        self.params.append(click.Option(["--debug"], is_flag=True, help=text))
        click.version_option(__version__, prog_name="cello")(self)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run, print errors as one line, and exit with a code that says what happened."""
        if "_CELLO_COMPLETE" in os.environ:  # the shell asks how to complete a word
            return super().main(args, "cello")
        words = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in words or os.environ.get("CELLO_DEBUG", "0") not in ("", "0")
        words = [word for word in words if word != "--debug"]  # wherever it stands
        _prepare_streams()
        warnings.formatwarning = _warning_line
        try:
            # A copy, for click takes words away; commands may want to say how they were called.
            with self.make_context("cello", list(words), obj=tuple(words)) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()
            code = 0
        except BaseException as error:
            if debug and not isinstance(error, (click.ClickException, click.exceptions.Exit)):
                traceback.print_exc()
            code = _report(error)
        _let_go_of_output()
        sys.exit(code)


def _prepare_streams() -> None:
    """Make sure that no command ends before its work is done because its output is closed."""
    fill_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a sign gets \N{...} for it
            stream.reconfigure(errors="backslashreplace")
            # Files and pipes of Windows are in the code page of long ago, unless somebody says.
            asked = "PYTHONIOENCODING" in os.environ or stream.isatty()
            if sys.platform == "win32" and not asked:
                stream.reconfigure(encoding="utf-8")
    sys.stdout, sys.stderr = named(sys.stdout), lasting(sys.stderr)


def _let_go_of_output() -> None:
    """Write out standard output; if its reader is gone, Python must not try again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _warning_line(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"cello: warning: {' '.join(str(message).split())}\n"


def _report(error: BaseException) -> int:
    """Print what went wrong, and return the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case BrokenPipeError():
            return 0  # whoever read our output has seen enough
        case click.ClickException():
            return _report_usage(error)
        case KeyboardInterrupt() | click.Abort():
            _line(str(error) or "stopped")
            return getattr(error, "exit_code", STOPPED)
        case CelloError():
            _line(f"error: {error}")
            return BAD_INPUT if isinstance(error, _INPUT_ERRORS) else FAILED
        case OSError():
            _line(f"error: {error}")
            return FAILED
        case ModuleNotFoundError(name=str(package)) if not package.startswith("cello"):
            _line(f"error: this needs the package {package}: pip install 'cello[train]'")
            return FAILED
        case SystemExit():
            raise error
        case MemoryError() | RuntimeError() if _is_out_of_memory(error):
            about = f" ({error})" if str(error) else ""
            _line(f"error: out of memory{about}: try smaller sizes or batches")
            return FAILED
    _line(f"error: {type(error).__name__}: {error} (a fault of Cello; --debug shows where)")
    return FAILED


def _is_out_of_memory(error: BaseException) -> bool:
    """PyTorch has a class for it on GPUs, and only words on CPUs."""
    named = type(error).__name__ in ("MemoryError", "OutOfMemoryError")
    return named or "can't allocate memory" in str(error) or "not enough memory" in str(error)


def _report_usage(error: click.ClickException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # which click has from 8.2 on
        error.show()
        return BAD_INPUT
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    _line(f"error: {error.format_message().rstrip('.')}{hint}")
    return BAD_INPUT


def _line(text: str) -> None:
    click.echo(f"cello: {' '.join(text.split())}", err=True)
