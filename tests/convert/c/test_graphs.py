"""Graphs, such as files of Keras's hold, as C and as a step of ONNX: what Keras computes."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cello
from cello.convert import NetGraph, from_keras
from cello.convert.c.machine import build
from cello.convert.graph.per_step import per_step
from cello.engines.cpu.toolchain.compiler import ENDING
from cello.errors import ConversionError
from tests.convert.keras.models import Input, L, S, inputs_of, make

GRAPHS: dict[str, Any] = {
    "last step": lambda: make("last step"),
    "regressor": lambda: S([Input((None, 3)), L.LSTM(5), L.Dense(4, "relu"), L.Dense(1)]),
    "masked": lambda: make("masked"),
    "branches": lambda: make("branches"),
    "states": lambda: make("states"),
    "words": lambda: S(
        [Input((None,), dtype="int32"), L.Embedding(11, 4, mask_zero=True), L.GRU(5), L.Dense(3)]
    ),
}


def _opened(model: Any, folder: Path) -> NetGraph:
    model.save(folder / "model.keras")
    net = from_keras(folder / "model.keras")
    assert isinstance(net, NetGraph)
    return net


def _run_c(folder: Path, state: int, x: Any, outputs: int) -> Any:
    """The last output of `net_run` on one sequence, in a program of its own."""
    library = folder / f"net{ENDING}"
    build(folder / "net.c", library)
    code = ctypes.CDLL(str(library))
    memory = np.full(state // 4 + 1, np.nan, np.float32)
    y = np.full((len(x), outputs), np.nan, np.float32)
    code.net_reset(ctypes.c_void_p(memory.ctypes.data))
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (memory, x, y)]
    code.net_run(*pointers, ctypes.c_long(len(x)))
    return y[-1]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_file_of_kerass_becomes_c(name: str, tmp_path: Path) -> None:
    model = GRAPHS[name]()
    report = cello.to_c(_opened(model, tmp_path), tmp_path)
    assert report.difference is not None
    assert report.difference < 1e-5
    (given,) = inputs_of(model, 8, 1)
    found = model(given, training=False)
    parts = [p.detach().numpy() for p in (found if isinstance(found, (list, tuple)) else [found])]
    last = np.concatenate([part[0, -1] if part.ndim > 2 else part[0] for part in parts])
    x = np.ascontiguousarray(given[0], np.int32 if name == "words" else np.float32)
    y = _run_c(tmp_path, report.state_bytes, x, len(last))
    np.testing.assert_allclose(y, last, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("backwards", r"node 0 \(flip\) gives something else one step at a time"),
        ("encoder and decoder", r"begins with a state that is computed from an input"),
        ("pooled", r"max_pooling1d\w* \(MaxPool1d\) cannot run on one step alone"),
    ],
)
def test_what_cannot_run_step_by_step_is_named(name: str, words: str, tmp_path: Path) -> None:
    net = _opened(make(name), tmp_path)
    (tmp_path / "model.keras").unlink()
    with pytest.raises(ConversionError, match=words):
        cello.to_c(net, tmp_path / "c")
    with pytest.raises(ConversionError, match=words):
        cello.to_onnx(net, tmp_path / "net.onnx", stream=True)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_with_the_batch_first_and_layers_with_time_first(tmp_path: Path) -> None:
    turn = {"perm": [1, 0, 2]}
    layer = cello.Recurrent(cello.LSTMCell(3, 4), initial_state="learned")
    nn.init.normal_(layer.initial["c"])
    wiring = [["Transpose", [0], turn], [0, [1], {}], ["add", [2, 3], {}], ["Transpose", [4], turn]]
    wiring.insert(2, [1, [1], {}])
    net = NetGraph([layer, nn.Linear(3, 4)], wiring, outputs=[-1])
    x = torch.randn(2, 6, 3)
    made = per_step(net)
    torch.testing.assert_close(made(x)[0], net(x))
    assert cello.to_c(net, tmp_path).difference < 1e-5  # type: ignore[operator]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([["Unsqueeze", [1], {"axes": [1]}]], [2]),  # [T, 1, B, H], as ONNX's operators have it
        ([["Transpose", [1], {"perm": [2, 0, 1]}]], [2]),
        ([["Flatten", [1], {"axis": 2}]], [2]),  # [T B, H]
        ([["state", [1], {"index": 0}], ["Unsqueeze", [2], {"axes": [0]}]], [1, 3]),
    ],
)
def test_sequences_stand_anywhere_in_an_output(
    nodes: list[Any], outputs: list[int], tmp_path: Path
) -> None:
    layer = cello.Recurrent(cello.LSTMCell(3, 4))
    net = NetGraph([layer], [[0, [0], {}], *nodes], outputs=outputs)
    report = cello.to_c(net, tmp_path)
    assert report.difference is not None
    x = torch.randn(6, 1, 3)
    y = _run_c(tmp_path, report.state_bytes, x[:, 0].numpy(), 4 * len(outputs))
    want = layer(x)[0][-1, 0].detach().repeat(len(outputs))
    torch.testing.assert_close(torch.from_numpy(y), want)
    assert cello.to_onnx(net, tmp_path / "step.onnx", stream=True).proof.relative < 1e-5


def test_an_output_without_an_axis_of_the_sequences_is_named(tmp_path: Path) -> None:
    turned = [["Transpose", [1], {"perm": [0, 2, 1]}], ["Flatten", [2], {"axis": 1}]]
    net = NetGraph([cello.Recurrent(cello.GRUCell(3, 4))], [[0, [0], {}], *turned])
    with pytest.raises(ConversionError, match=r"node 2 \(Flatten.* no axis of the sequences"):
        cello.to_c(net, tmp_path)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (lambda: cello.Bidirectional(cello.GRUCell(3, 2)), r"\(Bidirectional\) .* the end; in"),
        (lambda: cello.Recurrent(cello.GRUCell(3, 2), reverse=True), r"\(Recurrent\) .* the end"),
        (lambda: cello.GRU(3, 2, bidirectional=True), r"both \(GRU\) .* the end; in a cello.Stack"),
        (lambda: cello.GRU(3, 2, 2), r"both \(GRU\) .* several layers; give"),
    ],
)  # fmt: skip
def test_layers_that_no_graph_runs_by_steps_are_named(part: Any, words: str) -> None:
    net = NetGraph([part()], [[0, [0], {}], ["add", [1, 1], {}]], names=["both"])
    with pytest.raises(ConversionError, match=words):
        per_step(net)


def test_a_graph_is_a_step_in_onnx(tmp_path: Path) -> None:
    net = _opened(GRAPHS["last step"](), tmp_path)
    made = cello.to_onnx(net, tmp_path / "step.onnx", stream=True)
    assert made.states == {f"{n}_0": f"{n}_n" for n in per_step(net).cell.state}  # type: ignore[union-attr]
    assert made.proof.relative < 1e-5


def test_a_module_that_mixes_steps_is_named() -> None:
    class Ahead(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.roll(-1, 0)

    net = NetGraph(
        [cello.Recurrent(cello.GRUCell(3, 2)), Ahead()], [[0, [0], {}], [1, [1], {}]],
        names=["layer", "ahead"],
    )  # fmt: skip
    with pytest.raises(ConversionError, match=r"^ahead \(Ahead\) gives something else"):
        per_step(net)
