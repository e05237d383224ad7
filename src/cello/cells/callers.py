"""Where a warning belongs: at the user's own line, not at ours or PyTorch's."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import typing_extensions

__all__ = ["users_level"]

_NOT_THE_USERS = (  # the last one wraps functions of PyTorch's that are deprecated
    str(Path(__file__).parents[1]),
    str(Path(torch.__file__).parent),
    str(typing_extensions.__file__),
)


def users_level() -> int:
    """How many calls up the user's own line is."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        level, frame = level + 1, frame.f_back
    return level
