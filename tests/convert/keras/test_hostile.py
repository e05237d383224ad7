"""Files that are damaged, lie or attack: a typed error, in bounded memory, and nothing is run."""

import copy
import io
import json
import random
import sys
import zipfile

import h5py
import numpy as np
import pytest

import cello
from cello import from_keras
from cello.convert.keras.archive import Archive
from cello.convert.keras.nested import flattened
from cello.errors import ConversionError, ModelError
from tests.convert.keras.models import L, S, keras, make


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """What is in a whole `.keras` file."""
    model = S(
        [
            keras.Input((None, 3)),
            L.Masking(0.0),
            L.Bidirectional(L.LSTM(4, return_sequences=True)),
            L.RNN([L.GRUCell(3)], return_sequences=True),
            L.Dense(2, activation="softmax"),
        ]
    )
    file = tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(file)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _written(tmp_path, members, how=zipfile.ZIP_STORED):
    file = tmp_path / "bad.keras"
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file


def _changed(data, change):
    """The weights after a change of the open file."""
    file = io.BytesIO(data)
    with h5py.File(file, "r+") as opened:
        change(opened)
    return file.getvalue()


def _refuses(file, why):
    with pytest.raises(ModelError, match=why):
        from_keras(file)


def test_the_whole_file_is_read(tmp_path, members):
    from_keras(_written(tmp_path, members))


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_part_that_is_missing(tmp_path, members, name):
    left = {other: data for other, data in members.items() if other != name}
    _refuses(_written(tmp_path, left), f"there is no {name} in it")


def test_no_file_and_no_model(tmp_path):
    _refuses(tmp_path / "none.keras", "does not exist")
    (tmp_path / "text.keras").write_text("a model, honestly")
    _refuses(tmp_path / "text.keras", "is damaged, or no file of Keras's")
    (tmp_path / "empty.keras").touch()
    _refuses(tmp_path / "empty.keras", "is damaged, or no file of Keras's: it is empty")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_file_that_is_cut_off(tmp_path, members, share):
    file = _written(tmp_path, members)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    _refuses(file, "it is cut off: it begins as a .keras file, but has no end")


def _inner(config, number):
    """The configuration of what the layer of that number holds."""
    held = config["config"]["layers"][number]["config"]
    return held.get("layer", held.get("cell"))["config"]


def _reads(config, shape):
    config["config"]["layers"][0]["config"]["batch_shape"] = shape


def test_an_input_of_many_steps_is_not_tried(tmp_path, members):
    config = json.loads(members["config.json"])
    _reads(config, [None, 10**7, 3])
    net = from_keras(_written(tmp_path, {**members, "config.json": json.dumps(config).encode()}))
    assert "10,000,000 steps or numbers long" in cello.proof_of(net).not_run


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda c: c["config"]["layers"][4]["config"].update(units=[2]),
            r"\(Dense\): units must be",
        ),
        (lambda c: _reads(c, [10**9, 10**9, 3]), r"is \[1000000000, 1000000000, 3\], too large"),
        (lambda c: _reads(c, [None, 0, 3]), r"sizes from 1, or None, is \[None, 0, 3\]"),
        (lambda c: _reads(c, [None, True, 3]), r"sizes from 1, or None, is \[None, True, 3\]"),
        (lambda c: _inner(c, 2).update(units=[4]), "units must be a positive whole number, got"),
        (lambda c: _inner(c, 2).update(dtype="float16"), "LSTM in the layer .*'float16'"),
        (
            lambda c: _inner(c, 3).update(dtype="float16"),
            "StackedRNNCells in the layer .*'float16'",
        ),
    ],
)
def test_what_keras_would_not_build_is_not_opened(tmp_path, members, change, why):
    config = json.loads(members["config.json"])
    change(config)
    _refuses(_written(tmp_path, {**members, "config.json": json.dumps(config).encode()}), why)


def test_a_zip_bomb(tmp_path, members):
    bomb = {**members, "config.json": b" " * (33 * 2**20) + members["config.json"]}
    _refuses(_written(tmp_path, bomb, zipfile.ZIP_DEFLATED), "unpacks to .* bytes, which no model")


@pytest.mark.parametrize("text", [b"[" * 200_000, b"3", b"{}", b"{", b'{"config": 3}', b"\xff"])
def test_a_configuration_that_is_none(tmp_path, members, text):
    _refuses(_written(tmp_path, {**members, "config.json": text}), "bad.keras")


KERNEL = "layers/dense/vars/0"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: f.__setitem__(KERNEL, h5py.SoftLink("/layers/dense/vars/1")), "is a link"),
        (
            lambda f: f.__setitem__(KERNEL, h5py.ExternalLink("/etc/passwd", "/")),
            "is a link, which is not followed",
        ),
        (
            lambda f: f.create_dataset(KERNEL, (3, 2), "f4", external=[("/etc/passwd", 0, 24)]),
            "keeps its numbers in another file",
        ),
        (
            lambda f: f.create_dataset(KERNEL, (3, 2**28), "f4", chunks=(3, 1024)),
            "is larger than the file that holds it",
        ),
        (lambda f: f.create_dataset(KERNEL, data=[b"text"]), "must be an array of numbers"),
        (lambda f: f.create_group(KERNEL), "must be an array of numbers"),
        (lambda f: f.create_dataset(KERNEL, data=np.zeros((2, 3))), r"kernel must be \[any, 2\]"),
        (lambda f: None, r"kernel must be \[any, 2\], found \[2\]"),
    ],
)
def test_weights_that_lie(tmp_path, members, change, why):
    def changed(opened):
        del opened[KERNEL]
        change(opened)

    data = _changed(members["model.weights.h5"], changed)
    _refuses(_written(tmp_path, {**members, "model.weights.h5": data}), why)


def test_arrays_that_nobody_takes(tmp_path, members):
    data = _changed(
        members["model.weights.h5"],
        lambda f: f.create_dataset("layers/dense/vars/2", data=np.zeros(3)),
    )
    _refuses(
        _written(tmp_path, {**members, "model.weights.h5": data}), "has 1 arrays more than it takes"
    )


def test_a_cycle(tmp_path):
    x = keras.Input((None, 3))
    keras.Model(x, L.LSTM(2)(L.Dense(3)(x))).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    layers = config["config"]["layers"]
    layers[1]["inbound_nodes"] = layers[2]["inbound_nodes"]
    layers[1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = layers[2]["name"]
    members["config.json"] = json.dumps(config).encode()
    _refuses(_written(tmp_path, members), "reads what is never computed")


ODD = (None, -1, 0, 10**12, 1e308, True, "x", [], {}, [[1]], {"class_name": "Lambda"})


def _places(value, path=()):
    """Every place in a configuration."""
    if isinstance(value, dict):
        for key in value:
            yield (*path, key)
            yield from _places(value[key], (*path, key))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield (*path, place)
            yield from _places(part, (*path, place))


def _in_h5(file, config):
    """The file with another configuration."""
    with h5py.File(file, "r+") as opened:
        opened.attrs["model_config"] = config
    return file


@pytest.mark.parametrize(
    ("ending", "beside", "count"),
    [("keras", False, 200), ("keras", True, 20), ("h5", False, 100), ("h5", True, 10)],
)
def test_mutated_configurations_are_read_or_refused(
    tmp_path, members, monkeypatch, ending, beside, count
):
    legacy = tmp_path / "model.h5"
    if ending == "h5":
        make("encoder and decoder").save(legacy)
        with h5py.File(legacy) as opened:
            good = json.loads(opened.attrs["model_config"])
    else:
        good = json.loads(members["config.json"])
    if not beside:
        monkeypatch.setitem(sys.modules, "keras", None)  # the reader alone, which is faster
    places, draw = list(_places(good)), random.Random(0)
    refused = 0
    for _ in range(count):
        config = copy.deepcopy(good)
        *path, last = draw.choice(places)
        inside = config
        for key in path:
            inside = inside[key]
        inside[last] = draw.choice(ODD)
        text = json.dumps(config).encode()
        if ending == "h5":
            file = _in_h5(legacy, text)
        else:
            file = _written(tmp_path, {**members, "config.json": text})
        try:
            from_keras(file)
        except (ModelError, ConversionError):
            refused += 1
    assert refused > count / 15


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_mutated_files_are_read_or_refused(tmp_path, ending):
    file = tmp_path / f"model.{ending}"
    S([keras.Input((None, 3)), L.GRU(2)]).save(file)
    good, draw = file.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for _ in range(draw.choice((1, 5, 50))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.3:
            del data[draw.randrange(len(data)) :]
        file.write_bytes(data)
        try:
            from_keras(file)
        except (ModelError, ConversionError):
            refused += 1
    assert refused > 10


def test_models_in_a_model_that_multiply_or_whose_names_clash(tmp_path, monkeypatch):
    file = tmp_path / "model.keras"
    make("a model that is called twice").save(file)
    monkeypatch.setattr("cello.convert.keras.nested._MOST_CALLS", 5)
    with pytest.raises(ModelError, match="its models call layers more than 5 times"):
        from_keras(file)
    dense = {"class_name": "Dense", "config": {"name": "m.d", "batch_shape": [None, 3]}}
    inner = {"class_name": "Sequential", "config": {"name": "m", "layers": [dense]}}
    outer = {"class_name": "Sequential", "config": {"layers": [inner]}}
    with pytest.raises(ModelError, match=r"the layer 'm.d' has a point in its name"):
        flattened(Archive(outer, "3", {}))
