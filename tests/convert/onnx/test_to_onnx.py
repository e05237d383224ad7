"""Files that `to_onnx` writes: run by ONNX Runtime, they give what the net gives."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import cello
from cello.cells import zoo
from cello.convert.onnx import onnx_file
from cello.convert.onnx.operators import operator_of
from cello.convert.onnx.primitives import FUNCTIONS
from cello.convert.proof import Case, reads_of, run_net
from cello.convert.recurrence import Step
from cello.errors import ArgumentError, ConversionError, ModelError
from cello.layers.encoders import KHot, Log, OneHot, Projection, WindowEmbedding, WindowProjection
from cello.layers.outputs.pooling import POOL_KINDS, pool_of
from tests.convert.nets import all_nets
from tests.effort import FULL
from tests.registry import CELLS, GIVEN, H, I

#: What the equations of a cell are, where they are an operator of ONNX's.
CANONICAL = {
    "elman": "RNN",
    "elman-relu-no-bias": "RNN",
    "lstm": "LSTM",
    "lstm-peephole": "LSTM",
    "gru": "GRU",
    "gru-two-biases": "GRU",
    "gru-reset-before": "GRU",
    "torch-rnn": "RNN",
    "torch-lstm": "LSTM",
    "torch-gru": "GRU",
    "torch-gru-no-bias": "GRU",
    "elman-tanh": "RNN",
    "elman-relu": "RNN",
    "MGUCell": "GRU",
    "RecurrentDropoutLSTMCell-eval": "LSTM",
}
REFUSED = {"mixing": "does not treat each row by itself", "branching": "decides by the values"}
FEW = [*CANONICAL, "jordan", "lstm-lecture", "lstm-projection", "two-sizes", "matrix-memory"]
FEW += ["two-inputs", "inner-gru", "elman-callable", "LayerNormLSTMCell", "SLSTMCell", "pieces"]
FEW += ["MinLSTMCell", "jordan-both-softmax", "elman-gelu", "stranger"]


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def close(a: Tensor, b: Any) -> None:
    torch.testing.assert_close(torch.from_numpy(b), a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", [n for n in CELLS if n not in REFUSED and (FULL or n in FEW)])
def test_every_cell(name: str, stream: bool, tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = cello.Recurrent(CELLS[name]())
    made = cello.to_onnx(net, tmp_path / "net.onnx", stream=stream)
    assert made.operators == {"": "step" if stream else CANONICAL.get(name, "Scan")}
    assert made.proof.cases > 10
    # Not by the proof alone: a case of the tests' own.
    run = session(tmp_path / "net.onnx")
    T, B = (1, 3) if stream else (4, 3)
    shape = reads_of(net).shape
    x = torch.randn(T, B, *shape)
    state = [torch.randn(part.shape) for part in run_net(net, Case("", x))[1].values()]
    lengths = None if stream else torch.tensor([2, 4, 0])
    y, final = run_net(net, Case("", x, state, lengths))
    feed = {"x": x[0].numpy() if stream else x.numpy()}
    feed |= {given: part.numpy() for given, part in zip(made.states, state, strict=True)}
    feed |= {} if lengths is None else {"lengths": lengths.numpy()}
    found, *parts = run.run(["y", *made.states.values()], feed)
    close(y[0] if stream else y, found)
    for part, other in zip(final.values(), parts, strict=True):
        close(part, other)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", POOL_KINDS)
def test_one_vector_of_each_sequence(kind: str, batch_first: bool, tmp_path: Path) -> None:
    torch.manual_seed(3)
    parts = [cello.GRU(I, H), pool_of(kind, H), nn.Linear(H, 3), nn.Tanh()]
    net = cello.Stack(*parts, batch_first=batch_first)
    made = cello.to_onnx(net, tmp_path / "net.onnx")
    assert made.proof.relative < 1e-5
    run = session(tmp_path / "net.onnx")
    x, lengths = torch.randn(5, 4, I), torch.tensor([5, 1, 3, 2])
    x = x.transpose(0, 1).contiguous() if batch_first else x
    for feed in ({}, {"lengths": lengths}):
        given = {"x": x.numpy(), **{name: part.numpy() for name, part in feed.items()}}
        found, *_ = run.run(["y"], given)
        assert found.shape == (4, 3)
        with torch.no_grad():
            close(net(x, **feed)[0], found)


class Masked(cello.Cell):
    """Whose masks are those of the input, made before the loop, and one of both."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__({"value": 4, "mask": 4}, 4)
        self.W = nn.Linear(4, 4)

    def step(self, x: Any, h: Tensor) -> Any:
        value, big = x["value"], x["value"] > 0.5
        mixed = torch.where(big, value, h) + torch.where(x["mask"].bool(), h, value)
        mixed = mixed + h.masked_fill(~big, 0.5) + big.to(h) * h
        mixed = torch.where(big & (h > 0), mixed, torch.where(torch.isnan(value), h, -mixed))
        y = torch.tanh(self.W(mixed))
        return y, (torch.where(big.any(-1, keepdim=True), y, h),)


@pytest.mark.parametrize("stream", [False, True])
def test_masks_of_the_input_alone(stream: bool, tmp_path: Path) -> None:
    made = cello.to_onnx(cello.Recurrent(Masked()), tmp_path / "net.onnx", stream=stream)
    assert made.operators == {"": "step" if stream else "Scan"}
    assert made.proof.relative < 1e-5


@pytest.mark.parametrize("name", REFUSED)
def test_a_step_that_is_none_of_rows_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=REFUSED[name]):
        cello.to_onnx(cello.Recurrent(CELLS[name]()), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


NETS = {name: net for name, net in all_nets().items() if name != "own"} | {
    "one-hot": cello.Stack(OneHot(5), cello.Recurrent(cello.ElmanCell(5, 4)), Log()),
    "k-hot": cello.Stack(KHot(5), cello.GRU(5, 4), nn.Linear(4, 2)),
    "projection": cello.Stack(Projection(7, 3), cello.LSTM(3, 4)),
    "window": cello.Stack(WindowEmbedding(7, 3, window_size=2), cello.LSTM(6, 4)),
    "windows": cello.Stack(WindowProjection(6, 2, window_size=3), cello.LSTM(6, 4)),
    "no layer": nn.Sequential(nn.Linear(3, 4), nn.Tanh()),
    "bidirectional mean": cello.Bidirectional(cello.GRUCell(3, 4), join="mean", batch_first=True),
    "doubles": cello.Stack(cello.LSTM(3, 4), nn.Linear(4, 2)).double(),
}


@pytest.mark.parametrize("name", NETS)
def test_nets(name: str, tmp_path: Path) -> None:
    made = cello.to_onnx(NETS[name], tmp_path / "net.onnx")
    assert made.proof.relative < 1e-5
    assert str(made).startswith(str(tmp_path / "net.onnx"))


def test_one_step_at_a_time_through_a_stack(tmp_path: Path) -> None:
    net = cello.Stack(cello.LSTM(3, 4, num_layers=2, batch_first=True), nn.Linear(4, 2),
                      batch_first=True)  # fmt: skip
    made = cello.to_onnx(net, tmp_path / "step.onnx", stream=True)
    assert made.states == {"0.h_0": "0.h_n", "0.c_0": "0.c_n"}
    run = session(tmp_path / "step.onnx")
    x = torch.randn(2, 5, 3)
    feed, outputs = {}, []
    for t in range(5):
        y, *state = run.run(["y", *made.states.values()], {"x": x[:, t].numpy(), **feed})
        feed = dict(zip(made.states, state, strict=True))
        outputs.append(torch.from_numpy(y))
    close(torch.stack(outputs, 1), net(x)[0].detach().numpy())


def test_both_directions_have_no_single_step(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="cannot run one step at a time"):
        cello.to_onnx(cello.LSTM(3, 4, bidirectional=True), tmp_path / "x.onnx", stream=True)


# ------------------------------------------------------------ what is in the file


def test_sizes_have_names_and_inputs_defaults(tmp_path: Path) -> None:
    net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 4), initial_state="learned"))
    with torch.no_grad():
        net[0].initial["h"].normal_()
    cello.to_onnx(net, tmp_path / "net.onnx")
    run = session(tmp_path / "net.onnx")
    assert [(i.name, i.shape) for i in run.get_inputs()] == [("x", ["T", "B", 3])]
    defaults = {i.name: i.shape for i in run.get_overridable_initializers()}
    assert defaults == {"lengths": ["B"], "0.h_0": ["B", 4]}
    shapes = [(o.name, o.shape) for o in run.get_outputs()]
    assert shapes == [("y", ["T", "B", 4]), ("0.h_n", ["B", 4])]
    for T, B in ((1, 1), (8, 3)):
        x = torch.randn(T, B, 3)
        close(net(x)[0].detach(), run.run(["y"], {"x": x.numpy()})[0])


def test_what_the_file_tells(tmp_path: Path) -> None:
    net = cello.Recurrent(cello.JordanCell(3, 4, 2))
    cello.to_onnx(net, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    told = {part.key: part.value for part in model.metadata_props}
    assert told["cello.version"] == cello.__version__
    (cell,) = json.loads(told["cello.cells"]).values()
    assert cell["cell"] == "JordanCell"
    assert cell["operator"] == "Scan"
    assert {"h", "y"} < set(cell["values"])
    assert json.loads(told["cello.states"]) == {"y_0": "y_n"}
    (scan,) = (node for node in model.graph.node if node.op_type == "Scan")
    (body,) = (a.g for a in scan.attribute if a.name == "body")
    assert any(node.name == "h" for node in body.node)


def test_a_vector_to_test_with(tmp_path: Path) -> None:
    net = cello.LSTM(3, 4)
    cello.to_onnx(net, tmp_path / "net.onnx", test_vector=tmp_path / "net.npz")
    held = dict(np.load(tmp_path / "net.npz"))
    assert set(held) == {"x", "y", "h_n", "c_n"}
    made = session(tmp_path / "net.onnx").run(["y"], {"x": held["x"]})[0]
    np.testing.assert_array_equal(made, held["y"])
    close(net(torch.from_numpy(held["x"]))[0].detach(), held["y"])


@pytest.mark.parametrize(
    ("make", "nodes"),
    [
        (lambda: cello.Bidirectional(cello.LSTMCell(3, 4, peephole=True)), {"LSTM": 1}),
        (lambda: cello.Bidirectional(cello.GRUCell(3, 4), join="sum"), {"GRU": 1}),
        (lambda: cello.Bidirectional(cello.GRUCell(3, 4), join="mean"), {"GRU": 1}),
        (lambda: cello.RNN(3, 4, 2, bidirectional=True, nonlinearity="relu"), {"RNN": 2}),
        (
            lambda: cello.Bidirectional(
                cello.GRUCell(3, 4), cello.GRUCell(3, 4, reset_after=False)
            ),
            {"GRU": 2},
        ),
        (lambda: cello.Bidirectional(cello.GRUCell(3, 4), cello.GRUCell(3, 2)), {"GRU": 2}),
        (lambda: cello.Bidirectional(cello.GRUCell(3, 4), cello.LSTMCell(3, 4)),
         {"GRU": 1, "LSTM": 1}),
    ],
)  # fmt: skip
def test_both_directions_are_one_operator_where_they_can(
    make: Any, nodes: dict[str, int], tmp_path: Path
) -> None:
    made = cello.to_onnx(make(), tmp_path / "net.onnx")
    assert set(made.operators.values()) == set(nodes)
    kinds = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert {kind: kinds.count(kind) for kind in nodes} == nodes


# ------------------------------------------------------------ nothing wrong is written


def test_a_wrong_weight_is_found_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(step: Step) -> Any:
        found = operator_of(step)
        assert found is not None
        found.R[0, 0, 0] += 0.1  # one number
        return found

    (tmp_path / "net.onnx").write_bytes(b"the old one")
    monkeypatch.setattr("cello.convert.onnx.through_time.operator_of", wrong)
    with pytest.raises(ConversionError, match=r"net.onnx is not equal to the net: .* instead of"):
        cello.to_onnx(cello.LSTM(3, 4), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"the old one"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_model_that_is_none_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FUNCTIONS, "sigmoid", lambda put, x: put("Sigmiod", x))
    with pytest.raises(ConversionError, match=r"net.onnx is no valid ONNX model: .*Sigmiod"):
        cello.to_onnx(cello.Recurrent(cello.JordanCell(3, 4, 2)), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot write .*net\.onnx: No such file"):
        cello.to_onnx(cello.LSTM(3, 4), tmp_path / "none" / "net.onnx")


class Counted(cello.Cell):
    """A cell that reads a whole number a step."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__("integer", H)
        self.table = nn.Embedding(5, H)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = 0.5 * h + self.table(x)
        return h, (h,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cell_that_reads_whole_numbers(dtype: torch.dtype, tmp_path: Path) -> None:
    net = cello.Recurrent(Counted()).to(dtype)
    assert cello.to_onnx(net, tmp_path / "net.onnx").operators == {"": "Scan"}
    run = session(tmp_path / "net.onnx")
    x = torch.tensor([[0, 4], [3, 1]])
    close(net(x)[0].detach(), run.run(["y"], {"x": x.numpy()})[0])


def test_bfloat16_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="bfloat16"):
        onnx_file.to_onnx(cello.LSTM(3, 4).bfloat16(), tmp_path / "net.onnx")


def test_ids_read_by_a_module_that_is_not_known(tmp_path: Path) -> None:
    net = cello.Stack(nn.Embedding(5, 3, max_norm=1.0), cello.LSTM(3, 4))
    with pytest.raises(ConversionError, match="max_norm changes its weights"):
        cello.to_onnx(net, tmp_path / "net.onnx")


# ------------------------------------------------------------ operators, seen from equations


class Backwards(cello.Cell):
    """A GRU in another order: z is what is let in, and everything is turned round."""

    state = ("memory",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Linear(I, 3 * H)
        self.R = nn.Linear(H, 3 * H)

    def step(self, x: Tensor, memory: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a, b, c = self.W(x).chunk(3, -1)
        d, e, f = self.R(memory).chunk(3, -1)
        let_in, reset = torch.sigmoid(d + a), torch.sigmoid(e + b)
        new = torch.tanh(f * reset + c)
        memory = memory + let_in * (new - memory)
        return memory, (memory,)


class AlmostLSTM(cello.Cell):
    """An LSTM whose output gate looks at the old memory, which ONNX's does not."""

    state = ("h", "c")

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W, self.R = nn.Linear(I, 4 * H), nn.Linear(H, 4 * H)
        self.p = nn.Parameter(torch.randn(H))

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        i, f, g, o = (self.W(x) + self.R(h)).chunk(4, -1)
        o = torch.sigmoid(o + self.p * c)
        c = torch.sigmoid(f) * c + torch.tanh(g) * torch.sigmoid(i)
        h = torch.tanh(c) * o
        return h, (h, c)


def test_the_equations_count_not_the_name(tmp_path: Path) -> None:
    made = cello.to_onnx(cello.Recurrent(Backwards()), tmp_path / "net.onnx")
    assert made.operators == {"": "GRU"}
    made = cello.to_onnx(cello.Recurrent(AlmostLSTM()), tmp_path / "net.onnx")
    assert made.operators == {"": "Scan"}


def test_attributes_of_the_operators() -> None:
    found = {}
    for name in CANONICAL:
        operator = operator_of(Step(cello.Recurrent(CELLS[name]()).cell, "net"))
        assert operator is not None
        found[name] = operator
    assert found["gru"].attributes == {"linear_before_reset": 1}
    assert found["gru-reset-before"].attributes == {"linear_before_reset": 0}
    assert found["torch-rnn"].attributes == {"activations": ["Relu"]}
    assert found["lstm-peephole"].P is not None
    assert found["lstm"].P is None


def test_cells_that_are_no_operator_of_onnx() -> None:
    for name in ("CoupledLSTMCell", "LiGRUCell", "UGRNNCell", "JANETCell"):
        cell = getattr(zoo, name)(*GIVEN.get(name, (I, H)))
        assert operator_of(Step(cell, "net")) is None


def test_it_can_be_named_without_the_extra(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("cello.convert.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    write = importlib.import_module("cello.convert.onnx.onnx_file").to_onnx
    with pytest.raises(ImportError, match=r"pip install 'cello\[onnx\]'"):
        write(cello.Recurrent(cello.GRUCell(2, 3)), tmp_path / "net.onnx")
