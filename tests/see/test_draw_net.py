"""Drawings of nets, of one step and through time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError
from cello.see.draw.nets import net_diagram
from cello.see.draw.step_values import StepValues
from tests.registry import CELLS, ROW_WISE
from tests.see.drawings import SVG, collisions, labels, read


class Elman(cello.Cell):
    """The lecture's simple network: its hidden layer is remembered."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.W, self.R, self.V = (nn.Linear(2, 2, bias=False) for _ in range(3))

    def step(self, x: Tensor, h: Tensor):
        h = self.W(x) + self.R(h)
        y = self.V(h)
        return y, (h,)


class Jordan(Elman):
    """The same, but its output is remembered."""

    state = ("y",)

    def step(self, x: Tensor, y: Tensor):
        h = self.W(x) + self.R(y)
        y = self.V(h)
        return y, (y,)


def both() -> cello.Stack:
    cells = (cello.ElmanCell(2, 2, activation="linear", bias=False) for _ in range(2))
    return cello.Stack(cello.Bidirectional(*cells), nn.Linear(4, 2, bias=False))


def deep() -> cello.Stack:
    return cello.Stack(
        cello.Recurrent(cello.ElmanCell(2, 5)),
        cello.Bidirectional(cello.LSTMCell(5, 3), join="sum"),
        nn.Dropout(0.1),
        cello.LSTM(3, 3, num_layers=2, bidirectional=True),
        cello.Stack(nn.Tanh(), cello.Recurrent(cello.JordanCell(6, 4, output_size=2))),
        cello.Recurrent(cello.GRUCell(2, 300), reverse=True),
        nn.Linear(300, 12345),
    )


def record(net: nn.Module, x: Tensor, **options: object) -> cello.Recording:
    with cello.engine("reference"):
        return cello.record(net, x, **options)


def with_ones(net: nn.Module) -> nn.Module:
    for weight in net.parameters():
        nn.init.ones_(weight)
    return net


X = torch.tensor([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]])


def blocks(net: nn.Module):
    return net_diagram(net, StepValues(None), parameters=False).blocks


def units(svg: str) -> list[str]:
    """The numbers in the units, from above to below, then from left to right."""
    texts = [t for t in read(svg).iter(f"{SVG}text") if t.get("class") == "number"]
    texts.sort(key=lambda text: (float(text.get("y")), float(text.get("x"))))
    return [text.text or "" for text in texts]


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
@pytest.mark.parametrize("make", [both, deep, lambda: cello.Recurrent(Jordan())])
def test_nothing_stands_on_anything_else(make, unrolled: int | None):
    net = make()
    assert collisions(cello.draw(net, unrolled=unrolled).svg) == []
    recording = record(net, 1e-4 * torch.randn(4, 2, 2), lengths=torch.tensor([4, 3]))
    drawing = cello.draw(net, unrolled=unrolled, recording=recording, t=0, batch=1)
    assert collisions(drawing.svg) == []


@pytest.mark.parametrize("name", [n for n in ROW_WISE if "-" not in n])
def test_any_cell_as_a_layer(name: str):
    net = cello.Recurrent(CELLS[name]())
    assert collisions(cello.draw(net).svg) == []
    assert collisions(cello.draw(net, unrolled=2).svg) == []


def test_a_cell_that_cannot_be_traced_is_a_box():
    assert "Branching" in labels(cello.draw(cello.Recurrent(CELLS["branching"]())).svg)


def test_the_example_of_the_lecture_at_its_steps():
    elman = with_ones(cello.Recurrent(Elman()))
    drawing = cello.draw(elman, unrolled=3, recording=record(elman, X))
    outputs, hidden, inputs = "4 4 12 12 32 32", "0 0 2 2 6 6 16 16", "1 1 1 1 2 2"
    assert units(drawing.svg) == f"{outputs} {hidden} {inputs}".split()


def test_one_step_of_the_example():
    elman = with_ones(cello.Recurrent(Elman()))
    drawing = cello.draw(elman, recording=record(elman, X), t=2)
    assert sorted(map(int, units(drawing.svg))) == [2, 2, 6, 6, 16, 16, 32, 32]


def test_the_example_in_both_directions():
    net = with_ones(both())
    shown = units(cello.draw(net, unrolled=3, recording=record(net, X)).svg)
    assert shown[:6] == "48 48 32 32 40 40".split()
    assert shown[6:14] == "22 22 10 10 4 4 0 0".split()  # and the memory, at the end
    assert shown[14:22] == "0 0 2 2 6 6 16 16".split()


def test_a_recording_with_the_batch_first():
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 2)), nn.Linear(2, 1), batch_first=True)
    x = torch.randn(2, 3, 2)
    recording = record(net, x)
    shown = units(cello.draw(net, recording=recording, t=2, batch=1, digits=9).svg)
    made = net(x)[0][1, 2, 0].item()
    assert float(shown[0].replace("−", "-")) == pytest.approx(made, rel=1e-5)


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
    ("options", "message"),
    [
        ({"unrolled": 0}, "unrolled must be at least 1, got 0"),
        ({"unrolled": 2, "parameters": True}, "unrolled goes with a recording, not with the"),
        ({"detail": "rough"}, r"detail is for a cell: draw\(layer\.cell, detail=…\)"),
        (
            {"placeholders": True},
            r"placeholders is for a cell: draw\(layer\.cell, placeholders=…\)",
        ),
        ({"t": 0}, "give recording as well"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], message: str):
    with pytest.raises(ArgumentError, match=message):
        cello.draw(both(), **options)


def test_steps_that_there_are_not():
    net = both()
    recording = record(net, X)
    with pytest.raises(ArgumentError, match="t=3 is no step of sequence 0, which has 3"):
        cello.draw(net, unrolled=4, recording=recording)
    with pytest.raises(ArgumentError, match="t must say which step"):
        cello.draw(net, recording=recording)
