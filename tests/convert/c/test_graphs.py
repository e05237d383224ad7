"""Graphs, such as files of Keras's hold, as C and as a step of ONNX: what Keras computes."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cello
from cello.convert import NetGraph, from_keras
from cello.convert.c.machine import build
from cello.convert.graph.per_step import in_passes, per_step
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
    "both ways, mul, all steps": lambda: make("both ways, mul, all steps"),
    "both ways, concat, last step": lambda: make("both ways, concat, last step"),
    "masked both ways": lambda: make("masked both ways"),
    "masked words": lambda: make("masked words"),
    "both ways of cells": lambda: make("both ways of cells"),
    "both ways with their states": lambda: make("both ways with their states"),
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
    asks = re.search(r"#define NET_WORK (\d+)", (folder / "net.h").read_text())
    work = [np.full(int(asks[1]) * len(x), np.nan, np.float32)] if asks else []
    given, into, *more = (ctypes.c_void_p(a.ctypes.data) for a in (x, y, *work))
    pointer = ctypes.c_void_p(memory.ctypes.data)
    code.net_run(pointer, given, into, ctypes.c_long(len(x)), *more)
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
    x = np.ascontiguousarray(given[0], np.int32 if "words" in name else np.float32)
    y = _run_c(tmp_path, report.state_bytes, x, len(last))
    np.testing.assert_allclose(y, last, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("backwards", r"\(flip.*\) gives something else one step at a time"),
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
        (lambda: cello.Bidirectional(cello.GRUCell(3, 2)), r"\(Bidirectional\) .* the end; as C"),
        (lambda: cello.Recurrent(cello.GRUCell(3, 2), reverse=True), r"\(Recurrent\) .* the end"),
        (lambda: cello.GRU(3, 2, bidirectional=True), r"both \(GRU\) .* the end; in a cello.Stack"),
        (lambda: cello.GRU(3, 2, 2), r"both \(GRU\) .* several layers; give"),
    ],
)  # fmt: skip
def test_layers_that_no_graph_runs_by_steps_are_named(part: Any, words: str) -> None:
    net = NetGraph([part()], [[0, [0], {}], ["add", [1, 1], {}]], names=["both"])
    with pytest.raises(ConversionError, match=words):
        per_step(net)


LAST: list[Any] = ["select", [1], {"axis": 0, "index": -1}]


@pytest.mark.parametrize(
    ("parts", "wiring", "count"),
    [
        ([cello.GRUCell(3, 2), nn.Linear(3, 4)], [[1, [0], {}], ["add", [1, 2], {}]], 2),
        ([cello.GRUCell(3, 2)], [LAST, ["add", [1, 2], {}]], 4),  # to each step, the last
        ([cello.GRUCell(3, 2), nn.Tanh()], [LAST, [1, [2], {}]], 3),
        (
            [cello.LSTMCell(3, 2), cello.Bidirectional(cello.GRUCell(4, 2), join="mean")],
            [["state", [1], {"index": 2}], [1, [1], {}], ["add", [2, 3], {}]],
            3,
        ),
        (
            [cello.LSTMCell(3, 2), cello.Recurrent(cello.GRUCell(4, 4))],
            [["flip", [1], {"axis": 0}], [1, [2], {}], ["flip", [3], {"axis": 0}]],
            2,
        ),
        ([cello.GRUCell(3, 2)], [["Transpose", [1], {"perm": [1, 2, 0]}], ["Tanh", [2], {}]], 2),
    ],
)
@pytest.mark.parametrize("begin", ["zeros", "learned"])
def test_a_graph_that_reads_both_ways_is_passes_in_turn(
    parts: list[Any], wiring: list[Any], count: int, begin: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    layer = cello.Bidirectional(parts[0], initial_state=begin)
    for part in layer.parameters():
        nn.init.normal_(part)
    net = NetGraph([layer, *parts[1:]], [[0, [0], {}], *wiring])
    made = in_passes(net)
    assert isinstance(made, cello.Stack)
    assert [part.reverse for part in made] == [number % 2 == 1 for number in range(count)]
    x = torch.randn(6, 2, 3)
    y, whole = made(x)[0], net(x)
    if whole.shape == (2, 4, 6):
        whole = whole.permute(2, 0, 1)
    torch.testing.assert_close(y if whole.dim() == 3 else y[-1], whole)
    report = cello.to_c(net, tmp_path)
    assert report.difference is not None
    assert report.difference < 1e-5
    with pytest.raises(ConversionError, match="from the end; as C it can be run on whole seq"):
        cello.to_onnx(net, tmp_path / "net.onnx", stream=True)


@pytest.mark.parametrize(
    ("wiring", "words"),
    [
        ([["mean", [1], {"axis": 0}]], r"\(mean, .* gives something else one step at a time"),
    ],
)
def test_what_no_passes_have_is_named(wiring: list[Any], words: str) -> None:
    net = NetGraph([cello.Bidirectional(cello.GRUCell(3, 2)), nn.Tanh()], [[0, [0], {}], *wiring])
    with pytest.raises(ConversionError, match=words):
        in_passes(net)


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
