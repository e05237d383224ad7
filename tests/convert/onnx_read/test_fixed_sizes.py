"""Files for one number of steps or sequences: others are taken if nothing has that one built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.convert import NetGraph, load_model, save_model
from cello.errors import ConversionError, ShapeError


class Built(nn.Module):
    """A GRU on [B, T, 3], and what is made of its output."""

    def __init__(self, change: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.out = nn.Linear(24, 2)
        self.pairs = nn.GRU(6, 2, batch_first=True)
        self.begin = nn.Parameter(torch.randn(1, 2, 4))
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        return self.change(self, x, self.rnn(x)[0])


#: What is made of it; and for which sizes alone the net is then.
KINDS = {
    "all steps in one row": (lambda m, x, y: m.out(y.flatten(1)), "T = 6"),
    "step 5 for the last": (lambda m, x, y: y[:, 5], "T = 6"),
    "a sum over 6": (lambda m, x, y: y.sum(1) / y.shape[1], "T = 6"),
    "sizes in a shape": (lambda m, x, y: m.pairs(x.reshape(2, -1, 6))[0], "T = 6 and B = 2"),
    "a state of two rows": (lambda m, x, y: m.rnn(x, m.begin)[0], "B = 2"),
    "the last step": (lambda m, x, y: y[:, -1], ""),
    "a mean": (lambda m, x, y: y.mean(1), ""),
}


def _opened(kind: str, folder: Path) -> tuple[Built, NetGraph]:
    torch.manual_seed(0)
    model = Built(KINDS[kind][0]).eval()
    x, file = torch.randn(2, 6, 3), folder / "net.onnx"
    torch.onnx.export(model, (x,), file, dynamo=False, input_names=["x"])
    net = cello.from_onnx(file)
    assert isinstance(net, NetGraph)
    return model, net


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_net_takes_the_sizes_that_it_is_right_for(kind: str, tmp_path: Path) -> None:
    model, net = _opened(kind, tmp_path)
    only = KINDS[kind][1]
    proof = cello.proof_of(net)
    assert proof is not None
    assert (net.only, proof.only) == (only, only)
    assert net.batch_first
    for T, B in ((6, 2), (12, 2), (9, 4), (6, 4), (3, 2)):
        x = torch.randn(B, T, 3)
        if ("T" in only and T != 6) or ("B" in only and B != 2):
            with pytest.raises(ShapeError, match=f"^the net is for {only} only: input 0 must be"):
                net(x)
            with pytest.raises(ShapeError, match=f"for {only} only"):
                cello.record(net, x)
        else:
            torch.testing.assert_close(net(x), model(x), atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_it_stays_so_saved_and_written_again(tmp_path: Path) -> None:
    _, net = _opened("step 5 for the last", tmp_path)
    save_model(net, tmp_path / "model")
    made = cello.to_onnx(net, tmp_path / "again.onnx")
    assert str(made.proof).startswith("for T = 6 only, equal on")
    x = torch.randn(3, 6, 3)
    for again in (load_model(tmp_path / "model"), cello.from_onnx(tmp_path / "again.onnx")):
        assert isinstance(again, NetGraph)
        torch.testing.assert_close(again(x), net(x))
        with pytest.raises(ShapeError, match=r"for T = 6 only: input 0 must be \[B, 6, 3\], got"):
            again(x[:, :5])
    for export in (
        lambda: cello.to_c(net, tmp_path / "c"),
        lambda: cello.to_onnx(net, tmp_path / "step.onnx", stream=True),
    ):
        with pytest.raises(ConversionError, match="for T = 6 only: it cannot run one step"):
            export()
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "step.onnx").exists()
