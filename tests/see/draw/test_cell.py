"""The block diagram of a cell: what it shows, and that nothing stands on anything else."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, CaptureError, DtypeError, ModelError
from cello.see.draw.step.cells import cell_diagram
from tests.registry import ACTIVATED, CAPTURED, RANDOM, Base, make, x_of
from tests.see.draw.drawings import SVG, collisions, labels, numbers, places, read
from tests.see.odd_cells import ODD, Hostile, LongNames

pytestmark = pytest.mark.usefixtures("step_by_step")

# Of the cells that differ only in their activation, one with a short name and one with a long one.
DRAWN = [
    name for name in CAPTURED if name not in ACTIVATED or name.endswith(("relu", "leaky_relu"))
]


def by_name(cell: cello.Cell):
    return {name: block for block in cell_diagram(cell).blocks for name in block.label.names}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("options", [{}, {"placeholders": True}], ids=["plain", "placeholders"])
def test_nothing_stands_on_anything_else(name: str, options: dict[str, object]):
    svg = cello.draw(make(name, torch.float32), **options).svg
    assert collisions(svg) == []


@pytest.mark.parametrize("name", ODD)
def test_nor_in_odd_cells(name: str):
    cell = ODD[name]()
    assert collisions(cello.draw(cell, placeholders=True).svg) == []
    assert collisions(cello.draw(cell, detail="rough").svg) == []
    layer = cello.Recurrent(cell, engine="reference")
    recording = cello.record(layer, -1e-4 * torch.rand(3, 2, 3))
    assert collisions(cello.draw(cell, recording=recording, t=2, unit=2).svg) == []
    assert collisions(cello.draw(layer, unrolled=2, recording=recording).svg) == []


@pytest.mark.parametrize("options", [{"detail": "rough"}, {"parameters": True}], ids=str)
@pytest.mark.parametrize(
    "name", ["lstm-peephole", "torch-gru", "two-sizes", "LEMCell", "lstm-hard"]
)
def test_nor_in_other_forms(name: str, options: dict[str, object]):
    assert collisions(cello.draw(make(name), **options).svg) == []


@pytest.mark.parametrize("name", RANDOM)
def test_a_cell_that_draws_random_numbers(name: str):
    assert collisions(cello.draw(RANDOM[name]()).svg) == []


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "mixing"])
def test_every_number_of_a_step_has_room(name: str):
    cell = make(name)
    layer = cello.Recurrent(cell, engine="reference")
    recording = cello.record(layer, -1e-4 * x_of(cell, 3, 2).abs())
    drawing = cello.draw(cell, recording=recording, t=2, batch=1)
    assert collisions(drawing.svg) == []
    for value, shown in numbers(drawing.svg).items():
        recorded = recording[value][2, 1].detach()
        if value != "x":
            told = float(shown.replace("−", "-"))
            assert told == pytest.approx(float(recorded.flatten()[0]), rel=2e-2, abs=1e-12)


def test_the_checker_of_the_drawings_sees_what_is_wrong():
    text = '<text x="{}" y="20">word</text>'
    wire = '<path class="wire" d="M{0} 0L{0} 40"/>'
    level = '<path class="wire" d="M0 {0}L40 {0}"/>'
    box = '<rect class="box" x="0" y="0" width="30" height="30"/>'
    start = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="40">'

    def found(*parts: str) -> int:
        return len(collisions(start + "".join(parts) + "</svg>"))

    assert found(text.format(10), text.format(60), wire.format(55)) == 0
    assert found(text.format(10), text.format(20)) == 1  # text on text
    assert found(text.format(10), wire.format(20)) == 1  # a line through a text
    assert found(text.format(90)) == 1  # outside of the picture
    assert found(text.format(10), box) == 1  # across a border
    assert found(box, wire.format(10)) == 1  # a line through a box
    assert found(wire.format(10), wire.format(13)) == 1  # a line along a line
    assert found(level.format(10), level.format(13), level.format(18)) == 1
    assert found(wire.format(10), level.format(10)) == 0  # that they cross is all right


# ------------------------------------------------------------ what is drawn


def test_the_wires_are_the_equations_of_the_lstm():
    blocks = by_name(cello.LSTMCell(3, 2))
    assert list(blocks) == "h_prev c_prev z_i z_f z z_o i f g c o h".split()
    product, kept = blocks["c"].inputs
    assert blocks["c"].kind == "plus"
    assert product.inputs == [blocks["i"], blocks["g"]]
    assert kept.inputs == [blocks["f"], blocks["c_prev"]]
    assert blocks["c_prev"].kind == "memory"
    assert blocks["c_prev"].inputs == [blocks["c"]]  # the loop
    assert blocks["h_prev"].inputs == [blocks["h"]]
    squashed, (cell,) = blocks["h"].inputs[1], blocks["h"].inputs[1].inputs
    assert (squashed.text, cell) == ("tanh", blocks["c"])


def test_the_lstm_is_drawn_from_below_to_above():
    texts = places(cello.draw(cello.LSTMCell(3, 2)).svg, "y")
    order = ["x", "z", "g", "c", "output"]
    assert sorted(order, key=texts.__getitem__, reverse=True) == order
    assert texts["zi"] == texts["zf"] == texts["z"]


@pytest.mark.parametrize("options", [{}, {"recurrent": False}, {"activation": "linear"}], ids=str)
def test_all_drawings_of_an_lstm_have_one_layout(options: dict[str, object]):
    cell = cello.LSTMCell(3, 2, **options)
    recording = cello.record(cello.Recurrent(cell), torch.ones(2, 1, 3))
    for form in ({}, {"detail": "rough"}, {"parameters": True}, {"recording": recording, "t": 1}):
        texts = places(cello.draw(cell, **form).svg, "x")
        order = ["i", "f", "cprev", "o"]
        assert sorted(order, key=texts.__getitem__) == order, form


def test_with_peepholes_the_memory_is_to_the_right_too():
    for form in ({}, {"detail": "rough"}, {"parameters": True}):
        texts = places(cello.draw(cello.LSTMCell(3, 2, peephole=True), **form).svg, "x")
        order = ["o", "i", "cprev"]
        assert sorted(order, key=texts.__getitem__) == order, form


def test_a_memory_that_nothing_reads_is_not_drawn():
    assert "h_prev" not in by_name(cello.LSTMCell(3, 2, recurrent=False))


def test_two_names_of_one_value_stand_on_one_wire():
    cell = cello.LSTMCell(3, 2, activation="linear")
    drawing = cello.draw(cell, placeholders=True)
    assert "z, g" in labels(drawing.svg)
    assert numbers(drawing.svg)["z"] == ""


def test_a_state_that_never_changes():
    class Constant(cello.Cell):
        state = ("h", "bias")

        def __init__(self) -> None:
            super().__init__(2, 2)

        def step(self, x: Tensor, h: Tensor, bias: Tensor):
            h = torch.tanh(x + h + bias)
            return h, (h, bias)

    assert collisions(cello.draw(Constant()).svg) == []


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        (lambda x, h: h * h * x, "hprev ⊙ hprev ⊙ x"),
        (lambda x, h: x + x + h, "x + x + hprev"),
        (lambda x, h: 1 - torch.relu(h), "1 − ·"),
        (lambda x, h: torch.where(x > h, x, h), "x if · else hprev"),
        (lambda x, h: -2.0 * h + 1, "−2·hprev + 1"),
        (lambda x, h: x * h - 3, "− 3"),
        (lambda x, h: 0.5 * (x * h), "× 0.5"),
    ],
)
def test_blocks_with_a_formula_in_them(formula, shown: str):
    class Formula(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(2, 2)

        def step(self, x: Tensor, h: Tensor):
            h = formula(x, h)
            return h, (h,)

    drawing = cello.draw(Formula())
    assert shown in labels(drawing.svg)
    assert collisions(drawing.svg) == []


def test_linear_terms_that_are_subtracted_are_written_out():
    class Difference(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(2, 2)
            self.A, self.B = nn.Linear(2, 2), nn.Linear(2, 2)

        def step(self, x: Tensor, h: Tensor):
            a, b = self.A(x), self.B(h)
            h = torch.tanh(a - b)
            return h, (h,)

    shown = labels(cello.draw(Difference()).svg)
    assert shown[shown.index("A x − B hprev") + 1] == "− B.bias + A.bias"
    assert "a" not in shown


def test_names_are_escaped():
    svg = cello.draw(Hostile()).svg
    title = read(svg).find(f"{SVG}title")
    assert title is not None
    assert title.text == Hostile.__name__
    assert f"+ hprev ⊙ {Hostile.odd}" in labels(svg)
    assert {element.tag.removeprefix(SVG) for element in read(svg).iter()} == {
        "svg", "title", "style", "path", "circle", "rect", "text", "tspan"
    }  # fmt: skip


def test_a_long_sum_stands_in_lines():
    shown = labels(cello.draw(LongNames()).svg)
    assert "gateweights,of,everything x" in shown
    assert "+ gateweights,of,everything.bias" in shown
    shown = labels(cello.draw(nn.LSTMCell(3, 2)).svg)
    assert shown[shown.index("Wii x + Whi hprev") + 1] == "+ bii + bhi"


def test_a_cell_of_torch():
    assert "Rg" not in labels(cello.draw(nn.LSTMCell(3, 2)).svg)
    assert collisions(cello.draw(nn.GRUCell(3, 2)).svg) == []


# ------------------------------------------------------------ numbers


def lecture() -> tuple[cello.Cell, cello.Recording]:
    """The worked example of the lecture."""
    cell = cello.LSTMCell(
        3, 1, activation="linear", output_activation="linear", recurrent=False
    ).double()
    W = [[0, 100, 0], [0, 100, 0], [1, 0, 0], [0, 0, 100]]  # i, f, g, o
    cell.load_state_dict({"W": torch.tensor(W), "b": torch.tensor([-10, 10, 0, -10])})
    x = torch.tensor([[3, 1, 0], [4, 1, 0], [2, 0, 0], [1, 0, 1], [3, -1, 0]]).double()
    return cell, cello.record(cello.Recurrent(cell, engine="reference"), x)


def test_the_numbers_of_the_lecture_stand_on_the_wires():
    cell, recording = lecture()
    drawing = cello.draw(cell, recording=recording, t=1)
    shown = numbers(drawing.svg)
    assert shown == {
        "x": "4, 1, 0", "c_prev": "3", "z": "4", "z_i": "90", "z_f": "110", "z_o": "−10",
        "i": "1", "f": "1", "o": "4.54e−5", "c": "7", "h": "3.18e−4",
    }  # fmt: skip
    unnamed = [
        text.text
        for text in read(drawing.svg).iter(f"{SVG}text")
        if text.get("class") == "number" and not text.get("data-value")
    ]
    assert sorted(unnamed) == ["3", "4"]  # c f(z_f) and g(z) f(z_i)


def test_numbers_of_a_loaded_recording(tmp_path):
    cell, recording = lecture()
    recording.save(tmp_path / "rec")
    drawing = cello.draw(cell, recording=cello.load_recording(tmp_path / "rec"), t=1)
    assert numbers(drawing.svg)["c"] == "7"


def test_the_unit_and_the_layer_that_are_asked_for():
    net = cello.Stack(cello.Bidirectional(cello.GRUCell(2, 3)), nn.Linear(6, 1))
    recording = cello.record(net, torch.randn(4, 2, 2), lengths=torch.tensor([4, 2]))
    cell = net[0].backward_layer.cell
    drawing = cello.draw(cell, recording=recording, layer="backward", t=1, unit=2, batch=1)
    value = recording["0.backward.h"][1, 1, 2].item()
    assert float(numbers(drawing.svg)["h"].replace("−", "-")) == pytest.approx(value, rel=1e-3)
    same = cello.draw(cell, recording=recording, t=1, unit=2, batch=1)  # it knows its own steps
    assert same.svg == drawing.svg
    with pytest.raises(ArgumentError, match=r"layer must be one of '0\.forward', '0\.b"):
        cello.draw(cello.GRUCell(2, 3), recording=recording, t=1)


def test_room_for_numbers_is_where_the_numbers_go():
    names = "x h_prev c_prev z_i z_f z z_o i f g c o h".split()
    root = read(cello.draw(cello.LSTMCell(3, 2), placeholders=True).svg)
    texts = [t for t in root.iter(f"{SVG}text") if t.get("class") == "number"]
    wires = {path.get("data-value") for path in root.iter(f"{SVG}path")}
    assert sorted(t.get("data-value") for t in texts) == sorted(names)
    assert set(names) <= wires


# ------------------------------------------------------------ rough, counts


def test_the_rough_form_names_the_gates():
    shown = labels(cello.draw(cello.LSTMCell(3, 2), detail="rough").svg)
    assert {"input gate", "forget gate", "output gate", "block input"} <= set(shown)
    assert not {"tanh", "σ"} & set(shown)


def test_parameters_are_counted_against_a_plain_layer():
    shown = labels(cello.draw(cello.LSTMCell(2, 2, recurrent=False), parameters=True).svg)
    assert shown.count("2×2 + 2 = 6") == 4
    assert "24 parameters: 4 times the 6 of a plain layer, 2×2 + 2" in shown


#: Whose step, or whose drawing, computes with one parameter in two places.
USES_ONE_TWICE = ("mixing", "LTCCell", "PhasedLSTMCell")


def test_the_counts_of_the_blocks_add_up():
    for name in (name for name in DRAWN if name not in USES_ONE_TWICE):
        cell = make(name)
        shown = labels(cello.draw(cell, parameters=True).svg)
        counts = [label for label in shown if re.fullmatch(r"\d[\d×+ ]*( = \d+)?", label)]
        totals = [re.findall(r"\d+", label.rpartition(" = ")[2]) for label in counts]
        total = sum(math.prod(map(int, numbers)) for numbers in totals if numbers)
        assert total == cello.count_parameters(cell).total, name


# ------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detail": "fine"}, 'detail must be "full" or "rough", got \'fine\''),
        ({"t": 1}, "t says which step of a recording is meant: give recording as well"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], message: str):
    with pytest.raises(ArgumentError) as caught:
        cello.draw(cello.ElmanCell(2, 2), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "t must say which step of the recording to show"),
        ({"t": 5}, "t=5 is no step of sequence 0, which has 5, counted from 0"),
        ({"t": 0, "batch": 1}, "batch=1 is no sequence of this recording"),
        ({"t": 0, "unit": 4}, "unit=4 is no unit of any value; the largest has 1"),
    ],
)
def test_steps_that_there_are_not(options: dict[str, object], message: str):
    cell, recording = lecture()
    with pytest.raises(ArgumentError, match=message):
        cello.draw(cell, recording=recording, **options)


def test_parameters_that_changed_since():
    cell, recording = lecture()
    with torch.no_grad():
        cell.W.zero_()
    with pytest.raises(ModelError, match="W changed since the recording"):
        cello.draw(cell, recording=recording, t=1)


def test_a_recording_of_another_cell():
    with pytest.raises(ModelError, match=r"GRUCell has no c_prev, .* is this the cell that was"):
        cello.draw(cello.GRUCell(3, 1), recording=lecture()[1], t=0)


def test_what_cannot_be_drawn():
    with pytest.raises(DtypeError, match="net must be a module, got str"):
        cello.draw("lstm")
    with pytest.raises(DtypeError, match=r"recording must be a cello\.Recording, got dict"):
        cello.draw(cello.ElmanCell(2, 2), recording={})
    with pytest.raises(CaptureError, match=r"BranchingCell\.step cannot be captured"):
        cello.draw(make("branching"))


def test_a_parameter_as_the_next_state():
    class Resetting(Base):
        def step(self, x, h):
            y = torch.tanh(self.W(x) + h)
            return y, (self.W.bias.expand(len(x), 3),)

    (memory,) = (block for block in cell_diagram(Resetting()).blocks if block.kind == "memory")
    assert [block.text for block in memory.inputs] == ["W.bias"]
    assert collisions(cello.draw(Resetting()).svg) == []
