"""What PyTorch's quantization leaves as it is is named."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines import choose

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]


class Leaky(cello.Cell):
    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)
        self.R = nn.Linear(4, 4, bias=False)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(self.W(x) + self.R(h))
        return h, (h,)


def quantized(net: nn.Module) -> tuple[Any, list[str]]:
    """The net after `quantize_dynamic`, and which of ours the warnings name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = torch.ao.quantization.quantize_dynamic(net)
    said = [str(w.message) for w in caught if str(w.message).startswith("quantization leaves")]
    assert all(w.filename == __file__ for w in caught if str(w.message) in said)
    return made, [message.split()[2] for message in said]


@pytest.mark.parametrize(
    ("net", "named"),
    [
        (cello.LSTM(3, 4), ["cello.LSTM"]),
        (nn.ModuleList([cello.GRU(3, 4), cello.RNN(3, 4)]), ["cello.GRU", "cello.RNN"]),
        (cello.Recurrent(cello.LSTMCell(3, 4)), ["LSTMCell"]),
        (cello.Recurrent(nn.GRUCell(3, 4)), ["GRUCell"]),
        (cello.Stack(cello.Bidirectional(cello.ElmanCell(3, 4)), nn.Linear(8, 2)), ["ElmanCell"]),
        (cello.Recurrent(Leaky()), []),
        (nn.LSTM(3, 4), []),
    ],
)
def test_what_is_left_alone_is_named(
    net: nn.Module, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "_warned", set())
    made, said = quantized(nn.ModuleDict({"net": net}))
    assert said == named
    assert quantized(nn.ModuleDict({"net": net}))[1] == []  # it is said once
    assert all(not hasattr(module, "qconfig") for module in made.modules())
    x = torch.randn(5, 2, 3)
    if not isinstance(net, nn.ModuleList):
        with cello.engine("reference"):
            torch.testing.assert_close(made["net"](x)[0], net(x)[0], rtol=0.1, atol=0.1)


def test_a_step_with_a_quantized_linear_runs_and_is_recorded() -> None:
    net = cello.Recurrent(Leaky())
    made, _ = quantized(net)
    x = torch.randn(5, 2, 3)
    with pytest.warns(cello.EngineWarning, match="reads an object that is no tensor"):
        y, _ = made(x)
    torch.testing.assert_close(y, net(x)[0], rtol=0.1, atol=0.1)
    assert torch.equal(cello.record(made, x)["h"], y)


@pytest.mark.filterwarnings("ignore:quantization leaves:UserWarning")
def test_the_attribute_is_as_others() -> None:
    layer: Any = cello.GRU(3, 4)
    assert getattr(layer, "qconfig", "none") == "none"
    layer.qconfig = None
    assert layer.qconfig is None
    del layer.qconfig
    with pytest.raises(AttributeError, match="qconfig"):
        layer.qconfig  # noqa: B018
