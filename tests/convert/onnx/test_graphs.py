"""Graphs as ONNX files: what readers of files made is written, proved, and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

import cello
from cello import files
from cello.convert import NetGraph, from_keras, from_onnx
from cello.convert.graph import net_graph
from cello.convert.onnx import graph_functions
from cello.convert.onnx_read.operators.constants import Held
from cello.errors import ConversionError, ModelError
from tests.convert.keras.models import inputs_of, make

#: Of Keras's models, those that have each function and module, and what their cells become.
MODELS = {
    "last step": {"GRU"},
    "both ways, mul, last step": {"LSTM"},
    "masked words": {"Scan"},
    "convolution and norms": {"LSTM"},
    "products": {"GRU", "LSTM"},
    "branches": {"GRU", "LSTM"},
    "two inputs": {"LSTM"},
    "encoder and decoder": {"LSTM"},
    "operations": {"LSTM"},
}


def _all(found: Any) -> tuple[Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", MODELS)
def test_a_graph_is_written_and_read_again(name: str, tmp_path: Path) -> None:
    model = make(name)
    model.save(tmp_path / "model.keras")
    net = from_keras(tmp_path / "model.keras")
    made = cello.to_onnx(net, tmp_path / "net.onnx")
    assert set(made.operators.values()) == MODELS[name]
    assert made.proof.cases >= 6
    again = from_onnx(tmp_path / "net.onnx")
    for T, B in ((6, 2), (9, 3)):  # no size is built in
        given = [torch.from_numpy(x) for x in inputs_of(model, T, B)]
        wide = [x.long() if x.dtype == torch.int32 else x for x in given]
        with torch.no_grad():
            for one, two in zip(_all(net(*given)), _all(again(*wide)), strict=True):
                torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-4)


def _turned(layer: nn.Module) -> NetGraph:
    """Time first inside, the batch first outside, with the last state and the last step."""
    turn = {"perm": [1, 0, 2]}
    return NetGraph(
        [layer, nn.Linear(8, 2)],
        [
            ["Transpose", [0], turn], [0, [1], {}], ["state", [2], {"index": 0}],
            ["select", [2], {"axis": 0, "index": -1}], [1, [4], {}],
        ],
        outputs=[5, 3],
    )  # fmt: skip


def test_two_ways_with_the_batch_first_and_a_state_that_comes_out(tmp_path: Path) -> None:
    net = _turned(cello.Bidirectional(cello.LSTMCell(3, 4)))
    made = cello.to_onnx(net, tmp_path / "net.onnx", test_vector=tmp_path / "net.npz")
    assert made.states == {}
    graph = onnx.load(tmp_path / "net.onnx").graph
    names = [[part.name for part in side] for side in (graph.input, graph.output)]
    assert names == [["x"], ["y0", "y1"]]
    x = torch.randn(3, 5, 3)
    for one, two in zip(net(x), from_onnx(tmp_path / "net.onnx")(x), strict=True):
        torch.testing.assert_close(two, one)


def test_any_name_is_one_of_a_part(tmp_path: Path) -> None:
    names = ["forward", "train", "type", "_modules", "", "forward_", "a.b", "a_b"]
    wiring = [[number, [number], {}] for number in range(len(names))]
    net = NetGraph([nn.Linear(3, 3) for _ in names], wiring, names=names)
    assert (len(net.parts), net.names) == (len(names), names)
    cello.save_model(net, tmp_path / "net")
    again, x = cello.load_model(tmp_path / "net"), torch.randn(2, 5, 3)
    assert isinstance(again, NetGraph)
    assert again.names == names
    torch.testing.assert_close(again(x), net(x))


class Mixes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(1)


def test_every_function_of_a_graph_has_a_form() -> None:
    known = {*graph_functions._FUNCTIONS, *graph_functions.OPERATORS, "state"}
    assert set(net_graph._KNOWN) - known == set()


def test_a_module_without_a_form_is_named(tmp_path: Path) -> None:
    layer = cello.Recurrent(cello.GRUCell(3, 4), batch_first=True)
    net = NetGraph([layer, Mixes()], [[0, [0], {}], [1, [1], {}]], names=["layer", "mixes"])
    with pytest.raises(ConversionError, match=r"mixes|not equal to the net"):
        cello.to_onnx(net, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_numbers_without_an_axis_and_gelu(approximate: str, tmp_path: Path) -> None:
    """As exporters write them: y = gelu(2 x), once over a GRU's output."""
    gru = cello.Recurrent(cello.GRUCell(2, 3))
    net = NetGraph(
        [gru, Held.of(torch.tensor(2.0))],
        [
            [0, [0], {}], [1, [], {}], ["Mul", [1, 2], {}],
            ["Gelu", [3], {"approximate": approximate}],
        ],
        outputs=[4],
    )  # fmt: skip
    cello.save_model(net, tmp_path / "model")
    again = cello.load_model(tmp_path / "model")
    x = torch.randn(5, 2, 2)
    with torch.no_grad():
        wanted = torch.nn.functional.gelu(2 * gru(x)[0], approximate=approximate)
        torch.testing.assert_close(again(x), wanted)
        cello.to_onnx(again, tmp_path / "net.onnx")
        read = from_onnx(tmp_path / "net.onnx")
        torch.testing.assert_close(_all(read(x))[0], wanted, atol=1e-6, rtol=1e-5)


def test_a_disk_that_is_full_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = files.write

    def full(path: Path, data: bytes, *, forced: bool) -> None:
        if ".onnx" in path.name:
            raise OSError(28, "No space left on device", str(path))
        write(path, data, forced=forced)

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(ModelError, match=r"net\.onnx: No space left"):
        cello.to_onnx(nn.Linear(2, 1), tmp_path / "net.onnx", test_vector=tmp_path / "t.npz")
    assert not list(tmp_path.iterdir())
