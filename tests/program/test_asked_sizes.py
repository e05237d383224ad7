"""A step that asks how many rows it has, and does something else for some numbers of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import cello
from cello.program import program_of

QUESTIONS: dict[str, Callable[[Tensor, Tensor], bool]] = {
    "len": lambda x, h: len(x) == 4,
    "shape": lambda x, h: x.shape[0] > 5,
    "size": lambda x, h: h.size(0) % 5 == 0,
    "numel": lambda x, h: torch.tanh(h).numel() == 12,
    "a function's": lambda x, h: 4 in torch.cat((x, h), 1).size(),
}


class Asking(cello.Cell):
    """h' = tanh(x + h / 2), or twice that for some numbers of rows."""

    state = ("h",)

    def __init__(self, question: Callable[[Tensor, Tensor], bool]) -> None:
        super().__init__(3, 3)
        self.question = question

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(x + h / 2)
        if self.question(x, h):
            h = 2 * h
        return h, (h,)


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_what_it_does_for_each_number_of_rows_is_seen(name: str) -> None:
    layer = cello.Recurrent(Asking(QUESTIONS[name]))
    for rows in (7, 4, 6, 5, 4, 6):
        x = torch.randn(3, rows, 3)
        for lengths in (None, torch.arange(rows) % 3 + 1):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", cello.EngineWarning)
                found, _ = layer(x, lengths=lengths)
            with cello.engine("reference"):
                expected, _ = layer(x, lengths=lengths)
            torch.testing.assert_close(found, expected)


def test_a_stepper_sees_it() -> None:
    layer, x = cello.Recurrent(Asking(QUESTIONS["len"])), torch.randn(4, 3)
    for engine in ("auto", "reference"):
        with cello.engine(engine):
            y = layer.stream(4)(x)
        torch.testing.assert_close(y, 2 * torch.tanh(x))


def test_the_refusal_names_the_line() -> None:
    layer = cello.Recurrent(Asking(QUESTIONS["len"]), engine="cpu")
    layer(torch.zeros(2, 7, 3))
    for _ in range(2):
        with pytest.raises(cello.errors.EngineError, match=r"depends on the batch size"):
            layer(torch.zeros(2, 4, 3))


def test_who_asks_only_to_make_a_tensor_has_one_program_for_all() -> None:
    class Ones(cello.Cell):
        state = ("h",)

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            h = torch.tanh(x + h) + torch.ones(x.shape[0], 3)
            return h, (h,)

    cell, cpu = Ones(3, 3), torch.device("cpu")
    programs = [program_of(cell, torch.float32, cpu, rows=(rows,)) for rows in (2, 4, 6, 4)]
    assert all(program is programs[0] for program in programs)
    assert {4, 6} <= set(programs[0].tried)
    assert not program_of(cello.GRUCell(3, 3), torch.float32, cpu).asks_size
