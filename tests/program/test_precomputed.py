"""What a loop has no form for, but needs no state, runs ahead of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import cello
from cello.engines.cpu.engine import cpu_plan
from cello.program import capture
from cello.program.precomputed import ahead_of


class Turning(cello.Cell):
    """Complex numbers made of the input alone, with parameters and a whole number."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__({"value": 3, "word": "integer"}, 4)
        self.W, self.R = nn.Linear(3, 4), nn.Linear(4, 4)
        self.table = nn.Embedding(5, 4)

    def step(self, x: dict[str, Tensor], h: Tensor) -> Any:
        turned = self.W(x["value"]) * (1 + 2j) + 1j
        size = turned.abs()
        h = torch.tanh(size + self.R(h) + self.table(x["word"]) * size)
        return h + size, (h,)


def given() -> dict[str, Tensor]:
    torch.manual_seed(2)
    return {"value": torch.randn(6, 3, 3).double(), "word": torch.randint(0, 5, (6, 3))}


def test_results_and_gradients_are_those_of_the_step() -> None:
    layer, x = cello.Recurrent(Turning().double(), initial_state="learned"), given()
    x["value"].requires_grad_()
    found = []
    for engine in ("reference", "cpu"):
        for more in (
            {},
            {"lengths": [6, 1, 3]},
            {"reset": torch.arange(18).reshape(6, 3) % 4 == 1},
        ):
            with cello.engine(engine):
                y, state = layer(x, **more)
            loss = y.square().sum() + state.h.sum()
            leaves = [x["value"], *layer.parameters()]
            found.append([y, state.h, *torch.autograd.grad(loss, leaves)])
    for ours, theirs in zip(found[3:], found[:3], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_recordings_and_steppers_have_it() -> None:
    layer, x = cello.Recurrent(Turning().double(), engine="cpu"), given()
    y, _ = layer(x)
    rec = cello.record(layer, x)
    assert rec["turned"].is_complex()
    torch.testing.assert_close(rec["size"], rec["turned"].abs())
    torch.testing.assert_close(rec.output, y)
    stepper = layer.stream(3)
    steps = [stepper({name: part[t] for name, part in x.items()}) for t in range(6)]
    torch.testing.assert_close(torch.stack(steps), y)


def test_what_needs_a_state_stays_in_the_loop() -> None:
    program = capture(Turning().double(), dtype=torch.float64)
    plan = cpu_plan(program, None)
    assert plan.ahead is not None
    assert {op.target._opname for op in plan.ahead.ops} >= {"abs", "addmm"}
    assert {op.target._opname for op in plan.program.ops} >= {"tanh", "addmm"}
    assert ahead_of(program, [op for op in program.ops if op.target._opname == "tanh"]) is None


class Words(cello.Cell):
    state = ("h",)

    def __init__(self, words: int) -> None:
        super().__init__("integer", 4)
        self.table = nn.Embedding(words, 4)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(h + self.table(x))
        return h, (h,)


def test_a_table_is_read_ahead_unless_the_loop_has_to_and_can() -> None:
    for words, inside in ((5, True), (100, False)):  # as many as a loop writes one by one, and more
        program = capture(Words(words))
        assert cpu_plan(program, None).ahead is not None
        assert (cpu_plan(program, None, whole=True).ahead is None) == inside
