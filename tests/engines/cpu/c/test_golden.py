"""The C of two cells, without what all files share, as it was when somebody last looked at it.

A change of the renderer shows here as a change of C that can be read. If it is meant, write the
files anew, and look at what `git diff tests/engines/cpu/c/golden` says before you commit them:

    python -m tests.engines.cpu.c.test_golden
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines.cpu import source

FOLDER = Path(__file__).with_name("golden")
I, H = 3, 5  # noqa: E741 - the sizes that the equations name so


class LeakyCell(cello.Cell):
    """A user's cell: h' = (1 - a) h + a tanh(W x + R h + b), a rate `a` for each unit."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, H)
        self.R = nn.Linear(H, H, bias=False)
        self.rate = nn.Parameter(torch.zeros(H))

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a = torch.sigmoid(self.rate)
        g = torch.tanh(self.W(x) + self.R(h))
        h = (1 - a) * h + a * g
        return h, (h,)


CELLS: dict[str, Callable[[], cello.Cell]] = {
    "lstm": lambda: cello.LSTMCell(I, H),
    "leaky": LeakyCell,
}
FILES = [f"{name}_{loop}.c" for name in CELLS for loop in ("forward", "backward")]


def text(file: str) -> str:
    name, loop = file.removesuffix(".c").rsplit("_", 1)
    return source(CELLS[name](), backward=loop == "backward")


@pytest.mark.parametrize("file", FILES)
def test_the_c_is_what_it_was(file: str) -> None:
    assert text(file) == (FOLDER / file).read_text(encoding="utf-8"), (
        "the C has changed: if that is meant, run python -m tests.engines.cpu.c.test_golden"
    )


def test_there_are_no_other_files() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file in FILES:
        (FOLDER / file).write_text(text(file), encoding="utf-8")
