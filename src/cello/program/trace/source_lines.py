"""Where in the user's code something happens."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

__all__ = ["called_by_step", "caller_of_autograd_function", "line_of_error", "user_line"]

_CELLO = Path(__file__).parents[2]
_NOT_THE_USERS = (
    str(Path(torch.__file__).parent),
    *(str(_CELLO / room) for room in ("program", "engines", "layers")),
    str(_CELLO / "cells" / "contract"),
)
_STANDARD = sysconfig.get_path("stdlib")

# Where PyTorch passes on what somebody else has asked a tensor for.
_PASSING_ON = (torch._tensor.__file__, torch.overrides.__file__)


def user_line(frame: Any) -> str:
    """The line of the step that a call comes from: the nearest one outside PyTorch and here."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_THE_USERS) and not _is_standard(file):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown line"


def called_by_step(frame: Any) -> bool:
    """Whether what is called in `frame` is called by the step, not by PyTorch or from here."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file not in _PASSING_ON and not _is_standard(file):
            return not file.startswith(_NOT_THE_USERS)
        frame = frame.f_back
    return True


def _is_standard(file: str) -> bool:
    """Whether a file is of Python's standard library."""
    return file.startswith((_STANDARD, "<frozen")) and "-packages" not in file


def caller_of_autograd_function(frame: Any) -> Any:
    """What applies the `torch.autograd.Function` whose forward a call comes from; None if none."""
    forwards = set(_codes_of_forwards(torch.autograd.Function))  # `apply` may be C
    while frame is not None:
        if frame.f_code in forwards:
            return frame.f_back
        frame = frame.f_back
    return None


def _codes_of_forwards(kind: Any) -> Iterator[Any]:
    """The code of `forward` of all classes that are derived from one."""
    for derived in kind.__subclasses__():
        yield getattr(inspect.unwrap(derived.forward), "__code__", None)
        yield from _codes_of_forwards(derived)


def line_of_error(error: BaseException) -> str:
    """The line of the user's code in which an error came up."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(_NOT_THE_USERS) and not _is_standard(frame.filename):
            return f"{frame.filename}:{frame.lineno}"
    return "unknown line"
