"""Nets as Keras's models: what Keras computes with them, and what comes back from its files."""

import numpy as np
import pytest
import torch
from torch import nn

import cello
from cello import from_keras, proof_of, to_keras
from cello.convert import NetGraph
from cello.convert.keras.functions import KerasActivation
from cello.convert.onnx_read.operators.constants import Held
from cello.convert.proof import Case, run_net
from cello.convert.recurrence import recurrence_of
from cello.convert.state_parts import parts_of, state_of
from cello.errors import ArgumentError, ConversionError, ModelError
from cello.layers.encoders import KHot, OneHot
from tests.convert.keras.models import MODELS, inputs_of, keras, make


def _stack():
    return cello.Stack(
        nn.Embedding(7, 3),
        cello.GRU(3, 4, 2, bidirectional=True, dropout=0.1),
        nn.LayerNorm(8),
        nn.Dropout(0.5),
        nn.Identity(),
        nn.Linear(8, 2, bias=False),
        nn.Softmax(-1),
    )


NETS = {
    "lstm": lambda: cello.Recurrent(cello.LSTMCell(3, 4)),
    "gru": lambda: cello.Recurrent(cello.GRUCell(3, 4, recurrent_bias=True), batch_first=True),
    "reset before": lambda: cello.Recurrent(cello.GRUCell(3, 4, reset_after=False)),
    "no bias": lambda: cello.GRU(3, 4, bias=False),
    "one bias of two": lambda: cello.Recurrent(
        cello.GRUCell(3, 4, bias=False, recurrent_bias=True)
    ),
    "elman": lambda: cello.Recurrent(cello.ElmanCell(3, 4, "softsign")),
    "activations": lambda: cello.Recurrent(cello.LSTMCell(3, 4, "hard_sigmoid", "elu", "elu")),
    "other words": lambda: cello.Recurrent(cello.zoo.MGUCell(3, 4)),
    "backwards": lambda: cello.Recurrent(cello.LSTMCell(3, 4), reverse=True),
    "forward and back": lambda: cello.Stack(
        cello.Recurrent(cello.GRUCell(3, 4), reverse=True),
        cello.Recurrent(cello.GRUCell(4, 4)),
        cello.Recurrent(cello.GRUCell(4, 3), reverse=True),
        nn.Linear(3, 2),
    ),
    "both ways": lambda: cello.Bidirectional(
        cello.LSTMCell(3, 4), cello.LSTMCell(3, 4), join="mean"
    ),
    "two sizes": lambda: cello.Bidirectional(cello.GRUCell(3, 4), cello.GRUCell(3, 2)),
    "relu": lambda: cello.RNN(3, 4, 2, nonlinearity="relu"),
    "drop-in": lambda: cello.LSTM(3, 4, 2, bidirectional=True, batch_first=True),
    "stack": _stack,
    "one hot": lambda: cello.Stack(OneHot(5), cello.GRU(5, 4)),
    "activation layers": lambda: cello.Stack(
        cello.LSTM(3, 4), nn.ELU(0.5), nn.LeakyReLU(0.2), nn.GELU(), nn.SiLU(), nn.Hardtanh(),
        nn.Softplus(), nn.Softsign(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Tanh(), nn.ReLU(),
        nn.Mish(), nn.SELU(), nn.CELU(), nn.Hardshrink(), nn.Softshrink(), nn.Hardswish(),
        nn.LogSigmoid(), nn.ReLU6(), nn.Tanhshrink(), nn.LogSoftmax(-1),
        KerasActivation("squareplus"),
    ),
    "doubles": lambda: cello.Stack(cello.LSTM(3, 4), nn.Linear(4, 2)).double(),
}  # fmt: skip


def _input(net, T, B):
    torch.manual_seed(T)
    first = net[0] if isinstance(net, cello.Stack) else net
    if hasattr(first, "input_size"):
        return torch.randn(B, T, first.input_size, dtype=next(net.parameters()).dtype)
    return torch.randint(0, 5, (B, T))


def _turned(net, x):
    return x if net.batch_first else x.transpose(0, 1)


def _close(found, expected):
    found = torch.from_numpy(keras.ops.convert_to_numpy(found)).to(expected)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_keras_computes_what_the_net_does(name):
    net = NETS[name]()
    model = to_keras(net)
    proof = proof_of(model)
    assert proof.cases >= 5
    assert proof.relative < 1e-5
    assert net.training
    for T, B in ((1, 1), (6, 3)):
        x = _input(net, T, B)
        _close(model(x.numpy()), _turned(net, run_net(net, Case("", _turned(net, x)))[0]))


@pytest.mark.parametrize("name", NETS)
def test_states_are_inputs_and_outputs(name):
    net = NETS[name]()
    model = to_keras(net, states=True)
    x = _input(net, 4, 3)
    _, final = run_net(net, Case("", _turned(net, x)))
    begin = [torch.randn_like(part) for part in final.values()]
    y, final = run_net(net, Case("", _turned(net, x), begin))
    parts = parts_of(net, begin)
    assert len(model.inputs) == len(model.outputs) == 1 + len(parts)
    found, *after = model([x.numpy(), *(part.numpy() for part in parts)])
    _close(found, _turned(net, y))
    for one, two in zip(after, parts_of(net, list(final.values())), strict=True):
        _close(one, two)


@pytest.mark.parametrize("name", NETS)
def test_what_keras_writes_of_it_comes_back(name, tmp_path):
    net = NETS[name]()
    to_keras(net).save(tmp_path / "net.keras")
    again = from_keras(tmp_path / "net.keras")
    x = _input(net, 5, 2)
    y = run_net(net, Case("", _turned(net, x)))[0]
    found = again(x)
    found = found[0] if isinstance(found, tuple) else found
    torch.testing.assert_close(found, _turned(net, y), rtol=1e-5, atol=1e-5)


def test_a_state_is_told_apart_into_cells_and_back():
    net = cello.Stack(cello.LSTM(3, 4, 2, bidirectional=True), cello.Recurrent(cello.GRUCell(8, 2)))
    tensors = [torch.randn(4, 3, 4), torch.randn(4, 3, 4), torch.randn(3, 2)]
    parts = parts_of(net, tensors)
    assert [list(part.shape) for part in parts] == [[3, 4]] * 8 + [[3, 2]]
    assert torch.equal(parts[3], tensors[1][1])
    for one, two in zip(state_of(net, parts), tensors, strict=True):
        assert torch.equal(one, two)


REFUSED = {
    "it has peepholes": lambda: cello.Recurrent(cello.LSTMCell(3, 4, peephole=True)),
    "it projects": lambda: cello.LSTM(3, 4, proj_size=2),
    "its gate_activation is 'leaky_relu', and Keras has": lambda: cello.Recurrent(
        cello.GRUCell(3, 4, "leaky_relu")
    ),
    "its output_activation is 'identity' and its activation 'tanh'": lambda: cello.Recurrent(
        cello.LSTMCell(3, 4, output_activation="identity")
    ),
    r"net.0.cell \(JordanCell\) is no layer of Keras's": lambda: cello.Stack(
        cello.Recurrent(cello.JordanCell(3, 4, 2))
    ),
    "net learns its initial state": lambda: cello.Recurrent(
        cello.GRUCell(3, 4), initial_state="learned"
    ),
    r"net.1 \(Threshold\) is no layer of Keras's": lambda: cello.Stack(
        cello.GRU(3, 4), nn.Threshold(0.1, 0.0)
    ),
    r"net.1 \(PReLU\) must read \[B, features, T\]": lambda: cello.Stack(
        cello.GRU(3, 4), nn.PReLU(4)
    ),
    "dim=0, where Keras's goes over the last": lambda: cello.Stack(cello.GRU(3, 4), nn.Softmax(0)),
    r"net.1 \(BatchNorm1d\) must read \[B, features, T\]": lambda: nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4)
    ),
    "several ids a step": lambda: cello.Stack(KHot(5), cello.GRU(5, 4)),
    r"net.float\(\) first": lambda: cello.GRU(3, 4).bfloat16(),
}


@pytest.mark.parametrize(("why", "make"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_keras_has_not_is_refused_by_name(why, make):
    with pytest.raises(ModelError, match=why):
        to_keras(make())


#: Why Keras's layers cannot do what some models of Keras's have become.
NO_WAY_BACK = {
    "masked both ways": "net turns a masked sequence around",
    "pooled": r"\(GRUCell\) is no layer of Keras's",  # a leaky ReLU of 0.3 as its activation
    "normalized": r"net.constant \(Held\) reads nothing",
    "slopes": r"\(LSTMCell\) is no layer of Keras's",
    "masked alike": "net does something with a mask",  # that of either of two
    "attention": "net computes 'MatMul' between its layers",
    "weighted": "net computes 'Softmax' between its layers",
    **dict.fromkeys(
        ("masked otherwise", "not masked first", "not masked last"),
        "net computes 'Unsqueeze' between its layers",  # of the mask of a Concatenate
    ),
}


@pytest.mark.filterwarnings("ignore:Layer 'flatten.*' .* was passed an input with a mask")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", MODELS)
def test_models_of_keras_go_back_to_it(name, tmp_path):
    model = make(name)
    model.save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    if name in NO_WAY_BACK:
        with pytest.raises(ModelError, match=NO_WAY_BACK[name]):
            to_keras(net)
        return
    again = to_keras(net)
    assert proof_of(again).cases >= 5
    given = inputs_of(model, 6, 2)
    given = given if len(given) > 1 else given[0]
    found, expected = again(given), model(given, training=False)
    found = found if isinstance(found, (list, tuple)) else [found]
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    for one, two in zip(found, expected, strict=True):
        _close(one, torch.from_numpy(keras.ops.convert_to_numpy(two)))
    again.save(tmp_path / "again.keras")
    assert proof_of(from_keras(tmp_path / "again.keras")).cases >= 5


def test_a_graph_says_what_is_missing(tmp_path):
    net = NetGraph([nn.Linear(2, 3)], [[0, [0], {}]])
    with pytest.raises(ArgumentError, match=r"shapes must be given, such as \[\(None, 3\)\]"):
        to_keras(net)
    with pytest.raises(ArgumentError, match="shapes must be 1, one for each input, got 2"):
        to_keras(net, shapes=[(None, 2), (2,)])
    with pytest.raises(ArgumentError, match="states goes with layers and stacks"):
        to_keras(net, states=True)
    with pytest.raises(ArgumentError, match="shapes goes with a graph"):
        to_keras(cello.GRU(3, 4), shapes=[(None, 3)])
    assert type(to_keras(net, shapes=[(None, 2)])).__name__ == "Sequential"


def test_a_size_that_must_be_known_is_asked_for():
    layer = cello.Recurrent(cello.GRUCell(3, 2), batch_first=True)
    wiring = [[0, [0], {}], ["reshape", [1], {"shape": [-1]}], [1, [2], {}]]
    net = NetGraph([layer, nn.Linear(10, 1)], wiring)
    with pytest.raises(ArgumentError, match=r"shapes must give the sizes .* \[\(None, 3\)\]"):
        to_keras(net)
    assert proof_of(to_keras(net, shapes=[(5, 3)])).relative < 1e-5
    with pytest.raises(ModelError, match=r"Keras cannot build the model of inputs \[\(5, 4\)\]"):
        to_keras(net, shapes=[(5, 4)])


@pytest.mark.parametrize(
    ("wiring", "why"),
    [
        ([["flip", [0], {"axis": 2}]], "net turns axis 2 around"),
        ([["differs", [0], {"number": 3}]], "something with a mask"),
        ([["keep", [0, 0], {}]], "by numbers that are no mask"),
        (
            [["any_differs", [0], {"number": 0.0}], ["add", [0, 1], {}]],
            "something with a mask",
        ),
        ([[0, [0], {}]], r"net.0 reads \[T, B, features\]"),
        (
            [[1, [0], {}], ["state", [1], {"index": 0}]],
            "a final state of 1; .* at the first step of what",
        ),
        ([["state", [0], {"index": 0}]], "reads a final state of an input"),
        ([[2, [], {}], ["add", [0, 1], {}]], r"net.2 \(Held\) reads nothing"),
        ([["add", [0, None], {}]], "a node that leaves an input out"),
        (
            [["Softmax", [0], {}]],
            "net computes 'Softmax' between its layers; as .* add, any_differs, av",
        ),
    ],
)
def test_nodes_that_keras_has_not(wiring, why):
    cell = cello.GRUCell(3, 3)
    both = cello.Bidirectional(cello.GRUCell(3, 3), batch_first=True)
    net = NetGraph([cello.Recurrent(cell), both, Held([3])], wiring)
    with pytest.raises(ModelError, match=why):
        to_keras(net, shapes=[(None, 3)])


def test_states_of_two_kinds_of_cells_are_refused():
    net = cello.Bidirectional(cello.LSTMCell(3, 4), cello.GRUCell(3, 4))
    assert proof_of(to_keras(net)).relative < 1e-5
    with pytest.raises(ModelError, match="2 states forward and 1 backward"):
        to_keras(net, states=True)


def test_what_is_read_must_be_known():
    with pytest.raises(ArgumentError, match="its first module, Softmax, does not say"):
        to_keras(cello.Stack(nn.Softmax(-1), cello.LSTM(3, 4)))


def test_a_wrong_weight_is_found(monkeypatch):
    def wrong(step):
        found = recurrence_of(step)
        found.gates["z"].R[0, 0] += 0.1  # one number
        return found

    monkeypatch.setattr("cello.convert.recurrence.standard_layer.recurrence_of", wrong)
    with pytest.raises(ConversionError, match=r"the model is not equal to the net: .* instead"):
        to_keras(cello.GRU(3, 4))


def test_without_keras_it_says_what_is_needed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    with pytest.raises(ImportError, match="Keras 3 is needed"):
        to_keras(cello.GRU(3, 4))


def test_dropout_acts_in_training(tmp_path):
    model = to_keras(cello.Stack(cello.GRU(3, 40), nn.Dropout(0.5)))
    y = keras.ops.convert_to_numpy(model(np.ones((1, 5, 3), "float32"), training=True))
    assert (y == 0).any()
