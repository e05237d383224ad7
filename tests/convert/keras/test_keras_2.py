"""Files of Keras 2 and before: what they say otherwise than those of Keras 3.

They are made here from files that Keras 3 writes, changed as the older one wrote them; what they
mean is computed by Keras 3.
"""

import json

import h5py
import numpy as np
import pytest
import torch

import cello
from cello import from_keras
from tests.convert.keras.models import Input, L, S, keras, make

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]


def _old_sigmoid(x):
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def _drawn(model):
    draw = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(draw.standard_normal(weight.shape))
    return model


def _changed(file, change, version="2.2.4"):
    """The file as another Keras wrote it; `change` is given the table of the model."""
    with h5py.File(file, "r+") as opened:
        config = json.loads(opened.attrs["model_config"])
        config = change(config, opened["model_weights"]) or config
        opened.attrs["model_config"] = json.dumps(config)
        opened.attrs["keras_version"] = version
    return file


def _close(net, model, x, atol=3e-6):
    with torch.no_grad():
        y = net(torch.from_numpy(x))
    y = y[0] if isinstance(net, cello.Stack) else y
    np.testing.assert_allclose(y, model(x).detach().numpy(), atol=atol)


X = 2 * np.random.default_rng(1).standard_normal((3, 7, 5)).astype("float32")


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
@pytest.mark.parametrize("version", ["2.0.2", "2.2.4", "2.15.0", "3.0.0", "3.15.1"])
def test_hard_sigmoid_is_that_of_the_version(layer, version, tmp_path):
    """The one of Keras 2 is 0.2 x + 0.5 between 0 and 1, that of Keras 3 x / 6 + 1 / 2."""
    old = version.startswith("2")
    gate = _old_sigmoid if old else "hard_sigmoid"
    make_layer = {"LSTM": L.LSTM, "GRU": L.GRU}[layer]
    model = _drawn(
        S(
            [
                Input((None, 5)),
                make_layer(4, recurrent_activation=gate, return_sequences=True),
                L.Dense(3, activation=gate),
            ]
        )
    )
    written = S(
        [
            Input((None, 5)),
            make_layer(4, recurrent_activation="hard_sigmoid", return_sequences=True),
            L.Dense(3, activation="hard_sigmoid"),
        ]
    )
    written.set_weights(model.get_weights())
    written.save(tmp_path / "model.h5")
    net = from_keras(_changed(tmp_path / "model.h5", lambda c, w: None, version))
    _close(net, model, X)
    with cello.engine("reference"):
        _close(net, model, X)
    cello.save_model(net, tmp_path / "ours")
    _close(cello.load_model(tmp_path / "ours"), model, X)


def test_a_sequential_model_of_old_is_a_list(tmp_path):
    model = make("last step")
    model.save(tmp_path / "model.h5")

    def change(config, weights):
        layers = [
            layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"
        ]
        layers[0]["config"]["batch_input_shape"] = [None, None, 3]
        return {"class_name": "Sequential", "config": layers}

    _close(from_keras(_changed(tmp_path / "model.h5", change, "2.1.4")), model, X[..., :3])


def _transposed(kernel, gates):
    """Keras's conversion of a kernel for CuDNN: each gate's numbers along the other axis first."""
    return np.hstack([k.T.reshape(k.shape, order="C") for k in np.hsplit(kernel, gates)])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("both", [False, True])
def test_layers_for_cudnn(kind, both, tmp_path):
    """Kernels are transposed gate by gate; there are two biases, of an LSTM one after the other."""
    layer = L.LSTM(4, return_sequences=True) if kind == "LSTM" else L.GRU(4, return_sequences=True)
    model = _drawn(S([Input((None, 5)), L.Bidirectional(layer) if both else layer, L.Dense(2)]))
    model.save(tmp_path / "model.h5")
    gates = 4 if kind == "LSTM" else 3

    def change(config, weights):
        told = config["config"]["layers"][1]
        for part in (
            (told["config"]["layer"], told["config"]["backward_layer"]) if both else (told,)
        ):
            part["class_name"] = f"CuDNN{kind}"
            for name in ("activation", "recurrent_activation", "use_bias", "reset_after"):
                part["config"].pop(name, None)
        group = weights[told["config"]["name"]]
        for path in group.attrs["weight_names"]:
            path = path.decode() if isinstance(path, bytes) else path
            array = group[path][()]
            if path.split("/")[-1].startswith("recurrent"):
                array = np.hstack([k.T for k in np.hsplit(array, gates)])
            elif "kernel" in path.split("/")[-1]:
                array = _transposed(array, gates)
            elif kind == "LSTM":
                share = np.linspace(-1, 1, array.size).astype("float32")
                array = np.concatenate([array - share, share])
            else:
                array = array.reshape(-1)
            del group[path]
            group[path] = array

    net = from_keras(_changed(tmp_path / "model.h5", change))
    _close(net, model, X)
    cells = [m for m in net.modules() if isinstance(m, cello.Cell)]
    assert len(cells) == 1 + both
    assert all(
        cell.gate_activation == "sigmoid" for cell in cells if hasattr(cell, "gate_activation")
    )


def test_doubled_biases_of_another_size_are_refused(tmp_path):
    S([Input((None, 5)), L.LSTM(4)]).save(tmp_path / "model.h5")

    def change(config, weights):
        config["config"]["layers"][1]["class_name"] = "CuDNNLSTM"

    with pytest.raises(cello.errors.ModelError, match=r"bias must be \[32\], found \[16\]"):
        from_keras(_changed(tmp_path / "model.h5", change))


def _as_before(config, *, more=None):
    """Calls as lists of (layer, call, place, arguments), not as tables of arguments."""
    for layer in config["config"]["layers"]:
        calls = []
        for call in layer["inbound_nodes"]:
            given = call["args"][0] if isinstance(call["args"][0], list) else call["args"]
            calls.append([[*one["config"]["keras_history"], more or {}] for one in given])
        layer["inbound_nodes"] = calls


def _of_two_branches():
    x = Input((None, 5))
    branches = [L.LSTM(3, return_sequences=True)(x), L.GRU(2, return_sequences=True)(x)]
    return _drawn(keras.Model(x, L.Concatenate()(branches)))


def test_calls_as_they_were_written(tmp_path):
    model = _of_two_branches()
    model.save(tmp_path / "model.h5")
    net = from_keras(_changed(tmp_path / "model.h5", lambda config, _: _as_before(config)))
    _close(net, model, X)


@pytest.mark.parametrize("inside", ["model", "sequential"])
def test_calls_of_models_are_counted_from_1(inside, tmp_path):
    """As Keras 2 counted calls of a model that begins with an input, wherever they are read."""
    x = Input((None, 5))
    y = L.LSTM(5, return_sequences=True)(x)
    encoder = keras.Model(x, y) if inside == "model" else S([x, L.LSTM(5, return_sequences=True)])
    model = _drawn(keras.Model(a := Input((None, 5)), encoder(L.Dense(5)(encoder(a)))))
    model.save(tmp_path / "model.h5")

    def change(config, _):
        _as_before(config)
        for layer in config["config"]["layers"]:
            for call in layer["inbound_nodes"]:
                for key in call:
                    key[1] += key[0] == encoder.name
        config["config"]["output_layers"][1] = 2

    file = _changed(tmp_path / "model.h5", change, version="2.11.0")
    _close(from_keras(file), model, X)


@pytest.mark.parametrize(("more", "refused"), [({"training": False}, False), ({"mask": 1}, True)])
def test_arguments_of_calls_as_they_were_written(more, refused, tmp_path):
    _of_two_branches().save(tmp_path / "model.h5")
    file = _changed(
        tmp_path / "model.h5", lambda config, _: _as_before(config, more=more), version="2.11.0"
    )
    if refused:
        with pytest.raises(cello.errors.ModelError, match="is called with arguments"):
            from_keras(file)
    else:
        from_keras(file)


def test_a_mask_is_heeded_beside_states(tmp_path):
    def model(named):
        a, b = Input((None, 5)), Input((None, 3))
        _, state = L.GRU(4, return_state=True)(a)
        mask = {"mask": keras.ops.any(keras.ops.not_equal(b, 0.0), axis=-1)} if named else {}
        return keras.Model([a, b], L.GRU(4)(L.Masking(0.0)(b), initial_state=state, **mask))

    named, written = _drawn(model(named=True)), model(named=False)
    written.set_weights(named.get_weights())
    written.save(tmp_path / "model.h5")
    net = from_keras(_changed(tmp_path / "model.h5", lambda c, w: None, "2.15.0"))
    b = X[:, :, :3].copy()
    b[:, 2:4] = 0
    with torch.no_grad():
        y = net(torch.from_numpy(X), torch.from_numpy(b))
    np.testing.assert_allclose(y, named([X, b]).detach().numpy(), atol=3e-6)
