"""RTNeural's files, read and written: compared with its equations, written here once more."""

import json
import random

import numpy as np
import pytest
import torch
from torch import nn

import cello
from cello import from_rtneural, to_rtneural
from cello.convert import NetGraph
from cello.convert.proof import proof_of
from cello.convert.rtneural.rtneural_reader import _LARGEST
from cello.errors import ConversionError, ModelError, ShapeError


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _lstm(x, W, U, b):
    """The LSTM of Keras and RTNeural, a sample at a time: columns i f c o."""
    H = U.shape[0]
    h = c = np.zeros(H)
    for sample in x:
        z = sample @ W + h @ U + b
        i, f, o = _sigmoid(z[:H]), _sigmoid(z[H : 2 * H]), _sigmoid(z[3 * H :])
        c = f * c + i * np.tanh(z[2 * H : 3 * H])
        h = o * np.tanh(c)
        yield h


def _gru(x, W, U, b):
    """The GRU of Keras with reset_after: columns z r h, and two biases."""
    H = U.shape[0]
    h = np.zeros(H)
    for sample in x:
        of_x, of_h = sample @ W + b[0], h @ U + b[1]
        z, r = (_sigmoid(of_x[k : k + H] + of_h[k : k + H]) for k in (0, H))
        candidate = np.tanh(of_x[2 * H :] + r * of_h[2 * H :])
        h = z * h + (1 - z) * candidate
        yield h


def _layer(kind, activation, size, *weights):
    arrays = [np.round(weight, 4).tolist() for weight in weights]
    return {"type": kind, "activation": activation, "shape": [None, None, size], "weights": arrays}


@pytest.fixture
def plug_in(tmp_path):
    """A file as Keras's models are written, and what it computes."""
    draw = np.random.default_rng(0).standard_normal
    layers = [
        _layer("time-distributed-dense", "tanh", 3, draw((2, 3)), draw(3)),
        _layer("gru", "tanh", 4, draw((3, 12)), draw((4, 12)), draw((2, 12))),
        _layer("lstm", "tanh", 5, draw((4, 20)), draw((5, 20)), draw(20)),
        _layer("dense", "sigmoid", 2, draw((5, 2)), draw(2)),
        _layer("dense", "", 1, draw((2, 1)), draw(1)),
    ]
    file = tmp_path / "plug-in.json"
    file.write_text(json.dumps({"in_shape": [None, None, 2], "layers": layers}))
    a, g, m, d, e = ([np.array(weight) for weight in layer["weights"]] for layer in layers)
    x = draw((9, 2))
    y = np.tanh(x @ a[0] + a[1])
    y = np.array(list(_lstm(_gru(y, *g), *m)))
    y = _sigmoid(y @ d[0] + d[1]) @ e[0] + e[1]
    return file, x, y


def _run(net, x):
    with torch.no_grad():
        return net(torch.tensor(x, dtype=torch.get_default_dtype())[:, None])[0][:, 0].numpy()


def test_reads_what_keras_writes(plug_in):
    file, x, y = plug_in
    net = from_rtneural(file)
    assert not net.training
    np.testing.assert_allclose(_run(net, x), y, atol=1e-6)


def test_activations_as_layers_of_their_own(plug_in, tmp_path):
    file, x, y = plug_in
    data = json.loads(file.read_text())
    for at, size, name in ((0, 3, "tanh"), (4, 2, "sigmoid")):
        data["layers"][at]["activation"] = ""
        own = {"type": "activation", "activation": name, "shape": [None, None, size]}
        data["layers"].insert(at + 1, own)
    data["layers"].append({"type": "activation", "activation": "relu", "shape": [None, 1]})
    apart = tmp_path / "apart.json"
    apart.write_text(json.dumps(data))
    net = from_rtneural(apart)
    assert isinstance(net[-1], nn.ReLU)
    np.testing.assert_allclose(_run(net, x), np.maximum(y, 0), atol=1e-6)
    for change in ({"shape": [None, 7]}, {"activation": "sin"}, {"activation": None}):
        data["layers"][1] = own | {"shape": [None, 3]} | change
        apart.write_text(json.dumps(data))
        with pytest.raises(ModelError, match=r"layers\[1\] \(activation\) (must name|has the act)"):
            from_rtneural(apart)


def test_convolutions_look_back(plug_in, tmp_path):
    file, _, _ = plug_in
    data = json.loads(file.read_text())
    draw = np.random.default_rng(1).standard_normal
    W, b = draw((3, 1, 2)), draw(2)
    conv = _layer("conv1d", "tanh", 2, W, b) | {"kernel_size": [3], "dilation": [2]}
    W, b = (np.array(weight) for weight in conv["weights"])
    data = {"in_shape": [None, None, 1], "layers": [conv, *data["layers"]]}
    convolved = tmp_path / "convolved.json"
    convolved.write_text(json.dumps(data))
    net, x = from_rtneural(convolved), draw((9, 1))
    before = {t: x[t] if t >= 0 else np.zeros(1) for t in range(-4, 9)}
    y = np.stack([np.tanh(before[t] @ W[2] + before[t - 2] @ W[1] + before[t - 4] @ W[0] + b)
                  for t in range(9)])  # fmt: skip
    expected = _run(from_rtneural(file), y)
    found = net(torch.tensor(x, dtype=torch.float32)[None])[0].detach()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert proof_of(net).cases > 5
    for change in ({"dilation": [10**9]}, {"groups": 2}, {"groups": 0}, {"kernel_size": [2]}):
        convolved.write_text(json.dumps(data | {"layers": [conv | change]}))
        why = r"reads more than 100,000|must be numbers \[2, 1, 2|groups must be a list"
        with pytest.raises(ModelError, match=why):
            from_rtneural(convolved)


def _own(kind, size, *weights, **more):
    return _layer(kind, "", size, *weights) | more


@pytest.fixture
def layers():
    """A line of all that RTNeural has, in one dimension, and what it computes of an input."""
    draw = np.random.default_rng(2).standard_normal
    W, a, b = draw((2, 2, 4)), draw((1, 4)), draw((4, 4)) ** 2 + 0.1
    made = [
        _own("conv1d", 4, W, draw(4), kernel_size=[2], dilation=[3], groups=2),
        _own("batchnorm", 4, *b, epsilon=0.01),
        _own("batchnorm", 4, b[1], b[2], epsilon=0.5),
        _own("prelu", 4, a),
        _own("prelu", 4, [[0.25]]),
        _layer("dense", "elu", 3, draw((4, 3))),
        _layer("lstm", "", 3, draw((3, 12)), draw((3, 12)), draw(12)),
        {"type": "activation", "activation": "softmax", "shape": [None, 3], "weights": []},
        _layer("dense", "", 1, draw((3, 1)), draw(1)),
    ]
    (W, c), b, m, (a,), _, (D,), lstm, _, (E, e) = (
        [np.array(weight) for weight in layer["weights"]] for layer in made
    )

    def run(x):
        before = np.concatenate([np.zeros((3, 4)), x])
        pairs = [
            np.hstack([old[k : k + 2] @ W[0][:, k : k + 2] + x[k : k + 2] @ W[1][:, k : k + 2]
                       for k in (0, 2)])
            for old, x in zip(before, x, strict=False)
        ]  # fmt: skip
        y = np.array(pairs) + c
        y = b[0] * (y - b[2]) / np.sqrt(b[3] + 0.01) + b[1]
        y = (y - m[0]) / np.sqrt(m[1] + 0.5)
        y = np.where(y < 0, a * y, y)
        y = np.where(y < 0, 0.25 * y, y) @ D
        y = np.array(list(_lstm(np.where(y < 0, np.exp(y) - 1, y), *lstm)))
        return (np.exp(y) / np.exp(y).sum(1, keepdims=True)) @ E + e

    return made, run


@pytest.mark.parametrize("skip", [False, True])
def test_all_layers_both_ways(layers, tmp_path, skip):
    layers, run = layers
    data = {"in_shape": [None, None, 4], "layers": layers, "in_skip": int(skip)}
    file, again = tmp_path / "all.json", tmp_path / "again.json"
    file.write_text(json.dumps(data))
    x = np.random.default_rng(0).standard_normal((9, 4))
    net = from_rtneural(file)
    found = net(torch.tensor(x, dtype=torch.float32)[None])[0].detach()
    np.testing.assert_allclose(found, run(x) + skip * x[:, :1], atol=1e-6)
    with pytest.raises(ShapeError, match=r"must be \[any0, any1, 4\]|must be \[B, T, 4\]"):
        net(torch.zeros(1, 9, 3))
    to_rtneural(net, again)
    written = json.loads(again.read_text())
    assert [layer["type"] for layer in written["layers"]] == [layer["type"] for layer in layers]
    assert ("in_skip" in written) == skip
    same = from_rtneural(again)(torch.tensor(x, dtype=torch.float32)[None])[0].detach()
    torch.testing.assert_close(same, found)
    cello.to_onnx(net, tmp_path / "all.onnx")
    cello.save_model(net, tmp_path / "all")


def test_layers_that_lie(layers, tmp_path):
    layers, _ = layers
    for at, change, why in (
        (1, {"epsilon": None}, "must keep 4 numbers and have an epsilon"),
        (2, {"weights": layers[2]["weights"][:1]}, "must have 2 arrays"),
        (3, {"weights": [[[1.0, 2.0]]]}, "a slope, or one for each of 4"),
        (3, {"shape": [None, 3]}, "a slope, or one for each of 4"),
    ):
        changed = [layer | (change if n == at else {}) for n, layer in enumerate(layers)]
        (tmp_path / "bad.json").write_text(json.dumps({"in_shape": [4], "layers": changed}))
        with pytest.raises(ModelError, match=why):
            from_rtneural(tmp_path / "bad.json")
    for skip, some in ((2, layers), (True, layers[:1])):
        data = {"in_shape": [4], "layers": some, "in_skip": skip}
        (tmp_path / "bad.json").write_text(json.dumps(data))
        with pytest.raises(ModelError, match=r"it adds (2|True) of its inputs to \[[14]\] outputs"):
            from_rtneural(tmp_path / "bad.json")


@pytest.mark.parametrize(("skip", "width"), [(0, 1), (1, 1), (1, 2)])
def test_a_state_dict_beside_what_the_model_is(tmp_path, skip, width):
    theirs = nn.ModuleDict({"rec": nn.LSTM(width, 3), "lin": nn.Linear(3, 1)})
    weights = {name: value.tolist() for name, value in theirs.state_dict().items()}
    told = {"model": "SimpleRNN", "skip": skip, "unit_type": "LSTM"}
    file = tmp_path / "amplifier.json"
    file.write_text(json.dumps({"model_data": told, "state_dict": weights}))
    net, x = from_rtneural(file), torch.randn(5, 2, width)
    y = theirs["lin"](theirs["rec"](x)[0]) + skip * x[..., :1]
    if isinstance(net, NetGraph):
        torch.testing.assert_close(net(x.transpose(0, 1)), y.transpose(0, 1))
        assert cello.to_c(net, tmp_path, name="amplifier").difference < 1e-5
        assert proof_of(cello.to_keras(net)).largest < 1e-5
    else:
        torch.testing.assert_close(net(x)[0], y)
    assert proof_of(net).cases > 10


def test_gains_are_the_plug_in_s(plug_in, tmp_path):
    data = json.loads(plug_in[0].read_text()) | {"in_gain": -6.0, "out_gain": 0}
    (tmp_path / "loud.json").write_text(json.dumps(data))
    with pytest.warns(UserWarning, match=r"loud.json has in_gain, in decibels"):
        net = from_rtneural(tmp_path / "loud.json")
    np.testing.assert_allclose(_run(net, plug_in[1]), plug_in[2], atol=1e-6)


def test_reads_what_pytorch_writes(tmp_path):
    theirs = nn.ModuleDict({"rnn": nn.LSTM(2, 3, 2), "gru": nn.GRU(3, 4), "out": nn.Linear(4, 1)})
    file = tmp_path / "net.json"
    file.write_text(json.dumps({k: v.tolist() for k, v in theirs.state_dict().items()}))
    x = torch.randn(5, 2, 2)
    expected = theirs["out"](theirs["gru"](theirs["rnn"](x)[0])[0])
    torch.testing.assert_close(from_rtneural(file)(x)[0], expected)


def test_writes_what_keras_would(plug_in, tmp_path):
    file, _, _ = plug_in
    to_rtneural(from_rtneural(file), tmp_path / "again.json")
    first, second = (json.loads(f.read_text()) for f in (file, tmp_path / "again.json"))
    assert second["in_shape"] == first["in_shape"]
    for ours, theirs in zip(second["layers"], first["layers"], strict=True):
        assert ours["type"] == theirs["type"].replace("time-distributed-", "")
        assert (ours["activation"], ours["shape"]) == (theirs["activation"], theirs["shape"])
        for one, two in zip(ours["weights"], theirs["weights"], strict=True):
            if len(two) == 2 and ours["type"] == "gru":  # two biases, which only n keeps apart
                one, two = (np.hstack([np.sum(b, 0)[:8], *np.array(b)[:, 8:]]) for b in (one, two))
            np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    "net",
    [
        lambda: cello.Recurrent(cello.LSTMCell(2, 3)),
        lambda: cello.Recurrent(cello.GRUCell(2, 3), batch_first=True),
        lambda: cello.GRU(2, 3, 2, bias=False),
        lambda: cello.LSTM(2, 3, 2, dtype=torch.float64),
        lambda: cello.Stack(
            nn.Linear(2, 3, bias=False),
            nn.ReLU(),
            nn.Dropout(0.5),
            cello.LSTM(3, 3, batch_first=True),
            batch_first=True,
        ),
    ],
)
def test_there_and_back(net, tmp_path):
    net = net()
    to_rtneural(net, tmp_path / "net.json")
    assert net.training
    x = np.random.default_rng(0).standard_normal((6, 2))
    again = from_rtneural(tmp_path / "net.json")
    given = torch.tensor(x)[:, None].to(next(net.parameters()))
    given = given.transpose(0, 1) if net.batch_first else given
    y = net.eval()(given)[0].flatten(0, 1).detach().numpy()
    np.testing.assert_allclose(_run(again, x), y, atol=1e-6)


def _graph(module, before, **more):
    """A module over steps behind zeros, in a graph that reads [B, T, features]."""
    turned, name = ["permute", [1], {"axes": [0, 2, 1]}], type(module).__name__.lower()
    nodes = [["pad", [0], {"before": before} | more], turned, [0, [2], {}]]
    if isinstance(module, nn.Linear):
        nodes = [nodes[0], [0, [1], {}]]
    return NetGraph([module], nodes, names=[name])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: cello.Recurrent(cello.JordanCell(2, 3, 1)), "an RNN, an LSTM and a GRU only"),
        (lambda: cello.RNN(2, 3), "RTNeural has no RNN"),
        (lambda: cello.LSTM(2, 3, proj_size=2), "no LSTM with a projection"),
        (lambda: cello.LSTM(2, 3, bidirectional=True), r"net \(LSTM\) is no layer that RTNeural"),
        (lambda: cello.Recurrent(cello.GRUCell(2, 3), reverse=True), "that read forward"),
        (lambda: cello.Stack(nn.GELU(), cello.LSTM(2, 3)), r"net\[0\] \(GELU\)"),
        (lambda: cello.Stack(nn.ELU(2.0), cello.LSTM(2, 3)), r"net\[0\] \(ELU\)"),
        (lambda: _graph(nn.Conv1d(2, 3, 2), before=2), "conv1d .* is no convolution of RTNeural's"),
        (lambda: _graph(nn.Conv1d(2, 3, 2, stride=2), before=1), "is no convolution of RTNeural's"),
        (lambda: _graph(nn.Conv1d(2, 3, 2), before=1, after=1), "pad.* is nothing that RTNeural"),
        (lambda: _graph(nn.Linear(2, 3), before=1), "linear .* is nothing that RTNeural knows"),
        (
            lambda: NetGraph([nn.Linear(2, 2)], [[0, [0], {}], ["multiply", [1, 0], {}]]),
            "node 1 .multiply, behind 0 .Linear.. is nothing that RTNeural knows",
        ),
        (lambda: nn.Identity(), "net has no layer"),
    ],
)
def test_what_rtneural_has_not_is_refused_and_leaves_no_file(make, why, tmp_path):
    with pytest.raises(ModelError, match=why):
        to_rtneural(make(), tmp_path / "net.json")
    assert not list(tmp_path.iterdir())


def test_what_was_written_wrong_is_not_put_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "cello.convert.rtneural.rtneural_writer.r_and_z_exchanged", lambda w: w.flip(0)
    )
    file = tmp_path / "net.json"
    file.write_text("mine")
    net = cello.Stack(nn.Linear(1, 2), cello.GRU(2, 3))
    with pytest.raises(ConversionError, match=r"net.json is not equal .* \(T = 1, B = 1\)"):
        to_rtneural(net, file)
    assert file.read_text() == "mine"


def test_what_was_read_wrong_is_not_returned(plug_in, monkeypatch):
    monkeypatch.setattr(
        "cello.convert.rtneural.rtneural_layers.r_and_z_exchanged", lambda rows: rows
    )
    with pytest.raises(ConversionError, match=r"is not equal to the net: the output"):
        from_rtneural(plug_in[0])


def test_both_ways_say_how_equal_the_two_are(plug_in, tmp_path):
    net = from_rtneural(plug_in[0])
    written = to_rtneural(net, tmp_path / "net.json")
    for proof in (proof_of(net), written):
        assert proof.cases > 10
        assert 0 < proof.largest < 1e-5


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="cannot write"):
        to_rtneural(cello.LSTM(1, 1), tmp_path / "no" / "net.json")


class TestBadFiles:
    def _refuses(self, tmp_path, text, why):
        file = tmp_path / "bad.json"
        file.write_text(text)
        with pytest.raises(ModelError, match=why):
            from_rtneural(file)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "is no JSON file"),
            ("[" * 100_000, "is no JSON file"),
            ("3", "must be a table"),
            ("{}", "it is empty"),
            ('{"layers": 3}', "layers must be a list"),
            ('{"layers": [3]}', "in_shape must be a list"),
            ('{"in_shape": [1], "layers": [3]}', r"layers\[0\] must be a table, got 3"),
            ('{"in_shape": [1], "layers": [{"type": "conv2d"}]}', "is of type 'conv2d'; known are"),
            ('{"a.weight": [["1"]]}', "a.weight must be numbers, found something else"),
            ('{"epochs": 10, "layers_data": [[4, "relu"]]}', "neither .*, but 'epochs', 'layers_d"),
            ('{"a.weight": [[1], [1, 2]]}', "must be numbers, found something else"),
            ('{"a.weight": [[1e999]]}', "contains NaN or infinity"),
            ('{"a.weight": [1]}', r"the layer 'a' holds weight \[1\]: of a state dict, recurrent"),
            ('{"weight": [[[1]]]}', r"a layer without a name holds weight \[1, 1, 1\]: of a state"),
            ('{"a.weight": [[1]], "a.bias": [1, 2]}', r"a.bias must be \[1\]"),
            ('{"a.weight": [[1]], "b.weight": [[1, 2]]}', "layer 1 reads 2 features, the one"),
        ],
    )
    def test_is_refused_with_the_place(self, tmp_path, text, why):
        self._refuses(tmp_path, text, why)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"shape": [None, None, 10**12]}, r"must be numbers \[2, 1000000000000\], found"),
            ({"shape": [None, None, True]}, r"layers\[0\].shape must be a list that ends in a"),
            ({"weights": 3}, r"layers\[0\].weights must be a list"),
            ({"weights": []}, "must have 1 arrays of weights, has 0"),
            (
                {"activation": "sin"},
                "has the activation 'sin'; known are tanh, relu, sigmoid, soft",
            ),
            ({"activation": [1]}, r"has the activation \[1\]"),
            ({"type": "lstm"}, r"must be numbers \[12\]|must have 3 arrays"),
        ],
    )
    def test_layer_that_lies(self, plug_in, tmp_path, change, why):
        data = json.loads(plug_in[0].read_text())
        data["layers"][0].update(change)
        self._refuses(tmp_path, json.dumps(data), why)

    def test_an_lstm_of_another_function(self, plug_in, tmp_path):
        data = json.loads(plug_in[0].read_text())
        data["layers"][2]["activation"] = "relu"
        self._refuses(tmp_path, json.dumps(data), "where RTNeural computes tanh")

    def test_a_missing_and_an_endless_file(self, tmp_path):
        with pytest.raises(ModelError, match="cannot read"):
            from_rtneural(tmp_path / "none.json")
        with open(tmp_path / "large.json", "wb") as file:
            file.truncate(_LARGEST + 1)
        with pytest.raises(ModelError, match="is larger than 64 MiB"):
            from_rtneural(tmp_path / "large.json")

    def test_mutated_files_are_read_or_refused(self, plug_in, tmp_path):
        good = plug_in[0].read_bytes()
        draw, file = random.Random(0), tmp_path / "mutated.json"
        refused = 0
        for _ in range(150):
            data = bytearray(good)
            for _ in range(draw.choice((1, 3, 30))):
                place = draw.randrange(len(data))
                data[place : place + draw.randrange(3)] = draw.choice(
                    (b"", b"[", b"}", b'"', b"9", b"-", b"null", bytes([draw.randrange(256)]))
                )
            file.write_bytes(data)
            try:
                from_rtneural(file)
            except ModelError:
                refused += 1
        assert refused > 50
