from __future__ import annotations

import json
import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, ModelError
from tests.see.recording.test_same_bits import tensors


@pytest.fixture
def net() -> cello.Stack:
    return cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4, activation="identity")),
        cello.LSTM(8, 2, num_layers=2),
        cello.Recurrent(cello.JordanCell(2, 3, 2)),
    )


def test_everything_comes_back(net: cello.Stack, tmp_path: Path):
    rec = cello.record(net, torch.randn(5, 3, 3), lengths=torch.tensor([2, 0, 5]))
    rec.save(tmp_path / "run.safetensors")
    again = cello.load_recording(tmp_path / "run.safetensors")
    assert again.names == rec.names
    assert again.layers == rec.layers
    for name in rec:
        assert torch.equal(again[name], rec[name])
        assert not again[name].requires_grad
    assert again.nbytes == rec.nbytes  # what was shared still is
    assert again.lengths.tolist() == [2, 0, 5]
    assert again.table(batch=2) == rec.table(batch=2)
    assert again.to_xarray("2.y").identical(rec.to_xarray("2.y"))
    assert repr(again) == repr(rec)
    assert torch.equal(again.output, rec.output)
    assert torch.equal(again.state[0].backward.c, rec.state[0].backward.c)
    assert all(map(torch.equal, tensors(again.state), tensors(rec.state)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_packed_and_other_dtypes(dtype: torch.dtype, tmp_path: Path):
    layer = cello.Recurrent(cello.GRUCell(3, 4).to(dtype))
    packed = nn.utils.rnn.pack_sequence(
        [torch.randn(n, 3, dtype=dtype) for n in (2, 4)], enforce_sorted=False
    )
    rec = cello.record(layer, packed)
    rec.save(tmp_path / "packed")
    again = cello.load_recording(tmp_path / "packed")
    assert torch.equal(again["z"], rec["z"])
    assert isinstance(again.output, nn.utils.rnn.PackedSequence)
    assert torch.equal(again.output.data, rec.output.data)


def test_explaining_needs_the_net(net: cello.Stack, tmp_path: Path):
    rec = cello.record(net, torch.randn(5, 3, 3))
    rec.save(tmp_path / "run")
    with pytest.raises(ModelError, match=r"load it with cello.load_recording\(path, net\)$"):
        cello.load_recording(tmp_path / "run").explain(0, 0, layer="2")
    again = cello.load_recording(tmp_path / "run", net)
    for layer in rec.layers:
        assert str(again.explain(3, 1, layer, batch=2)) == str(rec.explain(3, 1, layer, batch=2))


def test_another_net_is_noticed(net: cello.Stack, tmp_path: Path):
    rec = cello.record(net, torch.randn(5, 3, 3))
    rec.save(tmp_path / "run")
    for parameter in net.parameters():
        parameter.data.mul_(1.1)
    with pytest.raises(
        ModelError, match=r"z_i\[0\] at t=2 was recorded as .* gives .*record again"
    ):
        cello.load_recording(tmp_path / "run", net).explain(2, 0, layer="0.forward")
    other = cello.Stack(*(cello.Bidirectional(cello.GRUCell(3, 4)) for _ in range(3)))
    with pytest.raises(
        ModelError, match=r"^GRUCell has no c_prev, z_i, .*is this the net that was"
    ):
        cello.load_recording(tmp_path / "run", other).explain(2, 0, layer="0.forward")
    with pytest.raises(ArgumentError, match=r"^Linear holds no recurrent layer"):
        cello.load_recording(tmp_path / "run", nn.Linear(2, 2))


def test_a_result_that_is_not_made_of_tensors_is_left_out(tmp_path: Path):
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.Recurrent(cello.ElmanCell(3, 2))

        def forward(self, x: Tensor) -> Any:
            return self.rnn(x)[0], {1, 2}

    rec = cello.record(Odd(), torch.randn(3, 1, 3))
    rec.save(tmp_path / "odd")
    again = cello.load_recording(tmp_path / "odd")
    assert torch.equal(again["h"], rec["h"])
    with pytest.raises(ModelError, match=r"does not hold the result: result.1 is set"):
        _ = again.output


def test_results_of_many_forms(tmp_path: Path):
    Pair = namedtuple("Pair", "first second")

    class Forms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.Recurrent(cello.ElmanCell(3, 2))

        def forward(self, x: Tensor) -> Any:
            y, state = self.rnn(x)
            return {"logits": [y], "state": state, "pair": Pair(y, None), "loss": 0.5}

    rec = cello.record(Forms(), torch.randn(3, 1, 3))
    rec.save(tmp_path / "forms")
    again = cello.load_recording(tmp_path / "forms").result
    assert torch.equal(again["logits"][0], rec.result["logits"][0])
    assert torch.equal(again["state"].h, rec.result["state"].h)
    assert torch.equal(again["pair"].first, rec.result["pair"].first)
    assert again["pair"].second is None
    assert again["loss"] == 0.5


def test_saving_is_whole_or_not_at_all(net: cello.Stack, tmp_path: Path, monkeypatch):
    rec = cello.record(net, torch.randn(2, 1, 3))
    path = tmp_path / "run"
    rec.save(path)
    before = path.read_bytes()

    def full(_handle: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        ModelError, match=r"^cannot write the recording .*run: no space left on dev"
    ):
        cello.record(net, torch.randn(9, 1, 3)).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_files_that_are_no_recordings(net: cello.Stack, tmp_path: Path):
    def check(name: str, message: str) -> None:
        with pytest.raises(ModelError, match=message):
            cello.load_recording(tmp_path / name)

    check("nowhere", r"nowhere does not exist: expected the file of a recording$")
    (tmp_path / "folder").mkdir()
    check("folder", r"folder is a folder: expected the file of a recording$")
    (tmp_path / "text").write_text("no recording")
    check("text", r"text is no recording, or damaged: ")
    (tmp_path / "empty").write_bytes(b"")
    check("empty", r"empty is no recording, or damaged: ")
    safetensors.torch.save_file({"W": torch.zeros(2)}, tmp_path / "weights")
    check("weights", r"weights is a safetensors file, but not a recording$")
    head = json.dumps({"kind": "cello recording", "format": 2, "cello": "9.9"})
    safetensors.torch.save_file({"W": torch.zeros(2)}, tmp_path / "newer", {"cello": head})
    check("newer", r"newer is of format 2, written by Cello 9\.9; this one, .*, reads up to 1")

    cello.record(net, torch.randn(3, 1, 3)).save(tmp_path / "run")
    data = (tmp_path / "run").read_bytes()
    (tmp_path / "cut").write_bytes(data[:-7])
    check("cut", r"cut is no recording, or damaged: ")
    flipped = bytearray(data)
    flipped[-3] ^= 1
    (tmp_path / "flipped").write_bytes(flipped)
    check("flipped", r"flipped is damaged: its values are not those that were written$")


def test_a_head_that_does_not_fit_is_damage(net: cello.Stack, tmp_path: Path):
    cello.record(net, torch.randn(3, 1, 3)).save(tmp_path / "run")
    with safetensors.safe_open(tmp_path / "run", "pt") as file:
        head = json.loads(file.metadata()["cello"])
        values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    head["layers"][0]["rows"]["f"] = "nothing"
    safetensors.torch.save_file(values, tmp_path / "run", {"cello": json.dumps(head)})
    with pytest.raises(
        ModelError, match=r"run is damaged: layers\[0\]: there is no tensor 'nothing'$"
    ):
        cello.load_recording(tmp_path / "run")
