"""Programs as text: any process makes the same loops of it."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

import cello
from cello.engines.cpu.engine import CpuPlan, cpu_plan
from cello.engines.fused.plan import plan_by_name
from cello.errors import EngineError
from cello.program import capture, from_text, to_text
from tests.registry import NOT_FUSED, ROW_WISE, make


def sources(plan: CpuPlan) -> list[str]:
    needed = frozenset(value.name for value in plan.shared)
    backward = plan.backward(names=(), seen=(), x=True, needed=needed)
    return [loop.rendered.source for loop in (plan.forward(save=True), backward)]


@pytest.mark.parametrize("name", [n for n in ROW_WISE if n not in NOT_FUSED])
def test_the_same_loops_come_out(name: str) -> None:
    cell = make(name)
    program = capture(cell, dtype=torch.float64)
    plan = cpu_plan(program, cell.feedback)
    again, feedback = from_text(to_text(program, cell.feedback))
    assert (str(again), feedback) == (str(program), cell.feedback)
    assert sources(cpu_plan(again, feedback)) == sources(plan)


class Mirrored(cello.Cell):
    """Takes its features by a list of numbers."""

    state = ("h",)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(x[:, [2, 0, 1]] + h)
        return h, (h,)


def test_the_numbers_of_features_are_part_of_it() -> None:
    program = capture(Mirrored(3, 3))
    again, _ = from_text(to_text(program, None))
    found = sources(cpu_plan(again, None))
    assert found == sources(cpu_plan(program, None))
    assert "{2, 0, 1}" in found[0]


def changed(**parts: object) -> str:
    text = to_text(capture(cello.ElmanCell(3, 2)), None)
    return json.dumps(json.loads(text) | parts)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "Expecting value"),
        (changed(cello=2), "it has form 2, this is form 1"),
        (changed(cell="a */ int x; /*"), "'a \\*/ int x; /\\*' is no name"),
        (changed(state=[["h h", "h_prev"]]), "'h h' is no name"),
        (changed(values=[["x;", [], {"dtype": "float32"}]]), "'x;' is no name"),
        (changed(values=[["x", [], {"dtype": "nn"}]]), "'nn' is no dtype"),
        (changed(ops=[["os.system.default", [], {}, [], False, True]]), "none of PyTorch's"),
        (changed(ops=[["aten.nosuch.default", [], {}, [], False, True]]), "nosuch"),
        (changed(output="q"), "'q'"),
    ],
)
def test_what_cannot_be_read(text: str, reason: str) -> None:
    with pytest.raises(EngineError, match=f"export the model again.*{reason}"):
        from_text(text)


def test_a_name_that_this_process_has_not_given() -> None:
    with pytest.raises(EngineError, match="under the name 99999999 in this process"):
        plan_by_name("99999999")
