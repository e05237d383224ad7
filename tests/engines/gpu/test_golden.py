"""The Triton of a user's cell, as it was when somebody last looked at it.

As for the C, see tests/engines/cpu/c/test_golden.py. If a change is meant, write the files anew:

    python -m tests.engines.gpu.test_golden
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cello.engines.gpu import source
from tests.engines.cpu.c.test_golden import LeakyCell

FOLDER = Path(__file__).with_name("golden")
FILES = [f"leaky_{loop}.triton" for loop in ("backward", "forward")]


def text(file: str) -> str:
    return source(LeakyCell(), backward="backward" in file)


@pytest.mark.parametrize("file", FILES)
def test_the_triton_is_what_it_was(file: str) -> None:
    assert text(file) == (FOLDER / file).read_text(encoding="utf-8"), (
        "the Triton has changed: if that is meant, run python -m tests.engines.gpu.test_golden"
    )


def test_there_are_no_other_files() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == FILES


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file in FILES:
        (FOLDER / file).write_text(text(file), encoding="utf-8")
