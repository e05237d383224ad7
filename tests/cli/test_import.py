"""`cello import`, and the commands that open what another library wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import cello
from tests.cli.running import run, run_json


@pytest.fixture
def plug_in(tmp_path: Path) -> Path:
    file = tmp_path / "plug-in.json"
    cello.to_rtneural(cello.Stack(cello.GRU(1, 4), nn.Linear(4, 1)), file)
    return file


def test_a_model_is_made_of_a_file(plug_in: Path, tmp_path: Path):
    output = run("import", plug_in, "-o", tmp_path / "model").stdout
    assert "(0): GRU(1, 4)" in output
    assert f"89 parameters, saved in {tmp_path / 'model'}" in output
    x = torch.randn(5, 2, 1)
    ours = cello.load_model(tmp_path / "model")
    torch.testing.assert_close(ours(x)[0], cello.from_rtneural(plug_in)(x)[0])
    assert run_json("import", plug_in, "-o", tmp_path / "again")["parameters"] == 89


def test_weights_of_pytorchs(tmp_path: Path):
    save_file(nn.LSTM(2, 3).state_dict(), tmp_path / "lstm.safetensors")
    assert "LSTM(2, 3)" in run("import", tmp_path / "lstm.safetensors", "-o", tmp_path / "m").stdout


def test_a_file_of_onnxs(tmp_path: Path):
    net = cello.Recurrent(cello.GRUCell(3, 4))
    cello.to_onnx(net, tmp_path / "net.onnx")
    assert "h = (1 − z) ⊙ n + z ⊙ h_prev" in run("show", tmp_path / "net.onnx").stdout
    assert "GRUCell(3, 4)" in run("import", tmp_path / "net.onnx", "-o", tmp_path / "model").stdout
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(cello.load_model(tmp_path / "model")(x)[0], net(x)[0])


def test_a_file_is_shown_without_a_model(plug_in: Path):
    output = run("show", plug_in).stdout
    assert f"{plug_in}, saved by another library" in output
    assert "h = (1 − z) ⊙ n + z ⊙ h_prev" in output
    assert run_json("show", plug_in)["parameters"] == 89


def test_a_model_that_is_there_stays(plug_in: Path, tmp_path: Path):
    run("import", plug_in, "-o", tmp_path / "model")
    before = (tmp_path / "model" / "config.json").read_bytes()
    error = run("import", plug_in, "-o", tmp_path / "model", code=2).stderr
    assert "holds a model already: choose another folder" in error
    assert (tmp_path / "model" / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("net.xyz", "", "ends in none of .keras, .h5"),
        ("net.json", "{", "is no JSON file"),
        ("net.onnx", "?", "is damaged, or no ONNX file"),
        ("net.keras", "?", "is damaged, or no file of Keras's"),
        ("net.keras", "PK", "it is cut off"),
        ("net.pt", "", "is no file of weights"),
        ("net.h5", "version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"),
    ],
)
def test_what_cannot_be_read_leaves_no_model(tmp_path: Path, name: str, text: str, why: str):
    (tmp_path / name).write_text(text)
    assert why in run("import", tmp_path / name, "-o", tmp_path / "model", code=2).stderr
    assert why in run("show", tmp_path / name, code=2).stderr
    assert not (tmp_path / "model").exists()


def test_weights_of_an_rnn_do_not_say_its_nonlinearity(tmp_path: Path):
    theirs, file = nn.RNN(3, 4, nonlinearity="relu"), tmp_path / "net.pt"
    torch.save(theirs.state_dict(), file)
    for words in (("import", file, "-o", tmp_path / "model"), ("show", file)):
        told = run(*words, code=2).stderr
        assert "do not say whether it computes with tanh or relu" in told
        assert "--nonlinearity relu" in told
    assert not (tmp_path / "model").exists()
    run("import", file, "--nonlinearity", "relu", "-o", tmp_path / "model")
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(cello.load_model(tmp_path / "model")(x)[0], theirs(x)[0])
