from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import cello
from cello.errors import DtypeError


@pytest.mark.parametrize(
    ("net", "total"),
    [
        (nn.Linear(2, 2), 6),
        (cello.LSTMCell(2, 2, recurrent=False), 24),
        (cello.ElmanCell(2, 2), 10),
        (cello.GRUCell(2, 2), 30),
        (cello.LSTMCell(2, 2), 40),
        (cello.LSTMCell(2, 2, peephole=True), 46),
        (cello.Recurrent(cello.LSTMCell(2, 2)), 40),
        (cello.Bidirectional(cello.GRUCell(2, 2)), 60),
        (nn.ReLU(), 0),
    ],
)
def test_the_lectures_numbers(net: nn.Module, total: int):
    assert cello.count_parameters(net).total == total


def test_a_notebook_shows_the_table():
    count = cello.count_parameters(cello.GRUCell(2, 2))
    assert repr(count) == str(count)
    assert str(count).splitlines()[-1].split() == ["total", "30"]


def test_by_gate():
    count = cello.count_parameters(cello.LSTMCell(3, 2, peephole=True, projection_size=1))
    rows = [(row.gate, row.text, row.count) for row in count.rows]
    assert rows == [
        ("i", "W 2×3 + R 2×1 + b 2 + p_i 2", 12),
        ("f", "W 2×3 + R 2×1 + b 2 + p_f 2", 12),
        ("g", "W 2×3 + R 2×1 + b 2", 10),
        ("o", "W 2×3 + R 2×1 + b 2 + p_o 2", 12),
        ("", "P 1×2", 2),
    ]


def test_by_layer_with_everything():
    net = cello.Stack(
        nn.Embedding(10, 3),
        cello.Bidirectional(cello.ElmanCell(3, 2)),
        cello.Recurrent(cello.GRUCell(4, 2, recurrent_bias=True), initial_state="learned"),
        nn.Dropout(0.5),
        nn.LayerNorm(2),
    )
    net[0].requires_grad_(False)
    count = cello.count_parameters(net)
    assert count.total == sum(parameter.numel() for parameter in net.parameters())
    assert (count.trainable, count.frozen) == (count.total - 30, 30)
    assert str(count).splitlines() == [
        "layer                  gate    parameters             count    trainable",
        "---------------------  ------  -------------------  -------  -----------",
        "0  Embedding                   weight 10×3               30            0",
        "1.forward  ElmanCell           W 2×3 + R 2×2 + b 2       12           12",
        "1.backward  ElmanCell          W 2×3 + R 2×2 + b 2       12           12",
        "2  GRUCell             r       W 2×4 + R 2×2 + b 2       14           14",
        "                       z       W 2×4 + R 2×2 + b 2       14           14",
        "                       n       W 2×4 + R 2×2 + b 2       14           14",
        "                               d 2 + initial.h 2          4            4",
        "4  LayerNorm                   weight 2 + bias 2          4            4",
        "total                                                   104           74",
    ]


def test_gates_and_trainable_are_shown_only_where_they_say_something():
    assert str(cello.count_parameters(nn.Linear(2, 2))).splitlines() == [
        "layer    parameters             count",
        "-------  -------------------  -------",
        "Linear   weight 2×2 + bias 2        6",
        "total                               6",
    ]


@pytest.mark.parametrize("kind", [nn.LSTM, cello.LSTM])
def test_pytorchs_layers_have_a_bias_more(kind: Any):
    count = cello.count_parameters(kind(3, 2, num_layers=2, bidirectional=True))
    assert count.total == sum(p.numel() for p in kind(3, 2, 2, bidirectional=True).parameters())
    assert [row.layer for row in count.rows[::4]] == [
        "0.forward",
        "0.backward",
        "1.forward",
        "1.backward",
    ]
    assert [row.gate for row in count.rows[:4]] == ["i", "f", "g", "o"]
    assert count.rows[0].text == "weight_ih 2×3 + weight_hh 2×2 + bias_ih 2 + bias_hh 2"
    assert str(count).endswith(
        "PyTorch's layers have two biases where the equations have one: 32 parameters more"
    )
    assert count.total - 32 == sum(
        cello.count_parameters(cello.Bidirectional(cello.LSTMCell(size, 2))).total
        for size in (3, 4)
    )


def test_pytorchs_other_layers_and_cells():
    assert cello.count_parameters(nn.GRUCell(2, 2)).total == 30 + 6
    assert [row.gate for row in cello.count_parameters(cello.GRU(2, 2)).rows] == ["r", "z", "n"]
    assert [row.gate for row in cello.count_parameters(nn.RNN(2, 2)).rows] == [""]
    wrapped = cello.count_parameters(cello.Recurrent(nn.LSTMCell(2, 2)))
    assert wrapped.total == 48
    assert wrapped.notes == cello.count_parameters(nn.LSTMCell(2, 2)).notes != ()
    assert not cello.count_parameters(nn.LSTM(2, 2, bias=False)).notes
    projected = nn.LSTM(3, 4, proj_size=2)
    count = cello.count_parameters(projected)
    assert count.total == sum(p.numel() for p in projected.parameters())
    assert count.rows[-1].text == "weight_hr 2×4"


def test_shared_parameters_count_once():
    net = nn.Sequential(nn.Linear(3, 3), cello.Recurrent(cello.GRUCell(3, 3)), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net.append(net[1])
    net.append(cello.Recurrent(cello.GRUCell(3, 3)))
    net[4].cell.W = net[1].cell.W
    count = cello.count_parameters(net)
    assert count.total == sum(p.numel() for p in net.parameters())
    assert [row.text for row in count.rows if row.shared] == [
        "bias 3 (weight: counted above)",
        "(W: counted above)",
    ]
    assert [row.count for row in count.rows if row.layer == "4"] == [12, 12, 12, 0]


def test_a_users_own_cell():
    class Leaky(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 2)
            self.W = nn.Linear(3, 2)
            self.scale = nn.Parameter(torch.tensor(1.0))

    (row,) = cello.count_parameters(cello.Recurrent(Leaky())).rows
    assert (row.kind, row.text, row.count) == ("Leaky", "scale 1 + W.weight 2×3 + W.bias 2", 9)


def test_only_modules_have_parameters():
    with pytest.raises(DtypeError, match=r"^net must be a module, got the class LSTM itself$"):
        cello.count_parameters(nn.LSTM)  # type: ignore[arg-type]
