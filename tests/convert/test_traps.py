"""Where conversions go wrong unseen: one test for each trap of `docs/interchange.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cello
from tests.convert.keras.models import Input, L, S

pytestmark = [
    pytest.mark.usefixtures("step_by_step"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]
H = 2


def _torch(gates: list[float], tmp_path: Path) -> Any:
    """A net of PyTorch's whose gates are their biases alone."""
    net = nn.LSTM(1, H) if len(gates) == 4 else nn.GRU(1, H)
    for weight in net.parameters():
        nn.init.zeros_(weight)
    net.bias_ih_l0.data[:] = torch.tensor(gates).repeat_interleave(H)
    return cello.from_torch(net)


def _keras(gates: list[float], tmp_path: Path) -> Any:
    kind = L.LSTM if len(gates) == 4 else L.GRU
    model = S([Input((None, 1)), kind(H, return_sequences=True)])
    kernel, recurrent, bias = (np.zeros_like(w) for w in model.get_weights())
    bias.reshape(-1, len(gates) * H)[0] = np.repeat(gates, H)
    model.set_weights([kernel, recurrent, bias])
    model.save(tmp_path / "net.keras")
    return cello.from_keras(tmp_path / "net.keras")


def _rtneural(gates: list[float], tmp_path: Path) -> Any:
    size = len(gates) * H
    bias: Any = np.repeat(gates, H).tolist()
    layer = {
        "type": "lstm" if len(gates) == 4 else "gru",
        "activation": "tanh",
        "shape": [None, None, H],
        "weights": [
            np.zeros((1, size)).tolist(),
            np.zeros((H, size)).tolist(),
            bias if len(gates) == 4 else [bias, [0.0] * size],
        ],
    }
    file = tmp_path / "net.json"
    file.write_text(json.dumps({"in_shape": [None, None, 1], "layers": [layer]}))
    return cello.from_rtneural(file)


READERS = {
    "PyTorch": (_torch, "ifgo", "rzn"),
    "Keras": (_keras, "ifgo", "zrn"),
    "RTNeural": (_rtneural, "ifgo", "zrn"),
}
BIASES = {"i": 1.0, "f": -2.0, "g": 0.5, "o": 3.0, "r": 1.5, "z": -1.0, "n": 0.25}


def _recorded(net: Any, name: str) -> Tensor:
    recording = cello.record(net, torch.zeros(1, 1, 1))
    (found,) = [full for full in recording.names if full.rpartition(".")[2] == name]
    return recording[found].flatten()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", [1, 2], ids=["LSTM", "GRU"])
def test_the_order_of_the_gates(name: str, kind: int, tmp_path: Path):
    make, order = READERS[name][0], str(READERS[name][kind])
    net = make([BIASES[gate] for gate in order], tmp_path)
    for gate in order:
        function = torch.tanh if gate in "gn" else torch.sigmoid
        expected = function(torch.tensor(BIASES[gate])).expand(H)
        torch.testing.assert_close(_recorded(net, gate), expected)


@pytest.mark.parametrize("name", READERS)
def test_an_open_z_keeps_the_old_state(name: str, tmp_path: Path):
    make, _, order = READERS[name]
    net = make([{"r": 0.0, "z": 50.0, "n": 1.0}[gate] for gate in order], tmp_path)
    layer = next(m for m in net.modules() if isinstance(m, (cello.GRU, cello.Recurrent)))
    drop_in = isinstance(layer, cello.GRU)
    h = torch.full((1, 1, H) if drop_in else (1, H), 0.7)
    _, state = layer(torch.zeros(1, 1, 1), h if drop_in else (h,))
    torch.testing.assert_close(state if drop_in else state[0], h)


def test_the_reset_acts_before_or_after_the_product(tmp_path: Path):
    x = np.random.default_rng(0).standard_normal((2, 6, 3)).astype("float32")
    found = []
    for after in (True, False):
        model = S([Input((None, 3)), L.GRU(4, reset_after=after, return_sequences=True)])
        draw = np.random.default_rng(1)
        model.set_weights([draw.standard_normal(w.shape) for w in model.get_weights()])
        model.save(tmp_path / "net.keras")
        net = cello.from_keras(tmp_path / "net.keras")
        assert net[0].cell.reset_after is after
        found.append(net(torch.from_numpy(x))[0])
        np.testing.assert_allclose(found[-1].detach(), model(x).detach(), atol=2e-6)
        if not after:
            with pytest.raises(cello.errors.ModelError, match="resets before the product"):
                cello.to_torch(net)


def test_two_biases_are_one_but_for_the_candidate_of_a_gru():
    lstm, gru = nn.LSTM(3, 4), nn.GRU(3, 4)
    for net in (lstm, gru):
        x = torch.randn(5, 2, 3)
        torch.testing.assert_close(cello.from_torch(net)(x), net(x))
        moved = nn.LSTM(3, 4) if net is lstm else nn.GRU(3, 4)
        moved.load_state_dict(net.state_dict())
        moved.bias_ih_l0.data += moved.bias_hh_l0.data
        moved.bias_hh_l0.data.zero_()
        same = torch.allclose(cello.from_torch(moved)(x)[0], net(x)[0], atol=1e-6)
        assert same is (net is lstm)  # r stands before one of the GRU's


def test_h_n_of_both_directions():
    ours = cello.Bidirectional(cello.LSTMCell(3, 4))
    theirs = cello.to_torch(ours)
    x = torch.randn(6, 2, 3)
    _, (h, c) = theirs(x)
    _, (forward, backward) = ours(x)
    for place, state in enumerate((forward, backward)):
        torch.testing.assert_close(h[place], state.h)
        torch.testing.assert_close(c[place], state.c)
    torch.testing.assert_close(cello.from_torch(theirs)(x), theirs(x))


def test_packed_lengths():
    theirs = nn.LSTM(3, 4, 2, bidirectional=True)
    packed = pack_padded_sequence(
        torch.randn(7, 3, 3), torch.tensor([2, 7, 4]), enforce_sorted=False
    )
    y, state = cello.from_torch(theirs)(packed)
    expected, final = theirs(packed)
    torch.testing.assert_close(pad_packed_sequence(y)[0], pad_packed_sequence(expected)[0])
    torch.testing.assert_close(state, final)


def test_padding_on_the_left(tmp_path: Path):
    model = S([Input((None, 3)), L.Masking(0.0), L.GRU(4)])
    model.save(tmp_path / "net.keras")
    net = cello.from_keras(tmp_path / "net.keras")
    x = torch.randn(2, 5, 3)
    padded = torch.cat([torch.zeros(2, 3, 3), x], 1)
    torch.testing.assert_close(net(padded), net(x))
    np.testing.assert_allclose(net(padded).detach(), model(padded.numpy()).detach(), atol=2e-6)


# ------------------------------------------------------------ ONNX


def _session(file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options)


@pytest.mark.parametrize("batch_first", [False, True])
def test_no_size_is_baked_in_and_no_layout(batch_first: bool, tmp_path: Path):
    """T and B stay open, in states too; ONNX Runtime has no layout=1, so none is written."""
    net = cello.LSTM(3, 4, batch_first=batch_first, bidirectional=True)
    made = cello.to_onnx(net, tmp_path / "net.onnx")
    assert made.operators
    graph = onnx.load(tmp_path / "net.onnx").graph
    layouts = [a.i for n in graph.node for a in n.attribute if a.name == "layout"]
    assert not any(layouts)
    session = _session(tmp_path / "net.onnx")
    for T, B in ((1, 1), (1, 5), (9, 1), (4, 3)):
        x = torch.randn((B, T, 3) if batch_first else (T, B, 3))
        y = session.run(["y"], {"x": x.numpy()})[0]
        torch.testing.assert_close(torch.from_numpy(y), net(x)[0], atol=1e-5, rtol=1e-5)


def test_a_state_goes_in_and_comes_out(tmp_path: Path):
    net = cello.Recurrent(cello.GRUCell(3, 4))
    made = cello.to_onnx(net, tmp_path / "step.onnx", stream=True)
    session = _session(tmp_path / "step.onnx")
    ((before, after),) = made.states.items()
    given = [*session.get_inputs(), *session.get_overridable_initializers()]
    assert {before, "x"} == {value.name for value in given}
    assert {after, "y"} == {value.name for value in session.get_outputs()}
    x, h, steps = torch.randn(6, 1, 3), np.zeros((1, 4), np.float32), []
    for row in x:
        y, h = session.run(["y", after], {"x": row.numpy(), before: h})
        steps.append(torch.from_numpy(y))
    torch.testing.assert_close(torch.stack(steps), net(x)[0], atol=1e-5, rtol=1e-5)
