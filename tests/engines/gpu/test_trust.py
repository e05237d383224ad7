"""Loops run on a card only once they have done there what the step does."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

import cello
from cello.engines import EngineWarning, choose
from cello.engines.gpu import trust
from cello.engines.gpu.expressions import EXPRESSIONS
from cello.errors import EngineError
from tests.registry import RANDOM

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")

LENGTHS = torch.tensor([3, 1, 2])


@pytest.fixture
def as_on_a_card(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """Triton's interpreter in the place of a GPU: "auto" takes it, and what checks find."""
    found, look = list[tuple[float, str]](), trust.difference

    def looked(*args: Any, **options: Any) -> tuple[float, str]:
        found.append(look(*args, **options))
        return found[-1]

    monkeypatch.setattr(trust, "difference", looked)
    if device.type == "cpu":
        monkeypatch.setitem(choose.FUSED, "cpu", "gpu")
        monkeypatch.setattr(trust, "CHECKED", {"cpu"})
    monkeypatch.setattr(choose, "_warned", set())
    return found


def made(cell: cello.Cell, device: torch.device) -> tuple[cello.Recurrent, torch.Tensor]:
    """A layer, and a sequence for it."""
    layer = cello.Recurrent(cell).to(device)
    return layer, torch.randn(4, 3, cell.input_size, device=device)


def trained(layer: cello.Recurrent, x: torch.Tensor) -> list[torch.Tensor]:
    """The outputs and every gradient."""
    y, _ = layer(x, lengths=LENGTHS)
    return [y, *torch.autograd.grad(y.square().sum(), layer.parameters())]


def test_what_equals_the_step_is_taken(
    as_on_a_card: list[tuple[float, str]], device: torch.device
) -> None:
    layer, x = made(cello.LSTMCell(3, 4), device)
    with cello.engine("reference"):
        expected = trained(layer, x)
    torch.testing.assert_close(trained(layer, x), expected)
    trained(layer, x)
    ((size, _),) = as_on_a_card  # looked at once
    assert size < 1e-5


@pytest.mark.parametrize("what", ["tanh", "sigmoid"])
def test_a_wrong_loop_is_not_taken(
    what: str, as_on_a_card: None, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = made(cello.GRUCell(3, 4), device)
    with cello.engine("reference"):
        expected = trained(layer, x)
    monkeypatch.setitem(EXPRESSIONS, what, f"1.01 * ({EXPRESSIONS[what]})")
    with pytest.warns(EngineWarning, match=r"differ from the step by 0\.0\d+ in .*explain 0\.0001"):
        found = trained(layer, x)
    torch.testing.assert_close(found, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        trained(layer, x)  # it is said once
    with pytest.raises(EngineError, match="its loops differ from the step by"):
        cello.Recurrent(layer.cell, engine="gpu")(x)


def test_a_wrong_gradient_is_not_taken(
    as_on_a_card: None, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is trained, it is of no matter."""
    monkeypatch.setitem(EXPRESSIONS, "sub", "0.99 * ({} - {})")  # of tanh's derivative
    layer, x = made(cello.ElmanCell(3, 4), device)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        with torch.no_grad():
            layer(x)
    with pytest.warns(EngineWarning, match="in the gradient of"):
        layer(x)


def test_a_loop_that_fails_is_not_taken(
    as_on_a_card: None, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Triton's compiler, or the driver, refuses it."""
    layer, x = made(cello.GRUCell(3, 4), device)
    with cello.engine("reference"):
        expected = trained(layer, x)
    monkeypatch.setitem(EXPRESSIONS, "tanh", "tl.nothing_of_that_name({})")
    with pytest.warns(EngineWarning, match="its loops fail: .*nothing_of_that_name"):
        found = trained(layer, x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", sorted(RANDOM)[:1])
def test_what_is_drawn_stays_as_it_was(
    name: str, as_on_a_card: list[tuple[float, str]], device: torch.device
) -> None:
    """The check draws numbers of its own."""
    layer, x = made(RANDOM[name]().float().train(), device)
    drawn = []
    for _ in range(2):  # the first call is checked, the second is not
        torch.manual_seed(1)
        drawn.append(layer(x)[0])
    assert torch.equal(*drawn)
    assert len(as_on_a_card) == 1
