# ruff: noqa: E501 (a table is as wide as it is)
from __future__ import annotations

import pytest
import torch

import cello
from cello.errors import ArgumentError, DtypeError, UnknownNameError

pytestmark = pytest.mark.usefixtures("step_by_step")


def lecture() -> cello.Recurrent:
    """The LSTM of the lecture's worked example: linear, without recurrent weights."""
    cell = cello.LSTMCell(
        3, 1, activation="identity", output_activation="identity", recurrent=False
    ).double()
    with torch.no_grad():
        cell.W.copy_(torch.tensor([[0, 100, 0], [0, 100, 0], [1, 0, 0], [0, 0, 100]]))
        cell.b.copy_(torch.tensor([-10, 10, 0, -10]))
    return cello.Recurrent(cell)


INPUTS = torch.tensor([[3, 1, 0], [4, 1, 0], [2, 0, 0], [1, 0, 1], [3, -1, 0]]).double()


def test_a_small_net_is_shown_whole():
    assert cello.record(lecture(), INPUTS).table().splitlines() == [
        "  t    x[0]    x[1]    x[2]    z_i    z_f    z    z_o         i         f    g         c        o        h",
        "---  ------  ------  ------  -----  -----  ---  -----  --------  --------  ---  --------  -------  -------",
        "  0       3       1       0     90    110    3    -10         1         1    3         3  4.54e-5  1.36e-4",
        "  1       4       1       0     90    110    4    -10         1         1    4         7  4.54e-5  3.18e-4",
        "  2       2       0       0    -10     10    2    -10   4.54e-5   0.99995    2    6.9998  4.54e-5  3.18e-4",
        "  3       1       0       1    -10     10    1     90   4.54e-5   0.99995    1    6.9995        1   6.9995",
        "  4       3      -1       0   -110    -90    3    -10  1.69e-48  8.19e-40    3  5.74e-39  4.54e-5  2.6e-43",
    ]


def cells(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines() if not line.startswith(("---", "left out"))]


def notes(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.startswith("left out")]


def test_names_units_steps_and_digits_are_chosen():
    rec = cello.record(lecture(), INPUTS)
    table = rec.table(names=["c", "x"], units=[0], steps=[1, 3], digits=3)
    assert cells(table) == [["t", "c", "x[0]"], ["1", "7", "4"], ["3", "7", "1"]]
    assert cells(rec.table(names="x", units=[2, 1], steps=[3])) == [
        ["t", "x[2]", "x[1]"],
        ["3", "1", "0"],
    ]
    assert not notes(table)


def test_a_row_ends_where_its_sequence_ends():
    layer = cello.Recurrent(cello.ElmanCell(1, 1), reverse=True)
    x = torch.randn(6, 3, 1)
    rec = cello.record(layer, x, lengths=torch.tensor([2, 6, 0]))
    for batch, length in enumerate([2, 6, 0]):
        rows = cells(rec.table(batch=batch, names=["x"]))[1:]
        assert len(rows) == length
        shown = [float(row[1]) for row in rows]
        assert shown == pytest.approx(x[:length, batch, 0].tolist(), rel=1e-4)


def test_a_wide_net_shows_what_it_remembers():
    rec = cello.record(cello.Recurrent(cello.LSTMCell(3, 20)), torch.randn(4, 1, 3))
    table = rec.table()
    assert cells(table)[0] == ["t", *(f"c[{u}]" for u in range(8)), *(f"h[{u}]" for u in range(8))]
    assert notes(table) == [
        "left out: x, z_i, z_f, z, z_o, i and 3 more values; choose with names=",
        "left out: units from 8 on, of up to 20; choose with units=",
    ]
    table = rec.table(units=[0, 19])
    assert cells(table)[0] == ["t", "c[0]", "c[19]", "h[0]", "h[19]"]
    everything = rec.table(names=["z", "f"], units=range(20))
    assert len(cells(everything)[0]) == 41
    assert not notes(everything)


def test_a_deep_net_names_its_layers_above_the_values():
    net = cello.Stack(
        cello.Bidirectional(cello.GRUCell(3, 4)),
        cello.Recurrent(cello.JordanCell(8, 5, output_size=2)),
    )
    table = cello.record(net, torch.randn(3, 1, 3)).table()
    assert table.splitlines()[0].split() == ["t", *["0.forward"] * 4, *["0.backward"] * 4, "1", "1"]
    units = [f"h[{u}]" for u in range(4)]
    assert table.splitlines()[1].split() == [*units, *units, "y[0]", "y[1]"]


def test_many_layers_are_cut_at_the_width_of_a_page():
    net = cello.Stack(*(cello.Recurrent(cello.ElmanCell(3, 3)) for _ in range(30)))
    table = cello.record(net, torch.randn(3, 1, 3)).table()
    assert table.splitlines()[0].split() == ["t", *(str(number) for number in range(16))]
    assert notes(table)[0].endswith("and 68 more values; choose with names=")


def test_a_long_sequence_is_cut_in_the_middle():
    rec = cello.record(cello.Recurrent(cello.ElmanCell(1, 1)), torch.randn(100, 1, 1))
    table = rec.table()
    rows = cells(table)[1:]
    assert [row[0] for row in rows] == [*map(str, range(20)), "…", *map(str, range(80, 100))]
    assert notes(table) == ["left out: 60 of 100 steps; choose with steps="]
    assert len(cells(rec.table(steps=range(100)))) == 101


def test_layers_of_different_lengths_leave_gaps():
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = cello.Recurrent(cello.ElmanCell(1, 1))
            self.b = cello.Recurrent(cello.ElmanCell(1, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x)[0][:2])[0]

    rec = cello.record(Two(), torch.randn(3, 1, 1))
    assert [len(row) for row in cells(rec.table(names=["a.h", "b.h"]))[2:]] == [3, 3, 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"names": "q"}, UnknownNameError, r"^nothing is named 'q'"),
        ({"units": [3]}, ArgumentError, r"^units holds 3, but no value has more than 3 units$"),
        ({"units": [-1]}, ArgumentError, r"^units must not be negative, got -1$"),
        ({"units": [0.5]}, DtypeError, r"^units must be a whole number, got 0.5$"),
        ({"steps": [5]}, ArgumentError, r"^steps holds 5, but the sequence has 5, from 0 on$"),
        ({"batch": 1}, ArgumentError, r"^batch=1 is no sequence of this recording, which has 1"),
    ],
)
def test_what_is_not_there_cannot_be_shown(arguments: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        cello.record(lecture(), INPUTS).table(**arguments)
