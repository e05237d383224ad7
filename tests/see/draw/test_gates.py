"""Gates: what makes a block one, and what each does to the memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import cello
from cello import zoo
from cello.see.draw.step.cells import cell_diagram, gate_meanings
from cello.see.draw.step.gates import gates_of
from cello.see.draw.step.roles import (
    ERASE,
    FORGET,
    INPUT,
    KEEP,
    OTHER,
    OUTPUT,
    RESET,
    ROLES,
    TAKE,
    role,
)
from cello.see.page.data import page_data
from tests.registry import CELLS, RANDOM, in_evaluation

LSTM = {"i": INPUT, "f": FORGET, "o": OUTPUT}
WORDS = Path(cello.__file__).parent / "see" / "page" / "app" / "words.js"


def gates(cell: cello.Cell):
    """By the name of each gate, its role."""
    diagram = cell_diagram(cell)
    return {gate.label.names[-1]: role(diagram, gate) for gate in gates_of(diagram)}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (cello.LSTMCell(3, 2), LSTM),
        (cello.LSTMCell(3, 2, peephole=True, projection_size=1), LSTM),
        (cello.LSTMCell(3, 2, activation="linear", output_activation="linear"), LSTM),
        (zoo.LayerNormLSTMCell(3, 2), LSTM),
        (in_evaluation("ZoneoutLSTMCell"), LSTM),
        (cello.GRUCell(3, 2), {"r": RESET, "z": KEEP}),
        (cello.GRUCell(3, 2, reset_after=False), {"r": RESET, "z": KEEP}),
        (zoo.CoupledLSTMCell(3, 2), {"i": TAKE, "o": OUTPUT}),
        (zoo.SLSTMCell(3, 2), {"o": OUTPUT}),
        (zoo.UGRNNCell(3, 2), {"u": KEEP}),
        (zoo.MGUCell(3, 2), {"f": TAKE}),
        (zoo.MinLSTMCell(3, 2), {"f": FORGET, "i": INPUT}),
        (zoo.LEMCell(3, 2), {"dt_1": TAKE, "dt_2": TAKE}),
        (zoo.AntisymmetricCell(3, 2, gated=True), {"z": INPUT}),
        (cello.JordanCell(3, 2, 2), {}),  # a sigmoid, but it multiplies nothing
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_a_gate_is_known_by_what_it_multiplies(cell: cello.Cell, expected: dict[str, object]):
    assert gates(cell) == expected


class OwnCell(cello.Cell):
    """A cell with states c and m, and a gate s of x: what it does is up to `formula`."""

    state = ("c", "m")

    def __init__(self, formula) -> None:
        super().__init__(2, 2)
        self.S, self.W = nn.Linear(2, 2), nn.Linear(2, 2)
        self.formula = formula

    def step(self, x: Tensor, c: Tensor, m: Tensor):
        s = torch.sigmoid(self.S(x))
        c, m, y = self.formula(s, self.W(x), c, m)
        return y, (c, m)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (lambda s, w, c, m: (s * c + w, m, c), FORGET),
        (lambda s, w, c, m: (torch.tanh(s * c + w), m, c), FORGET),
        (lambda s, w, c, m: ((1 - s) * c + w, m, c), ERASE),
        (lambda s, w, c, m: ((1 - s) * c + s * w, m, c), TAKE),
        (lambda s, w, c, m: (s * c + (1 - s) * w, m, c), KEEP),
        (lambda s, w, c, m: (c + s * w, m, c), INPUT),
        (lambda s, w, c, m: (c + w, m, s * torch.tanh(c + w)), OUTPUT),
        (lambda s, w, c, m: (0.5 * c + w, m + s * c, m), RESET),
        (lambda s, w, c, m: (c + torch.tanh(s * m + w) * w, m, c), RESET),
        (lambda s, w, c, m: (c + torch.tanh(s * w + 1) * w, m, c), OTHER),
    ],
)  # fmt: skip
def test_gates_of_a_cell_of_ones_own(formula, expected):
    cell = OwnCell(formula)
    assert gates(cell) == {"s": expected}
    assert gate_meanings(cell) == {"s": expected.meaning}


def test_what_a_gate_leaves_is_a_gate_too():
    assert gate_meanings(zoo.CoupledLSTMCell(3, 2)) == {
        "i": "1 takes the new, 0 keeps the old state",
        "o": "1 lets out, 0 keeps in",
        "f": "1 remembers, 0 forgets",
    }


@pytest.mark.parametrize(
    ("cell", "legend"),
    [
        (
            cello.LSTMCell(3, 2),
            ["i: 1 lets in, 0 shuts out", "f: 1 remembers, 0 forgets", "o: 1 lets out, 0 keeps in"],
        ),
        (zoo.LEMCell(3, 2), ["dt1, dt2: 1 takes the new, 0 keeps the old state"]),
        (zoo.NASCell(3, 2), ["gate (×): 1 lets through, 0 shuts out"]),  # they have no names
        (cello.ElmanCell(3, 2), []),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_the_drawing_says_it(cell: cello.Cell, legend: list[str]):
    shown = [text.translate({1: "", 2: ""}) for text in cell_diagram(cell).legend]
    assert shown == legend


def test_a_cell_that_cannot_be_traced_has_no_meanings():
    assert gate_meanings(CELLS["branching"]()) == {}
    assert gate_meanings(None) == {}


def test_meanings_follow_a_cell_that_changes():
    cell = OwnCell(lambda s, w, c, m: (s * c + w, m, c))
    assert gate_meanings(cell) == {"s": FORGET.meaning}
    cell.formula = lambda s, w, c, m: (c + s * w, m, c)
    assert gate_meanings(cell) == {"s": INPUT.meaning}


def test_the_explorer_tells_them_of_a_cell_of_ones_own():
    layer = cello.Recurrent(OwnCell(lambda s, w, c, m: (c + s * w, m, c)))
    (sequence,) = page_data([cello.record(layer, torch.randn(3, 1, 2))]).head["sequences"]
    told = {value["name"]: value["meaning"] for value in sequence["layers"][0]["values"]}
    assert told["s"] == INPUT.meaning
    assert not any(meaning for name, meaning in told.items() if name != "s")


def test_the_explorer_says_every_meaning_in_chinese():
    words = WORDS.read_text("utf-8")
    assert [role.meaning for role in ROLES if f'"{role.meaning}": "1 ' not in words] == []


@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_no_gates(name: str):
    assert set(gate_meanings(RANDOM[name]())) <= {"i", "f", "o"}
