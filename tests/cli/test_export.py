"""`cello export`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

import cello
from cello.convert import save_model
from tests.cli.running import run, run_json
from tests.convert.onnx.test_to_onnx import session


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(cello.Stack(cello.LSTM(3, 4), torch.nn.Linear(4, 2)), tmp_path / "model")
    return tmp_path / "model"


def test_a_model_becomes_onnx(model: Path, tmp_path: Path):
    text = run("export", model, tmp_path / "net.onnx").stdout
    assert "ONNX, for every T and B" in text
    assert "cells: 0.0 → LSTM" in text
    assert "states: 0.h_0 → 0.h_n, 0.c_0 → 0.c_n" in text
    assert "largest difference: " in text
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    found = session(tmp_path / "net.onnx").run(["y"], {"x": x})[0]
    wanted = cello.load_model(model)(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_what_is_proved_is_said_meanwhile(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = []

    def busy(doing: str) -> contextlib.nullcontext[None]:
        said.append(doing)
        return contextlib.nullcontext()

    monkeypatch.setattr("cello.cli.commands.export.busy", busy)
    run("export", model, tmp_path / "net.json")
    assert said == [f"writing {tmp_path / 'net.json'} and comparing it with the model"]


def test_one_step_with_a_vector(model: Path, tmp_path: Path):
    out, vector = tmp_path / "s.onnx", tmp_path / "s.npz"
    told = run_json("export", model, out, "--stream", "--test-vector", vector)
    assert told["format"] == "ONNX, one step"
    assert told["cells"] == {"0.0": "step"}
    with np.load(vector) as held:
        assert held["x"].ndim == 2


def test_a_tagger_becomes_onnx(kinds_model: Path, tmp_path: Path):
    assert "LSTM" in run("export", kinds_model, tmp_path / "net.onnx").stdout


def test_a_model_becomes_rtneural(model: Path, tmp_path: Path):
    text = run("export", model, tmp_path / "net.json").stdout
    assert "RTNeural" in text
    assert "largest difference: " in text
    assert cello.from_rtneural(tmp_path / "net.json")[0].hidden_size == 4


def test_a_model_becomes_one_of_keras(model: Path, tmp_path: Path):
    text = run("export", model, tmp_path / "net.keras").stdout
    assert "Keras" in text
    assert "inputs compared: " in text
    assert cello.from_keras(tmp_path / "net.keras")[0].cell.hidden_size == 4


def test_a_model_becomes_c(model: Path, tmp_path: Path):
    text = run("export", model, "--c", tmp_path / "c").stdout
    assert "C99" in text
    assert "largest difference: " in text
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"net.c", "net.h"}


def test_c_with_options(model: Path, tmp_path: Path):
    told = run_json("export", model, "--c", tmp_path / "amp", "--name", "amp", "--int8", "--libm")
    assert told["largest_difference"] < 1e-5 < told["int8_costs"] < 0.1
    assert "amp_step(" in (tmp_path / "amp" / "amp.h").read_text()
    said = run("export", model, "--c", tmp_path / "no", "--name", "int", code=2).stderr
    assert "keyword of C" in said
    assert not (tmp_path / "no").exists()


def test_one_place_to_write_to(model: Path, tmp_path: Path):
    for words in ([], [tmp_path / "net.onnx", "--c", tmp_path]):
        assert "either OUT, or --c DIR" in run("export", model, *words, code=2).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["net.pb"], "OUT must end in one of .onnx, .json, .keras"),
        (["net.json", "--stream"], "go with a file that ends in .onnx"),
        (["missing/net.onnx"], "cannot write"),
        (["net.onnx", "--int8"], "go with --c"),
    ],
)
def test_what_cannot_be_written(model: Path, tmp_path: Path, words: list[str], said: str):
    assert said in run("export", model, tmp_path / words[0], *words[1:], code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
