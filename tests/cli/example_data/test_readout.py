"""The readout of a net in examples, data files and saved models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import cello
from cello.cli.example_data.formulas import formulas_text
from cello.cli.example_data.readout import readout_of
from cello.errors import ArgumentError
from tests.cli.running import run, run_json


@pytest.mark.parametrize(
    ("below", "equation"),
    [
        (cello.Recurrent(cello.ElmanCell(2, 3)), "output = W h + b"),
        (cello.Recurrent(cello.JordanCell(2, 4, 3)), "output = W y + b"),
        (cello.Recurrent(nn.GRUCell(2, 3)), "output = W h + b"),
        (cello.LSTM(2, 3, num_layers=2), "output = W h + b"),
        (nn.Dropout(0.1), "output = W x + b"),
    ],
)
def test_what_it_reads_has_its_name(below: nn.Module, equation: str):
    readout = readout_of(cello.Stack(below, nn.Linear(3, 2)))
    assert readout is not None
    assert (readout.name, readout.equation) == ("1", equation)


@pytest.mark.parametrize(
    ("below", "read"),
    [
        (cello.Bidirectional(cello.LSTMCell(2, 3)), "[forward.h, backward.h]"),
        (cello.GRU(2, 3, num_layers=2, bidirectional=True), "[forward.h, backward.h]"),
        (cello.Bidirectional(cello.LSTMCell(2, 6), join="sum"), "x"),
    ],
)
def test_two_directions_side_by_side(below: nn.Module, read: str):
    readout = readout_of(cello.Stack(below, nn.Linear(6, 2, bias=False)))
    assert readout is not None
    assert readout.equation == f"output = W {read}"


def test_a_step_that_cannot_be_traced_is_read_all_the_same():
    class Branching(cello.ElmanCell):
        def step(self, x: torch.Tensor, h: torch.Tensor):
            return super().step(x, h) if x.sum() > 0 else (h, (h,))

    net = cello.Stack(cello.Recurrent(Branching(2, 3)), nn.Linear(3, 2))
    readout = readout_of(net)
    assert readout is not None
    assert readout.equation == "output = W y + b"
    assert formulas_text(net).endswith(
        "\n\n1: Linear(in_features=3, out_features=2, bias=True)\n  output = W y + b"
    )


def test_no_readout():
    layer = cello.Recurrent(cello.ElmanCell(2, 3))
    assert readout_of(layer) is None
    assert readout_of(cello.Stack(layer)) is None
    assert readout_of(cello.Stack(nn.Linear(2, 2), layer)) is None


def test_its_arithmetic():
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 2)), nn.Linear(2, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -4.0]]))
        net[1].bias.copy_(torch.tensor([0.0, 5.0]))
    readout = readout_of(net)
    assert readout is not None
    read = torch.tensor([[[9.0, 9.0]], [[0.5, -2.0]]])
    assert str(readout.explain(read, 1, 1, 5)) == "output[1] = 3·0.5 − 4·(−2) + 5 = 14.5"
    with pytest.raises(ArgumentError, match="unit=2 is no unit of any value; the largest has 2"):
        readout.explain(read, 1, 2, 5)


# ------------------------------------------------------------ in the commands


def test_elman_and_its_readout():
    output = run("example", "elman").stdout
    assert (
        "\n\n0: ElmanCell(2, 2, activation='linear', bias=False)\n  z = W x + R h_prev\n  h = z\n\n"
        "1: Linear(in_features=2, out_features=2, bias=False)\n  output = W h\n\n"
    ) in output
    assert "\n\nstep 2, unit 0, layer 1:\n  output[0] = 1·16 + 1·16 = 32\n" in output
    data = run_json("example", "elman")["networks"][0]
    assert data["equations"]["1"] == "output = W h"
    arithmetic = data["runs"][1]["arithmetic"][1]
    assert (arithmetic["layer"], arithmetic["t"], arithmetic["unit"]) == ("1", 2, 0)
    assert arithmetic["text"] == "output[0] = 1·22 + 1·22 = 44"
    assert "&= 1 \\cdot 22 + 1 \\cdot 22 = 44\n" in arithmetic["latex"]


def test_bidirectional_and_its_readout():
    output = run("example", "bidirectional", "--step", 0).stdout
    assert "\n  output = W [forward.h, backward.h]\n" in output
    assert "step 0, unit 0, layer 0.backward:\n" in output
    assert "step 0, unit 0, layer 1:\n  output[0] = 1·2 + 1·2 + 1·22 + 1·22 = 48\n" in output


def test_stacked_layers_have_headings():
    lines = run("example", "stacked").stdout.splitlines()
    heading = lines.index("1.forward, 1.backward: ElmanCell(2, 1, activation='linear', bias=False)")
    assert lines[heading - 1] == ""
    assert lines[heading + 1 : heading + 4] == ["  z = W x + R h_prev", "  h = z", ""]
    assert not [line for line in lines if line != line.rstrip()]


FILE = """
seed = 0
[[net]]
type = "Recurrent"
cell = {type = "ElmanCell", input_size = 1, hidden_size = 3}
[[net]]
type = "Linear"
in_features = 3
out_features = 2
[[run]]
inputs = [[1], [2]]
explain = [EXPLAIN]
"""


@pytest.mark.parametrize(
    ("explain", "layers"),
    [
        ("{t = 1}", ["0", "1"]),
        ("{t = 1, unit = 2}", ["0"]),  # the readout has two units only
        ('{t = 1, layer = "0"}', ["0"]),
        ('{t = 1, layer = "1"}', ["1"]),
    ],
)
def test_a_file_says_what_is_explained(tmp_path: Path, explain: str, layers: list[str]):
    file = tmp_path / "net.toml"
    file.write_text(FILE.replace("EXPLAIN", explain))
    (only,) = run_json("run", file)["networks"][0]["runs"]
    assert [step["layer"] for step in only["arithmetic"]] == layers
    file.write_text(FILE.replace("EXPLAIN", '{t = 1, unit = 2, layer = "1"}'))
    assert "unit=2 is no unit of any value" in run("run", file, code=2).stderr


def test_a_saved_model_shows_its_readout(tmp_path: Path):
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 3)), nn.Linear(3, 2))
    cello.save_model(net, tmp_path / "model")
    output = run("show", tmp_path / "model").stdout
    assert output.endswith(
        "\n1: Linear(in_features=3, out_features=2, bias=True)\n  output = W h + b\n"
    )


@pytest.mark.parametrize("layers", [1, 2])
def test_a_drop_in_is_called_by_a_name_that_users_know(layers: int):
    text = formulas_text(cello.Stack(cello.LSTM(2, 3, num_layers=layers), nn.Linear(3, 2)))
    headings = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert headings == [
        *["0.0: LSTMCell(2, 3)", "0.1: LSTMCell(3, 3)"][:layers],
        "1: Linear(in_features=3, out_features=2, bias=True)",
    ]
