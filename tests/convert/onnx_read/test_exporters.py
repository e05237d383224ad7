"""Files that PyTorch, Keras and Cello itself wrote, and what can be done with what they hold."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.export import Dim

import cello
from cello import zoo
from cello.convert import load_model, save_model
from tests.convert.keras.models import keras
from tests.convert.onnx_read.files import called, run

SHARED = Path(__file__).parents[4] / "shared" / "models" / "onnx"


class Tagger(nn.Module):
    """Words in, a class for the last step and the final states out."""

    def __init__(self, kind, bidirectional):
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.rnn = kind(6, 4, 2, batch_first=True, bidirectional=bidirectional)
        self.out = nn.Linear(8 if bidirectional else 4, 3)

    def forward(self, words):
        y, state = self.rnn(self.embed(words))
        return self.out(y[:, -1]), state[0] if isinstance(state, tuple) else state


class PerStep(nn.Module):
    """Numbers in, numbers out at each step."""

    def __init__(self, kind, bidirectional):
        super().__init__()
        self.rnn = kind(3, 4, bidirectional=bidirectional)
        self.out = nn.Linear(8 if bidirectional else 4, 2)

    def forward(self, x):
        return torch.tanh(self.out(self.rnn(x)[0]))


class WrittenOut(nn.Module):
    """An LSTM as products and sigmoids, for four steps."""

    def __init__(self):
        super().__init__()
        self.gates = nn.Linear(7, 16)

    def forward(self, x):
        h = c = x.new_zeros(x.shape[0], 4)
        for t in range(4):
            i, f, g, o = self.gates(torch.cat([x[:, t], h], 1)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


def _exported(model, x, file, dynamo, **dynamic):
    if dynamo:
        torch.onnx.export(model, (x,), file, dynamo=True, verbose=False, **dynamic)
    else:
        axes = {"x": {0: "B", 1: "T"}} if dynamic else None
        torch.onnx.export(model, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    return file


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_what_pytorch_writes(kind, bidirectional, dynamo, tmp_path):
    torch.manual_seed(0)
    theirs = Tagger(kind, bidirectional).eval()
    dims = {"dynamic_shapes": ({0: Dim("B"), 1: Dim("T")},)}
    words = torch.randint(20, (2, 5))
    net = cello.from_onnx(_exported(theirs, words, tmp_path / "net.onnx", dynamo, **dims))
    words = torch.randint(20, (3, 9))
    for y, expected in zip(called(net, words), theirs(words), strict=True):
        torch.testing.assert_close(y, expected, atol=1e-6, rtol=1e-5)
    layer = cello.Bidirectional if bidirectional else cello.Recurrent
    assert sum(isinstance(part, layer) and part.batch_first for part in net.parts.values()) == 2
    assert {what for what, _, _ in net.wiring if isinstance(what, str)} <= {
        "state", "stack", "Concat", "ints", "Gather", "Unsqueeze",
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_layers_in_one_line_are_a_stack_for_every_length(dynamo, bidirectional, tmp_path):
    """Also where PyTorch has baked T and B into the file."""
    theirs = PerStep(nn.LSTM, bidirectional).eval()
    net = cello.from_onnx(_exported(theirs, torch.randn(5, 2, 3), tmp_path / "net.onnx", dynamo))
    assert [type(part).__name__ for part in net] == [
        "Bidirectional" if bidirectional else "Recurrent", "Linear", "Tanh",
    ]  # fmt: skip
    x = torch.randn(9, 4, 3)
    torch.testing.assert_close(net(x)[0], theirs(x), atol=1e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [True, False])
def test_an_rnn_that_pytorch_writes_step_by_step_is_what_the_file_says(dynamo, tmp_path):
    """The newer exporter writes as many steps as its example has; the older one an operator."""
    theirs, x = Tagger(nn.RNN, True).eval(), torch.randint(20, (2, 5))
    dims = {"dynamic_shapes": ({0: Dim("B")},)} if dynamo else {"dynamic_shapes": ()}
    net = cello.from_onnx(_exported(theirs, x, tmp_path / "net.onnx", dynamo, **dims))
    x = torch.randint(20, (3, 5))
    torch.testing.assert_close(called(net, x)[0], theirs(x)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_an_lstm_that_is_written_out_stays_what_it_is(tmp_path):
    theirs, x = WrittenOut().eval(), torch.randn(2, 4, 3)
    net = cello.from_onnx(_exported(theirs, x, tmp_path / "net.onnx", True))
    torch.testing.assert_close(called(net, x)[0], theirs(x), atol=1e-6, rtol=1e-5)
    assert [what for what, _, _ in net.wiring].count("Sigmoid") == 12


@pytest.mark.filterwarnings("ignore")
def test_what_keras_writes(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            keras.layers.LSTM(4, return_sequences=True),
            keras.layers.GRU(3),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    expected = torch.as_tensor(model(x)).detach()
    model.export(tmp_path / "net.onnx", format="onnx", verbose=False)
    net = cello.from_onnx(tmp_path / "net.onnx")
    torch.testing.assert_close(called(net, torch.tensor(x))[0], expected, atol=1e-6, rtol=1e-5)


# ------------------------------------------------------------ there and back


def _learned():
    layer = cello.Recurrent(cello.LSTMCell(3, 4), initial_state="learned")
    for part in layer.initial.values():
        nn.init.normal_(part)
    return layer


STACKS = {
    "lstm": lambda: cello.Recurrent(cello.LSTMCell(3, 4, peephole=True)),
    "gru": lambda: cello.Stack(
        nn.Embedding(9, 3), cello.Recurrent(cello.GRUCell(3, 4)), nn.Linear(4, 2), nn.Tanh(),
        batch_first=True,
    ),
    "backwards": lambda: cello.Recurrent(cello.ElmanCell(3, 4, "relu"), reverse=True),
    "learned": _learned,
    "jordan": lambda: cello.Recurrent(cello.JordanCell(3, 4, 2)),
}  # fmt: skip
GRAPHS = {
    "two layers": lambda: cello.LSTM(3, 4, num_layers=2, bidirectional=True),
    "sLSTM": lambda: cello.Recurrent(zoo.SLSTMCell(3, 4)),
    "mLSTM": lambda: cello.Recurrent(zoo.MLSTMCell(3, 4)),
    "layer norm": lambda: cello.Recurrent(zoo.LayerNormLSTMCell(3, 4), reverse=True),
    "float64": lambda: cello.Recurrent(cello.GRUCell(3, 4)).double(),
    "sum": lambda: cello.Bidirectional(cello.GRUCell(3, 4), join="sum"),
}


@pytest.mark.parametrize("name", [*STACKS, *GRAPHS])
def test_our_own_files_come_back(name, tmp_path):
    net = (STACKS | GRAPHS)[name]().eval()
    cello.to_onnx(net, tmp_path / "net.onnx")
    again = cello.from_onnx(tmp_path / "net.onnx")
    assert isinstance(again, cello.Stack) == (name in STACKS)
    real = torch.float64 if name == "float64" else torch.float32
    x = torch.randint(9, (4, 7)) if name == "gru" else torch.randn(7, 4, 3, dtype=real)
    y, *_ = called(again, x)
    torch.testing.assert_close(y, net(x)[0], atol=1e-5, rtol=1e-5)
    if name in STACKS and name != "jordan":
        weights = dict(net.named_parameters()).values()
        for weight, kept in zip(weights, again.parameters(), strict=True):
            torch.testing.assert_close(kept, weight, atol=1e-6, rtol=1e-6)


def test_a_stack_goes_out_again_with_lengths_and_states(tmp_path):
    cello.to_onnx(STACKS["lstm"](), tmp_path / "net.onnx")
    net = cello.from_onnx(tmp_path / "net.onnx")
    made = cello.to_onnx(net, tmp_path / "again.onnx")
    assert made.operators == {"0": "LSTM"}
    x = torch.randn(6, 2, 3)
    y, _ = net(x, lengths=[6, 2])
    torch.testing.assert_close(
        run(tmp_path / "again.onnx", x=x, lengths=torch.tensor([6, 2]))[0], y
    )


def test_one_step_of_a_stream(tmp_path):
    """Its states are inputs and outputs, and so they are of what is read back."""
    net = cello.Recurrent(cello.LSTMCell(3, 4), initial_state="learned")
    cello.to_onnx(net, tmp_path / "step.onnx", stream=True)
    step = cello.from_onnx(tmp_path / "step.onnx")
    assert step.inputs == 3
    assert cello.proof_of(step).cases > 1
    x, state = torch.randn(5, 2, 3), (torch.randn(2, 4), torch.randn(2, 4))
    y, (h, c) = net(x, state)
    for t in range(5):
        now, *state = step(x[t], *state)
        torch.testing.assert_close(now, y[t])
    torch.testing.assert_close(tuple(state), (h, c))


def test_values_of_a_loop_have_the_names_of_the_file(tmp_path):
    layer = cello.Recurrent(cello.JordanCell(3, 4, 2))
    cello.to_onnx(layer, tmp_path / "net.onnx")
    net, x = cello.from_onnx(tmp_path / "net.onnx"), torch.randn(5, 2, 3)
    save_model(net, tmp_path / "model")
    expected = cello.record(layer, x)
    for opened in (net, load_model(tmp_path / "model")):
        for engine in ("cpu", "reference"):
            with cello.engine(engine):
                found = cello.record(opened, x)
            (h,) = (name for name in found.names if name.endswith(".h"))
            torch.testing.assert_close(found[h], expected["h"])
    cell = next(part.cell for part in net.modules() if isinstance(part, cello.Recurrent))
    with pytest.raises(cello.errors.ArgumentError, match="'h' is not"):
        type(cell)(**cell.config() | {"names": {"h": 99}})


def test_metadata_that_name_no_states(tmp_path):
    cello.to_onnx(cello.Recurrent(cello.GRUCell(3, 4)), tmp_path / "step.onnx", stream=True)
    model = onnx.load(tmp_path / "step.onnx")
    (told,) = (entry for entry in model.metadata_props if entry.key == "cello.states")
    for text in ("3", "[" * 9999, '[{"a": 1}]'):
        told.value = text
        onnx.save(model, tmp_path / "bad.onnx")
        with pytest.raises(cello.errors.ModelError, match=r"cello\.states are damaged"):
            cello.from_onnx(tmp_path / "bad.onnx")


# ------------------------------------------------------------ what comes back is a net


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["graph", "scan"])
def test_nets_are_saved_recorded_trained_and_written_again(name, tmp_path):
    if name == "graph":
        x = torch.randint(20, (2, 5))
        dims = {"dynamic_shapes": ({0: Dim("B"), 1: Dim("T")},)}
        file = _exported(Tagger(nn.LSTM, True).eval(), x, tmp_path / "net.onnx", True, **dims)
    else:
        x, file = torch.randn(5, 2, 3), tmp_path / "net.onnx"
        cello.to_onnx(cello.Recurrent(cello.JordanCell(3, 4, 2)), file)
    net = cello.from_onnx(file)
    save_model(net, tmp_path / "model")
    again = load_model(tmp_path / "model")
    for y, same in zip(called(net, x), called(again, x), strict=True):
        assert torch.equal(y, same)
    assert len(cello.record(net, x).names) > 2
    y = called(net, x)[0]
    y.square().sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    torch.onnx.export(net, (x,), tmp_path / "again.onnx", dynamo=True, verbose=False)
    found = run(tmp_path / "again.onnx", x)
    for y, expected in zip(called(net, x), found[: 1 if name == "scan" else 2], strict=True):
        torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the models of others are not here")
def test_a_model_that_somebody_else_trained():
    file = SHARED / "byte_sb_bidi_lstm.onnx"
    known = np.load(SHARED / "byte_sb_bidi_lstm_io.npz")
    net = cello.from_onnx(file)
    given, expected = (torch.tensor(known[name]) for name in ("input", "Add_26"))
    torch.testing.assert_close(called(net, given)[0], expected, atol=1e-4, rtol=1e-4)
    assert sum(isinstance(part, cello.Bidirectional) for part in net.parts.values()) == 2
