"""Cells of the zoo are saved and loaded by their names, as those of the library are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cello
from cello import zoo
from cello.convert import net_from_spec, net_to_spec
from cello.errors import ArgumentError
from tests.registry import ZOO, x_of


def test_a_saved_zoo_needs_no_classes(tmp_path: Path):
    net = torch.nn.Sequential(*(cello.Recurrent(build()) for build in ZOO.values())).eval()
    cello.save_model(net, tmp_path)
    again = cello.load_model(tmp_path).eval()
    with cello.engine("reference"):
        for ours, theirs in zip(net, again, strict=True):
            assert type(theirs.cell) is type(ours.cell)
            assert theirs.cell.config() == ours.cell.config()
            x = x_of(ours.cell, 3, 2, dtype=torch.float32)
            assert torch.equal(theirs(x)[0], ours(x)[0])


def test_the_spec_of_a_clockwork_is_plain():
    spec = net_to_spec(zoo.ClockworkCell(3, 4, periods=(1, 4)))
    assert spec == {
        "type": "ClockworkCell",
        "input_size": 3,
        "hidden_size": 4,
        "periods": [1, 4],
    }
    assert net_from_spec(spec).periods == (1, 4)


def test_classes_of_the_zoo_may_be_passed_and_their_names_are_taken():
    spec = net_to_spec(zoo.MGUCell(3, 4))
    assert isinstance(net_from_spec(spec, [zoo.MGUCell]), zoo.MGUCell)

    class MGUCell(cello.Cell):
        state = ("h",)

    with pytest.raises(ArgumentError, match=r"a class named MGUCell: Cello has one of that name"):
        net_from_spec(spec, [MGUCell])
