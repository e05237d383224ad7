"""Model folders that are damaged, or meant to do harm: one line says what is wrong, at once."""

from __future__ import annotations

import inspect
import json
import random
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import cello
from cello.cli.models import Model, open_model
from cello.convert import net_from_spec, save_model
from cello.errors import CelloError
from cello.files import seal
from cello.tasks import Characters, Tagging
from tests.cli.running import process, run
from tests.hostile import DEEP, Largest, mutated

CONFIG, WEIGHTS = "config.json", "weights.safetensors"

#: The largest tensor that these small models may make, in bytes.
BOUND = 1_000_000


def config_of(model: Path) -> dict[str, Any]:
    return json.loads((model / CONFIG).read_bytes())


def write(folder: Path, config: Any, weights: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(config if isinstance(config, str) else json.dumps(config))
    (folder / WEIGHTS).write_bytes(weights)
    return folder


def use(model: Path) -> None:
    """What the commands do with a model."""
    opened = open_model(model)
    with cello.engine("reference"):
        answer(opened)


def answer(opened: Model) -> None:
    if isinstance(opened.task, Tagging):
        opened.task.predict(opened.net, [["arrive", "Taipei"], ["x"]])
    elif isinstance(opened.task, Characters):
        "".join(opened.task.sample(opened.net, opened.task.features.vocabulary.entries[0], 3))


def loads_or_says(folder: Path) -> str | None:
    """Use the model: None if that goes well, else what the error says."""
    with Largest() as largest, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # such as a step that is not fused
        try:
            use(folder)
            said = None
        except CelloError as error:
            said = str(error)
    assert largest.bytes < BOUND
    return said


@pytest.fixture(params=["words_model", "kinds_model", "chars_model"])
def model(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@given(seed=st.integers(0, 2**32 - 1), times=st.integers(1, 3))
def test_any_change_of_the_config_loads_or_is_told(
    seed: int, times: int, model: Path, tmp_path: Path
):
    chance = random.Random(seed)
    config = config_of(model)
    for _ in range(times):
        config = mutated(config, chance)
    loads_or_says(write(tmp_path / "m", config, (model / WEIGHTS).read_bytes()))


@given(seed=st.integers(0, 2**32 - 1))
def test_any_change_of_the_text_loads_or_is_told(seed: int, model: Path, tmp_path: Path):
    chance = random.Random(seed)
    text = bytearray((model / CONFIG).read_bytes())
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(text))
        text[place : place + chance.randint(0, 3)] = chance.choice(
            (b"", b"[", b"}", b'"', b"-", b"e9", b"99999999", b"\xff", b"\x00", b"null", b",")
        )
    folder = write(tmp_path / "m", "", (model / WEIGHTS).read_bytes())
    (folder / CONFIG).write_bytes(text)
    loads_or_says(folder)


def with_header(weights: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    (size,) = struct.unpack("<Q", weights[:8])
    header = json.loads(weights[8 : 8 + size])
    text = json.dumps(change(header)).encode()
    return struct.pack("<Q", len(text)) + text + weights[8 + size :]


HEADER = (
    *(
        "F64",
        "F16",
        "BF16",
        "I64",
        "U8",
        "BOOL",
        "F8_E4M3",
        "F8_E5M2",
        "U64",
        "C64",
        "F4",
        "",
        None,
    ),
    *([], [0], [1], [-1], [2**40], [2**63], 0, -1, 10**20, [0, 0], [8, 4], "__metadata__", {}),
)


@given(seed=st.integers(0, 2**32 - 1))
def test_any_change_of_the_weights_header_loads_or_is_told(seed: int, model: Path, tmp_path: Path):
    chance = random.Random(seed)
    weights = with_header(
        (model / WEIGHTS).read_bytes(), lambda header: mutated(header, chance, HEADER)
    )
    config = config_of(model)
    config["weights"] |= seal(weights)
    loads_or_says(write(tmp_path / "m", config, weights))


# ------------------------------------------------------------ what it says


SHORT = {
    "ENCODER": "net.modules.0",
    "FORWARD": "LAYER.forward",
    "LAYER": "net.modules.1",
    "FEATURES": "task.features",
}


def put(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    for short, long in SHORT.items():
        path = path.replace(short, long)
    owner, (*above, last) = config, [int(k) if k.isdigit() else k for k in path.split(".")]
    for key in above:
        owner = owner[key]
    owner[last] = value
    return config


CELL = r"net\[1\]\.forward \(ElmanCell\): "


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "FORWARD.hidden_size",
            40_000,
            r"1\.forward_layer\.cell\.W must be \[40000, \d+\], found",
        ),
        (
            "FORWARD.hidden_size",
            1e30,
            CELL + r"hidden_size must be a whole number from 1 .*, got 1e\+30",
        ),
        (
            "FORWARD.hidden_size",
            True,
            CELL + "hidden_size must be a whole .*, got True",
        ),
        ("FORWARD.hidden_size", "6", CELL + "hidden_size must be a whole .*, got '6'"),
        (
            "FORWARD.hidden_size",
            float("nan"),
            CELL + "hidden_size must be a whole .*, got nan",
        ),
        (
            "FORWARD.hidden_size",
            10**90,
            CELL + ".*, got a number of more than 60",
        ),
        ("FORWARD.bias", 1, CELL + "bias must be true or false, got 1"),
        ("FORWARD.activation", 3, CELL + "activation must be a name or a callable"),
        (
            "net.modules.2.out_features",
            -1,
            r"net\[2\] \(Linear\): out_features must be .*got -1",
        ),
        ("ENCODER", {"type": "Tanh"}, "the network cannot read what its task gives it: "),
        (
            "ENCODER.size",
            10**9,
            r"net\[0\] \(KHot\) gives 1,000,000,000 numbers, net\[1\] ",
        ),
        ("ENCODER.size", 3, r"net\[0\] \(KHot\) gives 3 numbers, net\[1\] "),
        ("net.modules", [DEEP], r"net\[0\] must be a table with a type, got list \[\["),
        ("LAYER.join", DEEP, r"net\[1\]\.join.* stands more than 50 tables deep"),
        (
            "LAYER.join",
            "max",
            r"net\[1\] \(Bidirectional\): join must be one of conc",
        ),
        (
            "FEATURES.window",
            10**9,
            "task.features.window must be a whole number from 0 to 1,000, got 1000",
        ),
        (
            "FEATURES.window",
            2,
            r"the network's first module takes \d+ ids, its task needs",
        ),
        (
            "FEATURES.words",
            ["a", "a"],
            "task.features.words must be a list of texts, each once",
        ),
        ("task.tags", [], r"task\.tags must be a list of at least one tag, each once, got \[\]"),
        ("task.tags", ["O", "O"], "task.tags must be a list of at least one tag, each once, "),
        ("task.tags", ["O"], "the network has 5 outputs, its task needs 1, one for each answer"),
        (
            "task.groups",
            {"a": 3},
            "task.groups must be a table with a list of tags for ",
        ),
        ("task", 3, "is damaged: task must be a table or null, got 3"),
        ("format", True, "is not the config of a model of Cello: it states no format"),
        ("format", 0, "is damaged: format must be from 1 to 1, got 0"),
        (
            "weights.bytes",
            1e30,
            "is damaged: weights.bytes must be the size of the ",
        ),
        ("weights.sha256", 3, r"is damaged: weights\.sha256 must be a text, got 3"),
        (
            "weights.shared",
            {"a": 1},
            "is damaged: weights.shared must be a table of names ",
        ),
        (
            "weights.shared",
            {"1.x": "nowhere.W"},
            "weights.shared says that '1.x' is 'nowhere.W'",
        ),
    ],
)
def test_what_a_hostile_config_is_told(
    path: str, value: Any, message: str, words_model: Path, tmp_path: Path
):
    config = put(config_of(words_model), path, value)
    folder = write(tmp_path / "m", config, (words_model / WEIGHTS).read_bytes())
    said = loads_or_says(folder)
    assert said is not None
    assert re.search(r"config\.json:? (is damaged: )?" + message, said), said
    assert "\n" not in said


def test_a_network_larger_than_its_weights_is_not_made(tmp_path: Path):
    net = cello.Stack(cello.GRU(2, 3), nn.Linear(3, 1))
    save_model(net, tmp_path)
    config = put(config_of(tmp_path), "net.modules.0.hidden_size", 40_000)
    said = loads_or_says(write(tmp_path, config, (tmp_path / WEIGHTS).read_bytes()))
    assert said is not None
    assert (
        "weights.safetensors does not fit the network in config.json: 0.weight_ih_l0 must" in said
    )
    assert said.endswith(
        "[120000, 40000], found [9, 3]; 0.bias_ih_l0 must be [120000], found [9]; "
        "0.bias_hh_l0 must be [120000], found [9]"
    )


def test_weights_shared_by_what_is_no_parameter(tmp_path: Path):
    save_model(cello.Stack(cello.Recurrent(cello.ElmanCell(2, 3)), nn.Linear(3, 1)), tmp_path)
    weights = safetensors.torch.load_file(tmp_path / WEIGHTS)
    config = config_of(tmp_path)
    config["weights"]["shared"] = {"1": "0.cell.W"}
    said = loads_or_says(write(tmp_path, config, (tmp_path / WEIGHTS).read_bytes()))
    assert said is not None
    assert said.endswith("does not fit the network in config.json: 1 is not in the network")
    assert "0.cell.W" in weights


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.complex64]
)
def test_weights_that_are_no_floating_point_numbers(
    dtype: torch.dtype, words_model: Path, tmp_path: Path
):
    tensors = safetensors.torch.load_file(words_model / WEIGHTS)
    weights = safetensors.torch.save({name: t.to(dtype) for name, t in tensors.items()})
    config = config_of(words_model)
    config["weights"] |= seal(weights)
    said = loads_or_says(write(tmp_path / "m", config, weights))
    assert said is not None
    assert f"1.backward_layer.cell.R must be floating point numbers, found {dtype}; " in said


def test_a_key_that_stands_twice(words_model: Path, tmp_path: Path):
    text = (words_model / CONFIG).read_text()
    text = text.replace('"format": 1,', '"format": 1, "format": 1,')
    said = loads_or_says(write(tmp_path / "m", text, b""))
    assert said is not None
    assert said.endswith("is damaged: the key 'format' stands twice in one table")


def test_json_that_is_too_deep(tmp_path: Path):
    said = loads_or_says(write(tmp_path / "m", "[" * 100_000, b""))
    assert said is not None
    assert "config.json is damaged: maximum recursion depth exceeded" in said


@pytest.mark.parametrize("command", ["predict", "sample"])
def test_weights_that_contain_nan_are_told(
    command: str, words_model: Path, chars_model: Path, words_file: Path, tmp_path: Path
):
    model = words_model if command == "predict" else chars_model
    tensors = safetensors.torch.load_file(model / WEIGHTS)
    bad = safetensors.torch.save({n: torch.full_like(t, torch.nan) for n, t in tensors.items()})
    config = config_of(model)
    config["weights"] |= seal(bad)
    folder = write(tmp_path / "m", config, bad)
    arguments = [words_file] if command == "predict" else []
    said = run(command, folder, *arguments, code=2).stderr
    assert re.search(
        r"the weights contain NaN: .* \((\d+) of \1 tensors\); whatever it reads", said
    )
    with pytest.warns(UserWarning, match=r"weights\.safetensors: the weights contain NaN: "):
        cello.load_model(folder)
    told = process("show", folder, env={"PYTHONWARNINGS": "default"})  # it may be looked into
    assert told.returncode == 0
    assert re.fullmatch(r"cello: warning: .*the weights contain NaN: .*\n", told.stderr)


def test_as_a_process_it_is_one_line(words_model: Path, words_file: Path, tmp_path: Path):
    config = put(config_of(words_model), "FEATURES.window", 10**9)
    folder = write(tmp_path / "m", config, (words_model / WEIGHTS).read_bytes())
    done = process("predict", folder, words_file)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.endswith("window must be a whole number from 0 to 1,000, got 1000000000\n")


def test_every_cell_can_be_outlined():
    for name in cello.cells.zoo.__all__:
        taken = inspect.signature(getattr(cello.cells.zoo, name)).parameters
        sizes = {"input_size": 4, "in_features": 4, "shape": [2, 8, 8], "context_size": 2}
        sizes = {key: size for key, size in sizes.items() if key in taken}
        hidden_size = 2_000 if "shape" in taken else 40_000
        sizes |= {"hidden_size": hidden_size} if "hidden_size" in taken else {"input_size": 40_000}
        cell = {"type": name, **sizes}
        with torch.device("meta"), Largest() as largest:
            net = net_from_spec({"type": "Recurrent", "cell": cell})
        assert largest.bytes < BOUND
        assert all(value.is_meta for value in net.state_dict().values())
