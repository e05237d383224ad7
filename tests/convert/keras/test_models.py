"""Keras's models, opened: what Keras computes, in both of its file formats."""

import json
import sys
import zipfile

import numpy as np
import pytest
import torch

import cello
from cello import from_keras
from cello.convert import NetGraph
from cello.convert.keras.functions import ACTIVATIONS, KERAS_2
from cello.errors import ConversionError, ModelError, ShapeError
from tests.convert.keras.models import MODELS, Input, L, S, inputs_of, keras, make

pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer 'flatten.*' .* was passed an input with a mask"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]

SIZES = ((6, 2), (6, 1), (9, 3))


def _tensors(given):
    return [torch.from_numpy(x) for x in given]


def _call(net, given):
    with torch.no_grad():
        found = net(*_tensors(given))
    found = found[0] if isinstance(net, cello.Stack) else found
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_keras_does(name, tmp_path):
    model = make(name)
    keras_file, legacy = tmp_path / "model.keras", tmp_path / "model.h5"
    model.save(keras_file)
    model.save(legacy)
    net, same = from_keras(keras_file), from_keras(legacy)
    for opened in (net, same):
        assert cello.proof_of(opened).cases >= 5
        assert cello.proof_of(opened).relative < 1e-5
    assert not any(module.training for module in net.modules())
    for T, B in SIZES:
        given = inputs_of(model, T, B)
        expected = model(given if len(given) > 1 else given[0], training=False)
        expected = expected if isinstance(expected, (list, tuple)) else [expected]
        found = _call(net, given)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=2e-6)
        for one, two in zip(found, _call(same, given), strict=True):
            assert torch.equal(one, two)
    cello.save_model(net, tmp_path / "ours")
    for one, two in zip(found, _call(cello.load_model(tmp_path / "ours"), given), strict=True):
        assert torch.equal(one, two)


def _of_dicts():
    a, b = Input((None, 3), name="z"), Input((None, 2), name="m")
    y = L.LSTM(4, return_sequences=True)(L.Concatenate()([a, b]))
    return keras.Model({"z": a, "m": b}, {"two": y, "one": [L.Dense(2)(y), L.Dense(3)(b)]})


def _of_dicts_inside():
    inner, a, b = _of_dicts(), Input((None, 2)), Input((None, 3))
    made = inner({"z": b, "m": a})
    return keras.Model([a, b], [made["two"], *made["one"]])


def _by_names_inside():
    a, b = Input((None, 3), name="b"), Input((None, 2), name="a")
    inner = keras.Model([a, b], L.Concatenate()([L.LSTM(4, return_sequences=True)(a), b]))
    x, y = Input((None, 2)), Input((None, 3))
    return keras.Model([x, y], inner({"b": y, "a": x}))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("make_model", [_of_dicts, _of_dicts_inside, _by_names_inside])
def test_dicts_are_in_the_order_of_their_keys(make_model, suffix, tmp_path):
    model = make_model()
    model.save(tmp_path / f"model.{suffix}")
    net = from_keras(tmp_path / f"model.{suffix}")
    assert cello.proof_of(net).cases >= 5
    given = inputs_of(model, 5, 2)
    assert [x.shape[-1] for x in given] == [2, 3]
    made = model({"m": given[0], "z": given[1]} if make_model is _of_dicts else given)
    expected = keras.tree.flatten(made)
    for ours, theirs in zip(_call(net, given), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=2e-6)


def test_a_chain_of_layers_is_a_stack_and_can_be_streamed(tmp_path):
    make("lstm").save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    assert isinstance(net, cello.Stack)
    x = torch.randn(2, 5, 3)
    stream = net.stream(batch_size=2)
    steps = torch.stack([stream(x[:, t]) for t in range(5)], 1)
    torch.testing.assert_close(steps, net(x)[0])


@pytest.mark.parametrize("name", ["masked words", "branches", "encoder and decoder"])
def test_a_graph_is_recorded_and_trained(name, tmp_path):
    model = make(name)
    model.save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    assert isinstance(net, NetGraph)
    given = _tensors(inputs_of(model, 6, 2))
    with cello.engine("reference"):
        expected = net(*given)
    torch.testing.assert_close(net(*given), expected)
    net(*given).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    recording = cello.record(net, *given) if len(given) == 1 else None
    assert recording is None or recording.names


def test_a_float64_model_stays_one(tmp_path):
    model = S([Input((None, 3), dtype="float64"), L.LSTM(4, dtype="float64")])
    model.save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    np.testing.assert_allclose(_call(net, [x])[0], model(x).detach().numpy(), atol=1e-12)


CELL_ACTIVATIONS = sorted(set(ACTIVATIONS) - {"glu", KERAS_2})


@pytest.mark.usefixtures("step_by_step")
@pytest.mark.parametrize("name", CELL_ACTIVATIONS)
def test_every_activation(name, tmp_path):
    """Each that Keras has, in a cell, as a gate, in a layer of its own and in a Dense."""
    model = S(
        [
            Input((None, 3)),
            L.Dense(4, activation=name),
            L.SimpleRNN(4, activation=name, return_sequences=True),
            L.LSTM(4, recurrent_activation=name, return_sequences=True),
            L.Activation(name),
        ]
    )
    draw = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(draw.standard_normal(weight.shape) / 9)
    model.save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    for T, B in SIZES:
        given = inputs_of(model, T, B)
        np.testing.assert_allclose(
            _call(net, given)[0], model(given[0]).detach().numpy(), atol=2e-5, rtol=1e-5
        )
    cello.save_model(net, tmp_path / "ours")
    again = _call(cello.load_model(tmp_path / "ours"), given)[0]
    assert torch.equal(again, _call(net, given)[0])


def test_all_activations_of_keras_are_known_but_two():
    known = set(keras.src.activations.ALL_OBJECTS_DICT)
    assert known - set(ACTIVATIONS) == {"threshold", "sparsemax"}
    assert set(ACTIVATIONS) - known == {KERAS_2}


def test_one_that_halves_is_a_layer_only(tmp_path):
    model = S([Input((None, 3)), L.LSTM(4, return_sequences=True), L.Dense(6, activation="glu")])
    model.save(tmp_path / "model.keras")
    given = inputs_of(model, 5, 2)
    found = _call(from_keras(tmp_path / "model.keras"), given)[0]
    np.testing.assert_allclose(found, model(given[0]).detach().numpy(), atol=2e-6)
    cell = S([Input((None, 3)), L.SimpleRNN(4)])
    cell.layers[0].cell.activation = keras.activations.glu
    cell.save(tmp_path / "cell.keras")
    with pytest.raises(cello.errors.ModelError, match="activation='glu' gives half of what"):
        from_keras(tmp_path / "cell.keras")


def test_what_was_read_wrong_is_not_returned(tmp_path, monkeypatch):
    make("reset before").save(tmp_path / "model.keras")
    monkeypatch.setattr("cello.convert.keras.keras_cells._r_first", lambda weights, axis=0: weights)
    with pytest.raises(ConversionError, match=r"the model of Keras's is not equal to the net: the"):
        from_keras(tmp_path / "model.keras")


def test_without_keras_it_says_that_nothing_was_run(tmp_path, monkeypatch):
    make("lstm").save(tmp_path / "model.keras")
    monkeypatch.setitem(sys.modules, "keras", None)
    proof = cello.proof_of(from_keras(tmp_path / "model.keras"))
    assert proof.cases == 0
    assert proof.not_run.startswith("nothing was run, only sizes were compared: Keras 3 is needed")


def test_what_would_take_too_much_memory_is_not_run(tmp_path):
    model = S([Input((3,)), L.RepeatVector(2_000_000_000), L.GRU(2)])
    model.save(tmp_path / "model.keras")
    proof = cello.proof_of(from_keras(tmp_path / "model.keras"))
    assert proof.not_run == "something in it is 2,000,000,000 steps or numbers long"


def test_keras_is_given_no_objects_that_a_file_names(tmp_path):
    file = tmp_path / "model.keras"
    make("lstm").save(file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    for layer in config["config"]["layers"]:
        layer["module"] = "antigravity"  # which would open a browser
        named = {"module": "antigravity", "class_name": "fly", "config": {}, "registered_name": "x"}
        layer["config"] |= {"kernel_initializer": named, "bias_regularizer": named}
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert cello.proof_of(from_keras(file)).cases >= 5
    assert "antigravity" not in sys.modules


@keras.saving.register_keras_serializable("mine")
class Mine(L.LSTM):
    """A layer of somebody's own."""


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        (lambda: [L.Lambda(lambda x: 2 * x)], r"the layer 'lambda\w*' \(Lambda\) cannot be opened"),
        (lambda: [Mine(2)], r"\(Mine\) cannot be opened: it is a class of somebody's own"),
        (
            lambda: [L.LSTM(2, activation=keras.activations.threshold)],
            "'threshold' is none of celu",
        ),
        (lambda: [L.LSTM(2, activation=L.PReLU())], r"activation=.* is none of celu"),
        (lambda: [L.MaxPooling1D(2, padding="same")], "padding='same'"),
        (lambda: [L.Conv1D(2, 2, strides=2, padding="same")], "padding='same' with strides=2"),
        (lambda: [L.Masking(), L.LSTM(2, return_sequences=True), L.Flatten()], "masked steps"),
        (lambda: [L.TimeDistributed(L.Conv1D(2, 1))], "Conv1D at each time step"),
        (lambda: [L.LSTM(2, dtype="float16")], "its numbers are 'float16'"),
        (lambda: [L.ReLU(threshold=3.0)], "a ReLU with a threshold"),
        (lambda: [L.ReLU(max_value=0)], "a ReLU with max_value=0"),
        (lambda: [L.PReLU()], "shared_axes=None is not time"),
        (
            lambda: [L.Normalization(axis=1, mean=0.0, variance=1.0)],
            r"axis=\[1\] is not that of the",
        ),
        (lambda: [L.Cropping1D((0, 1)), L.SeparableConv1D(2, 2)], "it has no equal here"),
    ],
)
def test_what_has_no_equal_is_refused_by_name(layers, why, tmp_path):
    shape = (4, 3, 3) if "at each" in why else (4, 3)
    model = S([Input(shape), *layers()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(cello.errors.ModelError, match=why):
        from_keras(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda x: L.Attention()([x, x], use_causal_mask=True), "called with use_causal_mask=True"),
        (lambda x: L.Attention(score_mode="concat")([x, x]), "score_mode='concat'"),
        (lambda x: L.Attention()([L.Masking()(x), x]), "it reads masked steps"),
    ],
)
def test_attention_that_is_more_than_products_is_refused(make, why, tmp_path):
    x = Input((4, 3))
    keras.Model(x, make(x)).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=why):
        from_keras(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda x, _: keras.ops.cumsum(x, 1),
            r"the operation 'cumsum\w*' \(Cumsum\) cannot",
        ),
        (lambda x, _: x[:, 1:], r"\(GetItem\) .* something else than one place"),
        (lambda x, y: x / y, r"\(TrueDivide\) .* divides by a tensor"),
        (lambda x, _: 2 / x, r"\(TrueDivide\) .* of a tensor and 2\.0"),
        (lambda x, _: keras.ops.mean(x, -1), r"\(Mean\) .* axis=-1"),
        (lambda x, y: L.Concatenate(1)([L.Masking()(x), L.Masking()(y)]), "one behind the other"),
    ],
)
def test_operations_that_are_not_read_are_refused_by_name(make, why, tmp_path):
    x, y = Input((4, 3)), Input((4, 3))
    keras.Model([x, y], make(x, y)).save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=why):
        from_keras(tmp_path / "model.keras")


def test_attention_that_is_called_again_has_one_scale(tmp_path):
    x, attention = Input((4, 3)), L.Attention(use_scale=True)
    keras.Model(x, attention([attention([x, x]), x])).save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    assert len(net.parts) == 1
    assert cello.proof_of(net).cases > 0


def test_a_size_that_is_built_in_is_said(tmp_path):
    S([Input((6, 3)), L.GRU(4, return_sequences=True), L.Flatten(), L.Dense(2)]).save(
        tmp_path / "flat.keras"
    )
    net = from_keras(tmp_path / "flat.keras")
    assert net.only == cello.proof_of(net).only == "T = 6"
    with pytest.raises(
        ShapeError, match=r"for T = 6 only: input 0 must be \[B, 6, 3\], got \[2, 7"
    ):
        net(torch.zeros(2, 7, 3))
    S([Input((6, 3)), L.GRU(4), L.Dense(2)]).save(tmp_path / "last.keras")
    last = from_keras(tmp_path / "last.keras")
    assert last.only == ""
    assert last(torch.zeros(2, 7, 3)).shape == (2, 2)
    with pytest.raises(ShapeError, match=r"input 0 must be \[B, T, 3\], got \[2, 7, 4\]"):
        last(torch.zeros(2, 7, 4))


def test_a_layer_that_is_called_twice_is_shared(tmp_path):
    one, two = Input((None, 3)), Input((None, 3))
    layer, norm = L.Bidirectional(L.LSTM(3), merge_mode="mul"), L.BatchNormalization()
    x, y = (layer(norm(value)) for value in (one, two))
    model = keras.Model([one, two], L.Dense(1)(L.Subtract()([x, y])))
    model.save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    assert cello.proof_of(net).relative < 1e-5
    layers = [module for module in net.modules() if isinstance(module, cello.Recurrent)]
    assert len(layers) == 2
    given = [np.random.default_rng(k).normal(size=(2, 5, 3)).astype("float32") for k in (0, 1)]
    expected = model(given, training=False).detach().numpy()
    np.testing.assert_allclose(_call(net, given)[0], expected, atol=2e-6)
    cello.save_model(net, tmp_path / "ours")
    again = cello.load_model(tmp_path / "ours")
    assert torch.equal(_call(again, given)[0], _call(net, given)[0])
    assert cello.to_onnx(net, tmp_path / "net.onnx").proof.relative < 1e-5


def test_carried_state_is_told(tmp_path):
    model = S([Input(batch_shape=(1, None, 3)), L.LSTM(2, stateful=True, return_sequences=True)])
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="is stateful: here each call begins at zero"):
        net = from_keras(tmp_path / "model.keras")
    x = np.random.default_rng(0).standard_normal((1, 8, 3)).astype("float32")
    first, second = torch.from_numpy(x).split(5, 1)
    y, state = net(first)
    z, _ = net(second, state)  # what Keras's layer does of its own accord
    model.reset_states() if hasattr(model, "reset_states") else model.layers[0].reset_state()
    for ours, part in ((y, first), (z, second)):
        np.testing.assert_allclose(ours.detach(), model(part.numpy()).detach(), atol=2e-6)


def test_weights_alone_are_no_model(tmp_path):
    make("lstm").save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(cello.errors.ModelError, match="no model: save the whole model"):
        from_keras(tmp_path / "only.weights.h5")
