"""What cannot be explained is refused, and says why."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import cello
from cello.errors import (
    ArgumentError,
    CaptureError,
    DtypeError,
    ModelError,
    UnknownNameError,
)
from tests import registry

# ------------------------------------------------------------ refusals


@pytest.mark.usefixtures("step_by_step")
def test_changed_parameters_are_noticed():
    net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 4)), cello.LSTM(4, 2))
    rec = cello.record(net, torch.randn(3, 2, 3))
    rec.explain(1, 0, layer="0")
    torch.optim.SGD(net.parameters(), 0.1).zero_grad()
    rec.explain(1, 0, layer="0")
    with torch.no_grad():
        net[0].cell.R.mul_(1.0)
    with pytest.raises(ModelError, match=r"^R of 0 changed since the recording, .* record again$"):
        rec.explain(1, 0, layer="0")
    rec.explain(1, 0, layer="1.0")
    net[1].bias_hh_l0 = nn.Parameter(torch.zeros(8))
    assert str(rec.explain(1, 0, layer="1.0"))  # the recording still holds the cell as it was
    net[0].cell.b = nn.Parameter(torch.zeros(12))
    with pytest.raises(ModelError, match=r"^R, b of 0 changed since|^b, R of 0 changed since"):
        rec.explain(1, 0, layer="0")


def test_what_does_not_come_to_the_recorded_value_is_not_shown():
    layer = cello.Recurrent(cello.LSTMCell(3, 4))
    rec = cello.record(layer, torch.randn(3, 2, 3))
    layer.cell.W.data[5, 0] += 1e-2  # .data keeps no count of changes
    with pytest.raises(
        ModelError, match=r"^z_f\[1\] at t=2 was recorded as .*, but the net as it is now gives"
    ):
        rec.explain(2, 1)
    rec.explain(2, 1, names=["z_i", "c"])  # which W[5] has no part in
    damaged = cello.record(layer, torch.randn(3, 2, 3))
    damaged.layer().rows["c"].mul_(1.001)
    with pytest.raises(ModelError, match=r"^c\[1\] at t=0 was recorded"):
        damaged.explain(0, 1)


def test_only_what_is_recorded_can_be_explained():
    layer = cello.Recurrent(cello.LSTMCell(3, 4).double())
    x = torch.randn(3, 2, 3).double()
    rec = cello.record(layer, x, only=("i", "f", "g", "c", "c_prev"))
    assert str(rec.explain(2, 1, names="c")) == str(cello.record(layer, x).explain(2, 1, names="c"))
    with pytest.raises(
        UnknownNameError, match=r"^the arithmetic needs h_prev and x, which this rec"
    ):
        rec.explain(2, 1, names="i")
    rec = cello.record(layer, x, only=("h", "x", "*_prev"))
    assert rec.explain(2, 1, terms=99).lines[0].name == "h"
    rec = cello.record(layer, x, only=("h",))
    with pytest.raises(UnknownNameError, match=r"^the arithmetic needs c_prev and h_prev and x"):
        rec.explain(2, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"t": 4}, ArgumentError, r"^t=4 is no step of sequence 0, which has 4, counted from 0$"),
        ({"t": 2, "batch": 1}, ArgumentError, r"^t=2 is no step of sequence 1, which has 2, "),
        ({"t": -1}, ArgumentError, r"^t=-1 is no step"),
        ({"t": 1.5}, DtypeError, r"^t must be a whole number, got 1.5$"),
        ({"t": 0, "unit": True}, DtypeError, r"^unit must be a whole number, got True$"),
        ({"t": 0, "batch": 2}, ArgumentError, r"^batch=2 is no sequence of this recording"),
        (
            {"t": 0, "unit": 5},
            ArgumentError,
            r"^unit=5 is no unit of any value; the largest has 3$",
        ),
        (
            {"t": 0, "unit": 2, "names": "y"},
            ArgumentError,
            r"^unit=2 is no unit of y, which has 2$",
        ),
        ({"t": 0, "names": "z"}, UnknownNameError, r"^nothing is named 'z'; there are 'h', 'y'$"),
        ({"t": 0, "names": "x"}, UnknownNameError, r"^nothing is named 'x'"),
        ({"t": 0, "layer": "1"}, UnknownNameError, r"^there is no layer '1': .* leave layer out$"),
        ({"t": 0, "terms": "all"}, DtypeError, r"^terms must be a whole number, got 'all'$"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type, message: str):
    layer = cello.Recurrent(cello.JordanCell(3, 3, output_size=2))
    rec = cello.record(layer, torch.randn(4, 2, 3), lengths=torch.tensor([4, 2]))
    with pytest.raises(error, match=message):
        rec.explain(**arguments)


def test_units_beyond_a_value_leave_it_out():
    rec = cello.record(cello.Recurrent(cello.JordanCell(3, 3, output_size=2)), torch.randn(4, 1, 3))
    assert [line.name for line in rec.explain(0, 1).lines] == ["h", "y"]
    assert [line.name for line in rec.explain(0, 2).lines] == ["h"]


def test_a_net_of_several_layers_wants_to_know_which():
    net = cello.Stack(cello.Bidirectional(cello.GRUCell(3, 4)))
    rec = cello.record(net, torch.randn(4, 1, 3))
    with pytest.raises(ArgumentError, match=r"^layer must be one of '0.forward', '0.backward'"):
        rec.explain(0, 0)
    assert rec.explain(0, 0, "backward", names="0.backward.z").lines[0].name == "z"


def test_a_cell_that_cannot_be_traced_cannot_be_explained():
    layer = cello.Recurrent(registry.make("branching"), engine="reference")
    rec = cello.record(layer, torch.randn(4, 2, registry.I).double())
    with pytest.raises(CaptureError, match=r"^the arithmetic cannot be shown: BranchingCell.step"):
        rec.explain(0, 0)


def test_explaining_works_anywhere():
    layer = cello.Recurrent(cello.GRUCell(3, 4))
    with torch.inference_mode():
        rec = cello.record(layer, torch.randn(3, 2, 3))
        inside = str(rec.explain(1, 1))
    with torch.no_grad():
        assert str(rec.explain(1, 1)) == inside
    before = torch.random.get_rng_state()
    assert str(rec.explain(1, 1)) == inside
    assert torch.equal(before, torch.random.get_rng_state())


def test_values_that_are_no_finite_numbers():
    layer = cello.Recurrent(cello.ElmanCell(2, 1, "relu", bias=False))
    nn.init.ones_(layer.cell.W), nn.init.ones_(layer.cell.R)
    rec = cello.record(layer, torch.tensor([[math.inf, 1.0], [math.nan, 1.0]]))
    assert str(rec.explain(0, 0)).splitlines()[0] == "z = 1·∞ + 1·1 + 1·0 = ∞"
    assert str(rec.explain(1, 0)).splitlines()[0] == "z = 1·nan + 1·1 + 1·∞ = nan"
    assert r"\mathrm{nan}" in rec.explain(1, 0).latex()
    assert r"\infty" in rec.explain(0, 0).latex()
