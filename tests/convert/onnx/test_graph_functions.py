"""The functions between the layers of a net that was read: each has the same numbers in ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch

import cello
from cello.convert.graph import NetGraph
from cello.errors import ConversionError

Node = list[Any]

# What is made of a GRU's output, value 1, [B, T, 4]; its input is value 0, [B, T, 3].
CASES: dict[str, list[Node]] = {
    "any_differs": [["any_differs", [0], {"number": 0.0}], ["keep", [1, 2], {}]],
    "choose": [["any_differs", [0], {"number": 0.0}], ["choose", [2, 1, 1], {}]],
    "repeat": [["select", [1], {"axis": 1, "index": -1}], ["repeat", [2], {"times": 5}]],
    "average": [["average", [1, 1], {}]],
    "flip": [["flip", [1], {"axis": 1}]],
    "pad": [["pad", [1], {"before": 2}]],
    "dot": [["dot", [1, 1], {"axes": [2, 2], "normalize": True}]],
    "Cast": [["Cast", [1], {"to": "float64"}], ["Cast", [2], {"to": "float32"}]],
    "Softmax": [["Softmax", [1], {"axis": -1}]],
    "LogSoftmax": [["LogSoftmax", [1], {"axis": -1}]],
    "Split": [["Split", [1], {"axis": 2, "parts": 2}], ["item", [2], {"index": 1}]],
    "concatenate": [["concatenate", [1, 0], {"axis": -1}]],
}


def _net(nodes: list[Node]) -> NetGraph:
    layer = cello.Recurrent(cello.GRUCell(3, 4), batch_first=True)
    return NetGraph([layer], [[0, [0], {}], *nodes], outputs=[1 + len(nodes)])


@pytest.mark.parametrize("name", CASES)
def test_the_file_has_the_numbers_of_the_net(name: str, tmp_path: Path) -> None:
    net = _net(CASES[name])
    cello.to_onnx(net, tmp_path / "net.onnx")
    written = {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    assert "GRU" in written
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    x = torch.randn(2, 6, 3)
    x[1, 3:] = 0
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), net(x).detach(), rtol=1e-5, atol=1e-6)


def test_softmax_over_several_axes_is_refused(tmp_path: Path) -> None:
    net = _net([["Softmax", [1], {"axis": 1, "flat": True}]])
    with pytest.raises(ConversionError, match="runs over several axes, as before operator set 13"):
        cello.to_onnx(net, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
