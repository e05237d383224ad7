"""Drawings of nets, of one step and through time."""

from __future__ import annotations

import pytest
from torch import nn

import cello
from cello.errors import ArgumentError
from cello.see.draw.net.nets import net_diagram
from cello.see.draw.net.outline import levels_of
from cello.see.draw.net.step_values import StepValues
from tests.registry import CELLS, ROW_WISE
from tests.see.draw.drawings import SVG, collisions, labels, read
from tests.see.draw.drawn_nets import NETS, Elman, Jordan, both, deep, lstms, recorded


def blocks(net: nn.Module):
    return net_diagram(levels_of(net), StepValues(None), parameters=False).blocks


@pytest.mark.parametrize("name", ["Elman", "Jordan"])
def test_which_layer_is_remembered(name: str):
    net = cello.Recurrent({"Elman": Elman, "Jordan": Jordan}[name]())
    x, memory, hidden, output, _ = blocks(net)
    assert (hidden.text, output.text) == ("hidden layer", "output layer")
    assert hidden.inputs == [x, memory]
    assert output.inputs == [hidden]
    assert memory.inputs == [{"Elman": hidden, "Jordan": output}[name]]


def test_both_directions_meet():
    x, _, forward, _, backward, join, _, _ = blocks(both())
    assert join.text == "concat"
    assert join.inputs == [forward, backward]
    assert forward.inputs[0] is backward.inputs[0] is x
    assert forward.lines == ("reads forward",)
    assert backward.lines == ("reads backward",)


def test_the_forward_direction_stands_to_the_left():
    texts = list(read(cello.draw(both()).svg).iter(f"{SVG}text"))
    places = sorted(float(text.get("x")) for text in texts if text.text == "Elman")
    (backward,) = (float(text.get("x")) for text in texts if text.text == "reads backward")
    assert places[1] == backward > places[0]


def test_a_ready_made_jordan_network_has_two_layers():
    texts = [block.text for block in blocks(cello.Recurrent(cello.JordanCell(3, 4, 2)))]
    assert texts == ["x", "y", "hidden layer", "output layer", "output"]


def test_layers_in_their_order():
    shown = [block.text for block in blocks(deep()) if block.kind != "memory"]
    assert shown == [
        "x", "Elman", "LSTM", "LSTM", "sum", "Dropout", "LSTM", "LSTM", "concat", "LSTM", "LSTM",
        "concat", "Tanh", "hidden layer", "output layer", "GRU", "Linear", "output",
    ]  # fmt: skip


@pytest.mark.parametrize("unrolled", [None, 1, 3])
@pytest.mark.parametrize("name", NETS)
def test_nothing_stands_on_anything_else(name: str, unrolled: int | None):
    net = NETS[name]()
    assert collisions(cello.draw(net, unrolled=unrolled).svg) == []
    recording = recorded(net)
    for unit in (None, 1):
        shown = cello.draw(net, unrolled=unrolled, recording=recording, t=0, batch=1, unit=unit)
        assert collisions(shown.svg) == []


@pytest.mark.parametrize("name", NETS)
def test_nor_with_parameters(name: str):
    assert collisions(cello.draw(NETS[name](), parameters=True).svg) == []


@pytest.mark.parametrize("name", [n for n in ROW_WISE if "-" not in n])
def test_any_cell_as_a_layer(name: str):
    net = cello.Recurrent(CELLS[name]())
    assert collisions(cello.draw(net).svg) == []
    assert collisions(cello.draw(net, unrolled=2).svg) == []


def test_a_deep_stack_is_no_wider_than_a_flat_one():
    assert cello.draw(lstms(20)).picture.width == cello.draw(lstms(4)).picture.width


def test_a_cell_that_cannot_be_traced_is_a_box():
    assert "Branching" in labels(cello.draw(cello.Recurrent(CELLS["branching"]())).svg)


def test_layers_of_torch_are_drawn_like_ours():
    options = {"num_layers": 2, "bidirectional": True}
    theirs = cello.draw(nn.LSTM(2, 3, **options), parameters=True)
    assert theirs.svg == cello.draw(cello.LSTM(2, 3, **options), parameters=True).svg

    class Different(nn.GRU):
        pass

    assert [block.text for block in blocks(Different(2, 3))] == ["x", "Different", "output"]


def test_each_layer_has_its_own_parameters():
    shown = labels(cello.draw(cello.Recurrent(cello.JordanCell(2, 3, 2)), parameters=True).svg)
    own = {"15 parameters", "8 parameters"}  # 2×3 + 2×3 + 3, 3×2 + 2
    assert own | {"23 parameters"} <= set(shown)


def test_parameters_of_a_net():
    assert "6 parameters" in labels(cello.draw(nn.Linear(2, 2), parameters=True).svg)
    net = deep()
    total = cello.count_parameters(net).total
    assert f"{total:,} parameters" in labels(cello.draw(net, parameters=True).svg)


def test_an_ordinary_module_of_layers():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10, 4)
            self.layers = nn.ModuleList([cello.GRU(4, 8)])
            self.readout = nn.Linear(8, 2)

    shown = labels(cello.draw(Net()).svg)
    assert {"Embedding", "GRU", "Linear"} <= set(shown)


@pytest.mark.parametrize(
    ("module", "shown"),
    [
        (nn.Sequential(), ["x", "Sequential", "output"]),
        (nn.Sequential(nn.LazyLinear(3), nn.Tanh()), ["x", "LazyLinear", "Tanh", "output"]),
        (nn.TransformerEncoderLayer(4, 2), ["x", "TransformerEncoderLayer", "output"]),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_modules_without_memory(module: nn.Module, shown: list[str]):
    assert [block.text for block in blocks(module)] == shown
    assert collisions(cello.draw(module, unrolled=2).svg) == []


def test_of_the_options_of_a_module_there_are_those_that_fit():
    assert blocks(nn.LayerNorm(16))[1].lines == ("(16,), eps=1e-05, …",)
    assert blocks(nn.Dropout(0.5, inplace=False))[1].lines == ("p=0.5",)
    assert blocks(nn.Embedding(9, 3))[1].lines == ("9 → 3",)

    class Long(nn.Module):
        def extra_repr(self) -> str:
            return "option=\n" + "x" * 100

    assert blocks(Long())[1].lines == ("option= xxxxxxxxxxxxxxxxxxxx…",)


def test_names_that_no_xml_may_hold():
    class Odd(nn.Module):
        def extra_repr(self) -> str:
            return "a=\x00<\x1b[0m\ud800>"

    Odd.__name__ = "O\x08dd"
    svg = cello.draw(Odd()).svg
    assert labels(svg)[1:3] == ["Odd", "a=<[0m>"]
    assert svg.encode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unrolled": 0}, "unrolled must be at least 1, got 0"),
        ({"unrolled": 2, "parameters": True}, "unrolled goes with a recording, not with the"),
        ({"detail": "rough"}, r"detail is for a cell: draw\(layer\.cell, detail=…\)"),
        (
            {"placeholders": True},
            r"placeholders is for a cell: draw\(layer\.cell, placeholders=…\)",
        ),
        ({"t": 0}, "t says which step of a recording is meant: give recording as well"),
        ({"unit": 0}, "unit says which unit of a recording is meant: give recording as well"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], message: str):
    with pytest.raises(ArgumentError, match=message):
        cello.draw(both(), **options)
