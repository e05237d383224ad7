"""Which code runs a drop-in: the compiled engine, step by step, or PyTorch's own."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence

import cello
from cello.engines import ENGINES, choose
from cello.engines.cpu.dense import DenseLoop
from cello.engines.cpu.toolchain import build
from tests.layers.drop_in.test_drop_in import KINDS, flat, pair

kinds: Any = importlib.import_module("cello.layers.drop_in.kinds")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that ran, one entry for each cell; "torch" for PyTorch's own code."""
    made: list[str] = []

    def noted(name: str, function):
        return lambda *args: (made.append(name), function(*args))[1]

    for name, engine in ENGINES.items():
        monkeypatch.setattr(engine, "run", noted(name, engine.run))
    monkeypatch.setattr(DenseLoop, "__call__", noted("cpu", DenseLoop.__call__))
    for kind in KINDS:
        theirs = getattr(nn, kind)
        monkeypatch.setattr(theirs, "forward", noted("torch", theirs.forward))
    monkeypatch.setattr(choose, "_warned", set())
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_of_all_forms_run_on_the_compiled_engine(
    kind: str, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "_multiplies_bfloat16", lambda: False)
    layer = getattr(cello, kind)(3, 4, num_layers=2, bidirectional=True)
    x = torch.randn(5, 2, 3)
    packed = pack_padded_sequence(x, torch.tensor([3, 5]), enforce_sorted=False)
    reset = torch.rand(5, 2) < 0.5
    for run in (
        lambda: layer(x),
        lambda: layer(x[:, 0]),
        lambda: layer(packed),
        lambda: layer(x, lengths=[5, 0]),
        lambda: layer(x, reset=reset),
        lambda: layer.double()(x.double()),
        lambda: layer.bfloat16()(x.bfloat16()),
        lambda: cello.record(layer, x.bfloat16()),
    ):
        ran.clear()
        run()
        assert ran == ["cpu"] * 4


def test_where_the_processor_multiplies_bfloat16_torchs_lstm_is_faster(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "_multiplies_bfloat16", lambda: True)
    layer, x = cello.LSTM(3, 4).bfloat16(), torch.randn(5, 2, 3).bfloat16()
    expected = nn.LSTM.forward(layer, x)
    for run in (lambda: layer(x), lambda: cello.Stack(layer)(x)):
        ran.clear()
        assert all(map(torch.equal, flat(run()), flat(expected)))
        assert ran == ["torch"]
    projected = cello.LSTM(3, 4, proj_size=2).bfloat16()
    for run in (
        lambda: layer(x, lengths=[5, 0]),
        lambda: layer(pack_padded_sequence(x, torch.tensor([5, 3]))),
        lambda: cello.record(layer, x),
        lambda: projected(x),
        lambda: cello.GRU(3, 4).bfloat16()(x),
        lambda: layer.float()(x.float()),
    ):
        ran.clear()
        run()
        assert ran == ["cpu"]
    layer.bfloat16()
    with cello.engine("cpu"):
        ours, _ = layer(x)
    assert ran[-1] == "cpu"
    torch.testing.assert_close(ours, expected[0], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_cell_can_be_compiled_torchs_own_code_runs(
    kind: str, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = (layer.float() for layer in pair(kind, num_layers=2))
    x = torch.randn(5, 2, 3)
    lengths = torch.tensor([3, 5])
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    expected, by_lengths = theirs(x), theirs(packed)
    monkeypatch.setattr(build, "_choose", lambda: "there is no C compiler")
    monkeypatch.setattr(build, "_chosen", {})
    ran.clear()
    with pytest.warns(cello.EngineWarning, match="there is no C compiler"):
        assert all(map(torch.equal, flat(ours(x)), flat(expected)))
    assert all(map(torch.equal, flat(ours(packed)), flat(by_lengths)))  # it is said once
    y, state = ours(x, lengths=lengths)
    assert all(map(torch.equal, flat(state), flat(by_lengths[1])))
    torch.testing.assert_close(cello.Stack(ours)(x[:3, 0])[0], y[:3, 0])
    whole, _ = cello.Stack(ours, batch_first=True)(x.transpose(0, 1))
    torch.testing.assert_close(whole[1], y[:, 1])
    assert set(ran) == {"torch"}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(map(torch.equal, flat(ours(x)), flat(theirs(x))))


def test_on_another_device_nothing_is_said(ran: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = torch.zeros(5, 2, 3, device="meta")
        assert cello.GRU(3, 4, device="meta")(x)[0].shape == (5, 2, 4)
        assert ran == ["torch"]
        ran.clear()
        assert cello.Recurrent(cello.GRUCell(3, 4)).to("meta")(x)[0].shape == (5, 2, 4)
        assert ran == ["split"]


def test_a_dtype_that_no_loop_has_is_said_once(ran: list[str]) -> None:
    layer, x = cello.LSTM(3, 4).half(), torch.randn(5, 2, 3).half()
    with pytest.warns(cello.EngineWarning, match="not in torch.float16"):
        layer(x)
    layer(x)
    assert ran == ["torch", "torch"]


def test_what_a_subclass_overrides_of_torchs_forward_is_called(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "_warned", set())

    class Lenient(cello.GRU):
        """Takes a state of one row for all rows of the batch."""

        def permute_hidden(self, hx: Tensor, permutation: Tensor | None) -> Tensor:
            hx = hx.expand(-1, 2, -1).contiguous() if hx.shape[1] == 1 else hx
            return super().permute_hidden(hx, permutation)

    layer, x, hx = Lenient(3, 4), torch.randn(5, 2, 3), torch.randn(1, 1, 4)
    with pytest.warns(cello.EngineWarning, match="Lenient overrides permute_hidden"):
        y, _ = layer(x, hx)
    torch.testing.assert_close(y, cello.GRU.forward(layer, x, hx.expand(-1, 2, -1))[0])
    assert ran == ["torch", "torch"]
    ran.clear()
    assert cello.record(layer, x)["0.h"].shape == (5, 2, 4)
    assert ran == ["cpu"]


class Inner(cello.Cell):
    """Whose step calls layers of one kind: PyTorch's, or ours in their place."""

    state = ("h", "c", "g", "r")

    def __init__(self, layers: Any) -> None:
        sizes = {"h": (2, 4), "c": (2, 4), "g": (4,), "r": (4,)}
        super().__init__(3, 4, state_sizes=sizes)
        self.lstm = layers.LSTM(3, 4, num_layers=2)
        self.gru, self.rnn = layers.GRU(4, 4), layers.RNN(4, 4)

    def step(self, x: Tensor, h: Tensor, c: Tensor, g: Tensor, r: Tensor) -> Any:
        y, state = self.lstm(x[None], (h.transpose(0, 1), c.transpose(0, 1)))
        y, g = self.gru(y, g[None])
        y, r = self.rnn(y, r[None])
        return y[0], (*(part.transpose(0, 1) for part in state), g[0], r[0])


def test_inside_a_cell_they_are_part_of_its_step() -> None:
    theirs, ours = cello.Recurrent(Inner(nn)).double(), cello.Recurrent(Inner(cello)).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)

    def results(net: nn.Module, engine: str) -> list[Tensor]:
        with cello.engine(engine):  # "cpu" refuses a step that cannot be captured
            y, _ = net(x)
        return [y, *torch.autograd.grad(y.square().sum(), list(net.parameters()))]

    for again in (False, True):
        if again:  # other tensors in the place of the parameters
            weight = torch.randn(12, 4, dtype=torch.float64)
            for net in (theirs, ours):
                net.cell.gru.weight_hh_l0 = nn.Parameter(weight.clone())
        found = results(ours, "cpu")
        assert all(map(torch.equal, found, results(theirs, "cpu")))
        torch.testing.assert_close(found, results(ours, "reference"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu_pytorchs_code_runs_where_it_can(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it is cuDNN's; our loops run where somebody looks on or asks for them, or it cannot.

    The tensor is on a GPU that is not there, so nothing but the decision is seen.
    """
    with FakeTensorMode():
        x = torch.empty(5, 2, 3, device="cuda")
    decided: list[bool] = []
    layer = getattr(cello, kind)(3, 4)
    kept = type(layer)._torchs_code_runs

    def looked(self: Any, x: Any, *, whole: bool) -> bool:
        decided.append(kept(self, x, whole=whole))
        raise InterruptedError

    monkeypatch.setattr(type(layer), "_torchs_code_runs", looked)

    def run() -> None:
        with pytest.raises(InterruptedError):
            layer(x)

    run()
    with cello.engine("gpu"):
        run()
    with pytest.raises(InterruptedError):
        cello.record(layer, x)
    assert decided == [True, False, False]
