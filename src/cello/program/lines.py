"""Where in the user's code something happens."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch

__all__ = ["blame", "in_function", "where_from"]

_NOT_THE_USERS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))

_apply: Any = torch.autograd.Function.apply


def where_from(frame: Any) -> str:
    """The line of the step that a call comes from: the nearest one outside PyTorch and here."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_THE_USERS):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown line"


def in_function(frame: Any) -> bool:
    """Whether a call comes from the forward of a `torch.autograd.Function`."""
    while frame is not None:
        if frame.f_code is _apply.__func__.__code__:
            return True
        frame = frame.f_back
    return False


def blame(error: BaseException) -> str:
    """The line of the user's code in which an error came up."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(_NOT_THE_USERS):
            return f"{frame.filename}:{frame.lineno}"
    return "unknown line"
