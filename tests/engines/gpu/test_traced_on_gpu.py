"""The loops of a GPU inside models that `torch.compile` and `torch.export` trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import cello
from cello.engines import EngineWarning, choose
from cello.engines.fused.op import operators
from cello.engines.gpu import trust
from cello.engines.gpu.expressions import EXPRESSIONS
from tests.engines.cpu.test_traced import Traced
from tests.registry import I, make

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")

FORWARD, BACKWARD = operators._op_forward, operators._op_backward


@pytest.fixture
def as_on_a_card(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Triton's interpreter in the place of a GPU: "auto" takes it after a check."""
    if device.type == "cpu":
        monkeypatch.setitem(choose.FUSED, "cpu", "gpu")
        monkeypatch.setattr(trust, "CHECKED", {"cpu"})
    monkeypatch.setattr(choose, "_warned", set())
    return device


def outcome(model: Any, layer: cello.Recurrent, x: torch.Tensor, **more: Any) -> list[Any]:
    y, state = model(x, **more)
    loss = y.square().sum() + sum(part.sin().sum() for part in state)
    return [y, *state, *torch.autograd.grad(loss, [x, *layer.parameters()])]


def made(name: str, device: torch.device) -> tuple[cello.Recurrent, torch.Tensor]:
    layer = cello.Recurrent(make(name, torch.float32).to(device))
    return layer, torch.randn(4, 3, I, device=device, requires_grad=True)


@pytest.mark.parametrize(
    "more", [{}, {"lengths": torch.tensor([2, 4, 1])}], ids=["even", "lengths"]
)
def test_one_graph_with_the_loops_in_it(more: dict[str, Any], as_on_a_card: torch.device) -> None:
    layer, x = made("lstm", as_on_a_card)
    with cello.engine("reference"):
        expected = outcome(layer, layer, x, **more)
    traced = Traced(layer)
    torch.testing.assert_close(outcome(traced, layer, x, **more), expected, rtol=1e-4, atol=1e-4)
    assert (traced.calls.count(FORWARD), traced.calls.count(BACKWARD)) == (1, 1)


def test_what_differs_from_the_step_is_left(
    as_on_a_card: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is traced, and a warning says why."""
    layer, x = made("gru", as_on_a_card)
    with cello.engine("reference"):
        expected = outcome(layer, layer, x)
    monkeypatch.setitem(EXPRESSIONS, "tanh", f"1.01 * ({EXPRESSIONS['tanh']})")
    traced = Traced(layer)
    with pytest.warns(EngineWarning, match="differ from the step by"):
        found = outcome(traced, layer, x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert FORWARD not in traced.calls


def test_an_exported_model_has_the_loop_where_it_was_asked_for(
    as_on_a_card: torch.device, tmp_path: Path
) -> None:
    """Nobody has checked the card on which it will run: by itself, it has the step."""
    layer, x = made("gru", as_on_a_card)
    by_itself = torch.export.export(layer, (x.detach(),))
    assert FORWARD not in [node.target for node in by_itself.graph.nodes]
    asked = cello.Recurrent(layer.cell, engine="gpu")
    exported = torch.export.export(asked, (x.detach(),))
    assert [node.target for node in exported.graph.nodes].count(
        torch.ops.cello.forward.default
    ) == 1
    torch.export.save(exported, tmp_path / "model.pt2")
    again = torch.export.load(tmp_path / "model.pt2").module()
    with cello.engine("reference"):
        torch.testing.assert_close(again(x.detach())[0], layer(x)[0])
