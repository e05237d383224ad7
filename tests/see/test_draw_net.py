"""Drawings of nets, of one step and through time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, ModelError
from cello.see.draw.nets import net_diagram
from cello.see.draw.stages import levels_of
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
    return net_diagram(levels_of(net), StepValues(None), parameters=False).blocks


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


def words() -> cello.Stack:
    return cello.Stack(
        nn.Embedding(9, 3), nn.Dropout(0.1), cello.Recurrent(cello.LSTMCell(3, 16)),
        nn.LayerNorm(16), nn.Linear(16, 9),
    )  # fmt: skip


def lstms(layers: int) -> cello.Stack:
    return cello.Stack(*(cello.Recurrent(cello.LSTMCell(2, 2)) for _ in range(layers)))


NETS = {
    "both": both,
    "deep": deep,
    "words": words,
    "eight": lambda: lstms(8),
    "jordan": lambda: cello.Recurrent(Jordan()),
    "large": lambda: cello.Recurrent(cello.JordanCell(2, 300, output_size=20)),
    "ways": lambda: cello.Bidirectional(cello.JordanCell(2, 3, 2), cello.GRUCell(2, 7)),
    "drop-in": lambda: cello.LSTM(2, 9, num_layers=2, bidirectional=True),
    "two-sizes": lambda: cello.Stack(
        nn.Linear(2, 3), cello.Recurrent(CELLS["two-sizes"]().float())
    ),
}


def recorded(net: nn.Module) -> cello.Recording:
    takes_ids = any(isinstance(module, nn.Embedding) for module in net.modules())
    x = torch.randint(9, (4, 2)) if takes_ids else 1e-4 * torch.randn(4, 2, 2)
    return record(net, x, lengths=torch.tensor([4, 3]))


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


def shown_of(units: Tensor, places: list[int]) -> list[float]:
    return pytest.approx(units[places].tolist(), rel=1e-3)


def floats(texts: list[str]) -> list[float]:
    return [float(text.replace("−", "-")) for text in texts]


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


def test_layers_of_torch_are_drawn_like_ours():
    options = {"num_layers": 2, "bidirectional": True}
    theirs = cello.draw(nn.LSTM(2, 3, **options), parameters=True)
    assert theirs.svg == cello.draw(cello.LSTM(2, 3, **options), parameters=True).svg

    class Different(nn.GRU):
        pass

    assert [block.text for block in blocks(Different(2, 3))] == ["x", "Different", "output"]


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
