"""Which engine runs, what it says when it cannot, and when it steps aside."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import cello
from cello.engines import choose
from cello.errors import ArgumentError, EngineError
from tests.registry import BranchingCell, LeakyCell, make


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the engines that run, as they run."""
    names: list[str] = []
    for name, module in choose.ENGINES.items():
        original = module.run
        monkeypatch.setattr(
            module, "run", lambda run, n=name, o=original: (names.append(n), o(run))[1]
        )
    return names


def test_auto_takes_the_fastest(ran: list[str]) -> None:
    cello.Recurrent(make("lstm"))(torch.zeros(2, 1, 3, dtype=torch.float64))
    assert ran == ["cpu"]


def test_layer_and_block_choose(ran: list[str]) -> None:
    layer = cello.Recurrent(cello.GRUCell(3, 2), engine="reference")
    x = torch.zeros(2, 1, 3)
    layer(x)
    with cello.engine("split"):
        layer(x)
    layer(x)
    assert ran == ["reference", "split", "reference"]


def test_block_ends_after_an_error(ran: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), cello.engine("reference"):
        1 / 0  # noqa: B018
    cello.Recurrent(cello.GRUCell(3, 2))(torch.zeros(2, 1, 3))
    assert ran == ["cpu"]


def test_unknown_engine() -> None:
    known = "known are 'auto', 'cpu', 'split', 'reference', 'gpu'"
    with pytest.raises(ArgumentError, match=f"engine='tpu' is not an engine; {known}"):
        cello.Recurrent(cello.ElmanCell(3, 2), engine="tpu")
    with pytest.raises(ArgumentError, match="engine=3 is not an engine"), cello.engine(3):
        pass


def test_fallback_warns_once_and_names_the_line(ran: list[str]) -> None:
    choose._warned.clear()
    layer = cello.Recurrent(BranchingCell())
    x = torch.zeros(2, 1, 3)
    pattern = r"by the values in a tensor \(as `if`, .*registry\.py:\d+\)"
    with pytest.warns(cello.EngineWarning, match=pattern) as caught:
        layer(x)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x)
        cello.Recurrent(BranchingCell())(x)
    assert ran == ["reference"] * 3


def test_forcing_an_engine_that_cannot() -> None:
    layer = cello.Recurrent(BranchingCell(), engine="split")
    with pytest.raises(
        EngineError, match=r"engine 'split' cannot run BranchingCell: .*registry\.py"
    ):
        layer(torch.zeros(2, 1, 3))


def test_changed_cell_counts_from_the_next_call(ran: list[str]) -> None:
    cell = cello.ElmanCell(3, 2)
    layer, x = cello.Recurrent(cell), torch.randn(2, 1, 3)
    layer(x)
    cell.activation = "relu"
    with cello.engine("reference"):
        expected, _ = layer(x)
    torch.testing.assert_close(layer(x)[0], expected)
    with torch.no_grad():
        cell.W.mul_(2.0)
    assert not torch.allclose(layer(x)[0], expected)
    assert ran[-1] == "cpu"


SCALE = 1.0


class ScaledCell(cello.Cell):
    state = ("h",)

    def step(self, x, h):
        h = SCALE * x + h
        return h, (h,)


def test_changed_global_counts_from_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = cello.Recurrent(ScaledCell(2, 2))
    x = torch.ones(2, 1, 2)
    assert layer(x)[0][-1].tolist() == [[2.0, 2.0]]
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert layer(x)[0][-1].tolist() == [[6.0, 6.0]]


# PyTorch's own forward-mode formulas still use torch.jit.script.
jit = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@jit
def test_transforms_run_the_step_itself(ran: list[str]) -> None:
    layer = cello.Recurrent(LeakyCell())
    x = torch.randn(3, 5, 2, 3)
    batched = torch.vmap(lambda part: layer(part)[0])(x)
    expected = torch.stack([layer(part)[0] for part in x])
    torch.testing.assert_close(batched, expected)
    _, tangent = torch.func.jvp(lambda x: layer(x)[0], (x[0],), (torch.ones_like(x[0]),))
    step = 1e-3
    numeric = (layer(x[0] + step)[0] - layer(x[0] - step)[0]) / (2 * step)
    torch.testing.assert_close(tangent, numeric, rtol=1e-2, atol=1e-3)
    assert ran[0] == "reference"


@jit
def test_forward_mode(ran: list[str]) -> None:
    layer = cello.Recurrent(make("gru"))
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: layer(x)[0], (x.requires_grad_(),), check_forward_ad=True
    )


def test_autocast_runs_the_step_itself(ran: list[str]) -> None:
    layer = cello.Recurrent(cello.LSTMCell(3, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = layer(torch.randn(3, 2, 3))
    assert ran == ["reference"]
    assert y.isfinite().all()
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        cello.engine("split"),
        pytest.raises(EngineError, match="autocast is active"),
    ):
        layer(torch.randn(3, 2, 3))


def test_state_is_carried_under_autocast() -> None:
    net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 2)), cello.Recurrent(cello.LSTMCell(2, 2)))
    x = torch.randn(4, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, state = net(x[:2])
        y, _ = net(x[2:], state.detach())
    exact, _ = net(x)
    torch.testing.assert_close(y.float(), exact[2:], rtol=2e-2, atol=2e-2)


def test_dropout_draws_its_masks_before_the_loop() -> None:
    class Zoneout(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 50)
            self.W = nn.Linear(3, 50)

        def step(self, x, h):
            keep = nn.functional.dropout(torch.ones_like(h), 0.4, self.training)
            h = keep * torch.tanh(self.W(x)) + h
            return h, (h,)

    layer, x = cello.Recurrent(Zoneout()), torch.randn(40, 5, 3)
    rates = {}
    for engine in ("split", "reference"):
        with cello.engine(engine):
            rec = cello.record(layer, x)
        keep = rec["keep"]
        assert keep.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
        assert not torch.equal(keep[0], keep[1])  # a mask for each step
        expected = (keep * torch.tanh(layer.cell.W(x))).cumsum(0)
        torch.testing.assert_close(rec.output, expected)
        rates[engine] = float((keep > 0).float().mean())
    assert rates["split"] == pytest.approx(0.6, abs=0.02)
    assert rates["reference"] == pytest.approx(0.6, abs=0.02)
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
