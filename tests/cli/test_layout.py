"""Which axis holds the sequences, where the layers of a graph do not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cello
from cello.cli.inputs import as_batch
from cello.convert import NetGraph
from cello.errors import DataError
from tests.cli.running import run


class Convolved(nn.Module):
    """Reads [B, T, 4]; inside, the steps stand last, and what its GRU reads was made of that."""

    def __init__(self) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(4, 8, 3, padding=1)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.readout = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.convolve(x.transpose(1, 2))).transpose(1, 2)
        out: Tensor = self.readout(self.gru(y)[0])
        return out


@pytest.mark.filterwarnings("ignore")
def test_numbers_are_predicted_of_each_sequence_and_not_of_each_step(tmp_path: Path) -> None:
    net, x = Convolved().eval(), torch.randn(5, 9, 4)
    axes = {"x": {0: "b", 1: "t"}}
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, (x,), path, dynamo=False, input_names=["x"], dynamic_axes=axes)
    np.save(tmp_path / "x.npy", x.numpy())
    words = run("predict", path, tmp_path / "x.npy").stdout.split()
    found = torch.tensor([[float(word) for word in line.split(",")] for line in words])
    torch.testing.assert_close(found, net(x).detach().flatten(0, 1))


def graph(**options: bool) -> NetGraph:
    return NetGraph([cello.GRU(4, 3, **options)], [(0, [0], {})], inputs=1, outputs=[1])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_found_out_by_running_the_net(batch_first: bool, bidirectional: bool) -> None:
    net = graph(batch_first=batch_first, bidirectional=bidirectional)
    assert net.axes.told
    assert net.batch_first is batch_first


def test_it_is_that_of_the_graph_and_not_of_its_layers() -> None:
    turn = {"perm": [1, 0, 2]}
    wiring = [["Transpose", [0], turn], [0, [1], {}], ["Transpose", [2], turn]]
    net = NetGraph([cello.Recurrent(cello.GRUCell(4, 3))], wiring, outputs=[3])
    assert net.batch_first
    assert not net.layers_batch_first


def test_a_net_that_does_not_run_is_no_guess() -> None:
    net = NetGraph([cello.GRU(4, 3), nn.Linear(5, 1)], [(0, [0], {}), (1, [1], {})], outputs=[2])
    with pytest.raises(DataError, match="not known which axis of the input holds the steps"):
        as_batch(net, [torch.randn(7, 4)])
