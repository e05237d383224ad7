"""The lines that a page fills with numbers itself are those of `Recording.explain`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import cello
from cello.see.arithmetic.templates import line_templates
from cello.see.page.bundle import script
from tests.registry import DISTINCT, H, I, make, x_of

# What is added up over the batch, or depends on numbers that have no name.
INCOMPLETE = {
    "mixing": {"y", "h"},
    "jordan-softmax": {"y"},
    "two-sizes": {"new", "y"},
    "no-grad": {"peak"},
    "matrix-memory": {"k", "y"},
    "convolutional": {"h"},
    "LayerNormLSTMCell": {"drive", "h"},
    "ConvLSTMCell": {"z_f", "z_i", "z", "z_o"},
    "LTCCell": {"f"},
    "MCLSTMCell": {"i", "total"},
    "MogrifierLSTMCell": {"z_f", "z_i", "z", "z_o"},
    "RHNCell": {"drive"},
}

# Weights that are made of others: in a long sum, a page writes their numbers.
MADE_OF_WEIGHTS = ("AntisymmetricCell", "AntisymmetricCell-gated", "ClockworkCell")

FILL = """([lines, numbers, fixed, terms]) => lines.map((line) => filled(line, (source, place) =>
    typeof source === "number" ? fixed[source][place] : numbers[source][place], terms, 5))"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Any:
    page = browser.new_page()
    page.evaluate(f"() => {{ {script('lines')}; window.filled = filled; }}")
    yield page
    page.close()


def record(name: str) -> cello.Recording:
    net = cello.Recurrent(make(name))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1, 1)
    with torch.no_grad(), cello.engine("split"):  # that all engines give these has its own tests
        return cello.record(net.eval(), 2 * x_of(net.cell, 6, 1))


@pytest.mark.parametrize("name", DISTINCT)
def test_lines_are_those_of_explain(page: Any, name: str):
    rec = record(name)
    rows = rec.layer(None)
    numbers = {n: values[3].double().flatten().tolist() for n, values in rows.rows.items()}
    for terms in (6,) if name in MADE_OF_WEIGHTS else (6, 1):
        found = line_templates([rows], terms=terms)
        fixed = [own.tolist() for own in found.fixed]
        for unit in (0, H - 1):
            lines = found.units[unit] if unit < len(found.units) else {}
            if lines:
                expected = rec.explain(3, unit, names=list(lines), terms=terms)
                given = [list(lines.values()), numbers, fixed, terms]
                assert page.evaluate(FILL, given) == str(expected).splitlines()


@pytest.mark.parametrize("name", DISTINCT)
def test_open_lines_hold_for_other_parameters(page: Any, name: str):
    torch.manual_seed(0)
    found, rec = line_templates([record(name).layer(None)], is_open=True), record(name)
    rows = rec.layer(None)
    numbers = {n: values[3].double().flatten().tolist() for n, values in rows.rows.items()}
    cell = rec.call.net.cell
    parameters = dict(cell.named_parameters()) | dict(cell.named_buffers())
    fixed = [
        parameters[found.parameters[n]].flatten().tolist()
        if n in found.parameters
        else old.tolist()
        for n, old in enumerate(found.fixed)
    ]
    lines = found.units[0] if found.units else {}
    if lines:
        given = [list(lines.values()), numbers, fixed, 6]
        expected = str(rec.explain(3, 0, names=list(lines))).splitlines()
        assert page.evaluate(FILL, given) == expected


class HalvesCell(cello.Cell):
    """One parameter in two parts."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, H)
        self.W = nn.Parameter(torch.randn(2 * H, I))

    def step(self, x: torch.Tensor, h: torch.Tensor) -> Any:
        first, second = self.W.chunk(2)
        a = x @ first.T
        b = x @ second.T
        h = torch.tanh(a - b + h)
        return h, (h,)


def test_open_lines_read_their_own_part_of_a_parameter(page: Any):
    rec = cello.record(cello.Recurrent(HalvesCell().double()), torch.randn(6, 1, I).double())
    rows = rec.layer(None)
    numbers = {n: values[3].flatten().tolist() for n, values in rows.rows.items()}
    found = line_templates([rows], is_open=True)
    given = [[found.units[1]["b"]], numbers, [own.tolist() for own in found.fixed], 6]
    assert page.evaluate(FILL, given) == str(rec.explain(3, 1, names=["b"])).splitlines()


def test_the_lines_of_an_lstm_can_all_be_open():
    rec = cello.record(cello.Recurrent(cello.LSTMCell(20, 3)), torch.randn(2, 1, 20))
    found = line_templates([rec.layer(None)], is_open=True)
    made = sorted(name for name in rec.names if name not in ("h_prev", "c_prev", "x"))
    assert [sorted(unit) for unit in found.units if unit] == 3 * [made]
    assert set(found.parameters.values()) == {"W", "R", "b"}


@pytest.mark.parametrize("name", DISTINCT)
def test_hardly_a_line_is_missing(name: str):
    rec = record(name)
    found = line_templates([rec.layer(None)]).units
    expected = {line.name for line in rec.explain(0).lines}
    assert expected - set(found[0] if found else {}) == INCOMPLETE.get(name, set())


def test_what_was_set_from_outside_has_no_line():
    net = cello.Recurrent(cello.LSTMCell(I, H))
    with cello.intervene(net, {"f": (2, 1, 0.5)}):
        rec = cello.record(net, torch.randn(5, 1, I))
    for lines in line_templates([rec.layer(None)]).units:
        assert set(lines) == {"z_i", "z_f", "z", "z_o", "i", "g", "o", "c", "h"}


def test_what_is_not_at_hand_is_written_out():
    rec = record("lstm")
    lines = line_templates([rec.layer(None)], ["x", "h_prev", "c_prev", "i", "g", "f", "c"]).units[
        0
    ]
    assert list(lines) == ["i", "f", "g", "c"]
    assert lines["f"][0].startswith("f[0] = σ(")
    assert line_templates([rec.layer(None)], ["f", "c"]).units == [{}, {}, {}, {}]


def test_lines_hold_for_all_recordings():
    net = cello.Recurrent(cello.LSTMCell(I, H))
    plain = cello.record(net, torch.randn(5, 1, I)).layer(None)
    with cello.intervene(net, {"o": (0, 0, 1.0)}):
        forced = cello.record(net, torch.randn(5, 1, I)).layer(None)
    assert "o" in line_templates([plain]).units[0]
    assert "o" not in line_templates([plain, forced]).units[0]


def test_of_many_terms_those_that_add_nothing_are_left_out(page: Any):
    net = cello.Recurrent(cello.ElmanCell(20, 1, activation="linear", bias=False))
    x = torch.zeros(2, 1, 20)
    x[1, 0, 13] = -1
    with torch.no_grad():
        net.cell.W.fill_(0.5)
        net.cell.R.fill_(2.0)
        rec = cello.record(net, x)
    expected = [
        "z = 0.5·0 + … + 19 more terms + 2·0 = 0",
        "z = 0.5·(−1) + … + 19 more terms + 2·0 = −0.5",
    ]
    found = line_templates([rec.layer(None)])
    fixed = [own.tolist() for own in found.fixed]
    for t, line in enumerate(expected):
        assert str(rec.explain(t, names="z")) == line
        numbers = {name: rec[name][t].flatten().tolist() for name in rec.names}
        assert page.evaluate(FILL, [[found.units[0]["z"]], numbers, fixed, 6]) == [line]
