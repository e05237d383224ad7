"""The numbers of a recording in the drawing of a net."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, ModelError
from cello.see.draw.net.nets import net_diagram
from cello.see.draw.net.outline import levels_of
from cello.see.draw.net.step_values import StepValues
from tests.see.draw.drawings import labels
from tests.see.draw.drawn_nets import Elman, X, both, floats, record, units, with_ones


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
    # Each row's memory stands at the middle of its boxes, below their units.
    assert shown[6:14] == "22 22 10 10 4 4 0 0".split()
    assert shown[14:22] == "2 2 6 6 16 16 0 0".split()


def test_a_recording_with_the_batch_first():
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 2)), nn.Linear(2, 1), batch_first=True)
    x = torch.randn(2, 3, 2)
    recording = record(net, x)
    shown = units(cello.draw(net, recording=recording, t=2, batch=1, digits=9).svg)
    made = net(x)[0][1, 2, 0].item()
    assert float(shown[0].replace("−", "-")) == pytest.approx(made, rel=1e-5)


def shown_of(units: Tensor, places: list[int]) -> list[float]:
    return pytest.approx(units[places].tolist(), rel=1e-3)


def test_of_a_large_layer_the_first_units_are_shown():
    net = cello.Recurrent(cello.ElmanCell(2, 9))
    recording = record(net, torch.randn(3, 2, 2))
    svg = cello.draw(net, recording=recording, t=1, batch=1).svg
    shown = floats(units(svg))
    assert shown[:3] == shown_of(recording["h"][1, 1], [0, 1, 2])
    assert labels(svg).count("…") == 2  # of the layer, and of its memory
    assert "9 units" in labels(svg)


@pytest.mark.parametrize(("unit", "left_out"), [(0, 1), (5, 2), (8, 1)])
def test_of_a_large_layer_the_unit_that_is_asked_for(unit: int, left_out: int):
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 9)), nn.Linear(9, 7), nn.Linear(7, 2))
    recording = record(net, torch.randn(3, 2, 2))
    svg = cello.draw(net, recording=recording, t=1, batch=1, unit=unit).svg
    output, shown = floats(units(svg))[:2], floats(units(svg))[2]
    assert output == shown_of(recording.output[1, 1], [0, 1])  # few, so all of them
    assert [shown] == shown_of(recording["h"][1, 1], [unit])
    assert labels(svg).count("…") == 2 * left_out
    assert f"unit {unit} of 9" in labels(svg)


def test_all_states_of_a_layer_have_a_row():
    net = cello.Recurrent(cello.LSTMCell(2, 3))
    recording = record(net, torch.randn(3, 1, 2))
    (_, memory, layer, _) = net_diagram(
        levels_of(net), StepValues(recording, 2), parameters=False
    ).blocks
    assert [row.name for row in layer.rows] == [row.name for row in memory.rows] == ["h", "c"]
    assert floats(layer.rows[1].numbers) == shown_of(recording["c"][2, 0], [0, 1, 2])
    assert floats(memory.rows[1].numbers) == shown_of(recording["c"][1, 0], [0, 1, 2])


def test_what_a_file_could_not_hold_is_not_shown(tmp_path):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.readout = cello.Recurrent(Elman()), nn.Linear(2, 2)

        def forward(self, x: Tensor):
            return {"logits": self.readout(self.rnn(x)[0])}

    net = Net()
    record(net, X).save(tmp_path / "rec")
    svg = cello.draw(net, recording=cello.load_recording(tmp_path / "rec"), t=1).svg
    assert len(units(svg)) == 8  # input, memory, hidden layer and output layer


def test_units_that_there_are_not():
    net = both()
    for unit in (4, -1):
        with pytest.raises(ArgumentError, match=rf"unit={unit} is no unit of any layer; the larg"):
            cello.draw(net, recording=record(net, X), t=0, unit=unit)


def test_a_recording_of_another_net():
    recording = record(both(), X)
    with pytest.raises(ModelError, match=r"no layer of this net was .* has '0\.forward', '0\.ba"):
        cello.draw(cello.GRU(2, 2), recording=recording, t=0)


def test_a_part_of_the_recorded_net(tmp_path):
    inner = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 2)), nn.Linear(2, 2))
    net = cello.Stack(cello.Bidirectional(cello.GRUCell(2, 1)), inner, nn.Linear(2, 2))
    recording = record(net, torch.randn(3, 1, 2))
    svg = cello.draw(inner, recording=recording, t=1).svg
    assert len(units(svg)) == 6  # input, memory and layer; not what the whole net put out
    assert floats(units(svg))[:2] == shown_of(recording["1.0.h"][1, 0], [0, 1])
    svg = cello.draw(net[0], unrolled=2, recording=recording).svg
    assert floats(units(svg))[0] == pytest.approx(
        recording["0.backward.h"][0, 0, 0].item(), rel=1e-3
    )

    recording.save(tmp_path / "rec")
    loaded = cello.load_recording(tmp_path / "rec")
    with pytest.raises(ModelError, match=r"layer= says where this is in the net"):
        cello.draw(inner, recording=loaded, t=1)
    again = cello.draw(inner, recording=loaded, t=1, layer="1").svg
    assert again == cello.draw(inner, recording=recording, t=1).svg


def test_steps_that_there_are_not():
    net = both()
    recording = record(net, X)
    with pytest.raises(ArgumentError, match="t=3 is no step of sequence 0, which has 3"):
        cello.draw(net, unrolled=4, recording=recording)
    with pytest.raises(ArgumentError, match="t must say which step"):
        cello.draw(net, recording=recording)
