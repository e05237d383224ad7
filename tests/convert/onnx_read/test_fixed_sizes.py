"""Files for one number of steps or sequences: others are taken if nothing has that one built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

import cello
from cello.convert import NetGraph, load_model, save_model
from cello.errors import ConversionError, ShapeError
from tests.convert.onnx_read.files import INT32, INT64, constants, info, written


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
    "as many steps from the last": (
        lambda m, x, y: m.out(m.rnn(y[:, -1:, :3].repeat(1, x.shape[1], 1))[0].repeat(1, 1, 6)),
        "T = 6",
    ),
    "the last again": (lambda m, x, y: y[:, -1:].expand(-1, x.shape[1], -1), "T = 6"),
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


class Continued(nn.Module):
    """Two layers whose states are inputs, layer by layer."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, 2, batch_first=True)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        y, h = self.rnn(x, h)
        return y, h


@pytest.mark.filterwarnings("ignore")
def test_states_one_behind_the_other_are_no_steps(tmp_path: Path) -> None:
    given, file = (torch.randn(5, 6, 3), torch.randn(2, 5, 4)), tmp_path / "net.onnx"
    torch.onnx.export(Continued().eval(), given, file, dynamo=False)
    net = cello.from_onnx(file)
    assert isinstance(net, NetGraph)
    assert net.axes.leads == ("BT", "SB")
    assert net.only in ("", "B = 5")
    assert net(torch.randn(5, 9, 3), given[1])[0].shape == (5, 9, 4)


class Unrolled(nn.Module):
    """A loop, which an exporter writes out, step after step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return h


@pytest.mark.filterwarnings("ignore")
def test_a_loop_that_was_written_out_runs_on_no_fewer_steps(tmp_path: Path) -> None:
    """Its file says that T is open."""
    model, file, axes = Unrolled().eval(), tmp_path / "net.onnx", {"x": {0: "B", 1: "T"}}
    torch.onnx.export(
        model, (torch.randn(2, 6, 3),), file, dynamo=False, input_names=["x"], dynamic_axes=axes
    )
    net = cello.from_onnx(file)
    x = torch.randn(5, 6, 3)
    torch.testing.assert_close(net(x), model(x))
    with pytest.raises(ShapeError, match=r"^node \d+ \(.*\) does not run on inputs of \[5, 3, 3\]"):
        net(torch.randn(5, 3, 3))


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


def _file(file: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> NetGraph:
    """A net of a file with a GRU of 4 units on 3 or 5 numbers."""
    draw = np.random.default_rng(0)
    shapes = {"W": (1, 12, 3), "wide": (1, 12, 5), "R": (1, 12, 4)}
    weights = {name: draw.standard_normal(shape) / 2 for name, shape in shapes.items()}
    named = {name: array.astype("float32") for name, array in weights.items()}
    three = constants(**named, three=np.array([3, 2, 8]), second=np.array([1]))
    net = cello.from_onnx(written(file, nodes, inputs, outputs, three))
    assert isinstance(net, NetGraph)
    return net


def test_a_layer_that_reads_the_input_tells_its_axes(tmp_path: Path) -> None:
    """The sequences are mixed in the output, whose axes have other sizes."""
    nodes = [
        helper.make_node("GRU", ["x", "W", "R"], ["y"], hidden_size=4),
        helper.make_node("Squeeze", ["y", "second"], ["z"]),
        helper.make_node("Reshape", ["z", "three"], ["out"]),
    ]
    net = _file(tmp_path / "net.onnx", nodes, [info("x", [6, 2, 3])], [info("out", [3, 2, 8])])
    proof = cello.proof_of(net)
    assert proof is not None
    assert (net.only, proof.only) == ("T = 6 and B = 2", "T = 6 and B = 2")
    with pytest.raises(ShapeError, match=r"^the net is for T = 6 and B = 2 only: input 0 must be"):
        net(torch.randn(2, 6, 3))


def test_what_cannot_be_told_is_not_said(tmp_path: Path) -> None:
    """One number comes out, and a function stands before the layer: either axis may be T."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("GRU", ["t", "W", "R"], ["y"], hidden_size=4),
        helper.make_node("ReduceSum", ["y"], ["out"], keepdims=0),
    ]
    net = _file(tmp_path / "net.onnx", nodes, [info("x", [6, 2, 3])], [info("out", [])])
    assert net.only == ""
    with pytest.raises(ShapeError, match=r"^input 0 must be \[6, 2, 3\]"):
        net(torch.randn(2, 6, 3))


X = info("x", ["T", "B", 3])
INPUTS = {
    "lengths": (["x", "W", "R", "", "n"], [X, info("n", ["B"], INT32)]),
    "lengths of 64 bits": (["x", "W", "R", "", "few"], [X, info("n", ["B"], INT64)]),
    "one that nothing reads": (["x", "W", "R"], [X, info("n", ["Q"])]),
    "two side by side": (["both", "wide", "R"], [X, info("n", ["T", "B", 2])]),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_are_what_the_file_says_where_no_layer_tells(kind: str, tmp_path: Path) -> None:
    reads, inputs = INPUTS[kind]
    gru = helper.make_node("GRU", reads, ["y", "h"], hidden_size=4)
    joins = [helper.make_node("Concat", ["x", "n"], ["both"], axis=2)] * (reads[0] == "both")
    joins += [helper.make_node("Cast", ["n"], ["few"], to=INT32)] * ("few" in reads)
    outputs = [info("y", ["T", 1, "B", 4]), info("h", [1, "B", 4])]
    net = _file(tmp_path / "net.onnx", [*joins, gru], inputs, outputs)
    assert (net.only, net.axes.leads[0], net.axes.told) == ("", "TB", True)
    made = cello.to_onnx(net, tmp_path / "again.onnx")
    assert made.proof.cases >= 5
    again = cello.from_onnx(tmp_path / "again.onnx")
    lengths = torch.tensor([5, 2])
    n = {
        "lengths": lengths,
        "lengths of 64 bits": lengths,
        "two side by side": torch.randn(5, 2, 2),
    }
    given = torch.randn(5, 2, 3), n.get(kind, torch.randn(3))
    for one, two in zip(again(*given), net(*given), strict=True):
        torch.testing.assert_close(one, two)
    if "lengths" in kind:
        with pytest.raises(ConversionError, match=r"^input 1 of the net is how long each sequence"):
            cello.to_c(net, tmp_path / "c")
