"""The page in a browser: its numbers are the recording's, and every action does what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cello
from tests.see.page.nets import NETS, TEXT, colour_ends, recorded, typeset, written

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

T = len(TEXT)


def own(rec: cello.Recording, layer: str) -> dict[str, torch.Tensor]:
    return dict(rec.layer(layer).rows)


@pytest.mark.parametrize("name", NETS)
def test_numbers_are_those_of_the_recording(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    page.shot()
    for layer in rec.layers:
        for t, unit in ((0, 0), (7, 1), (T - 1, 1)):
            value = next(value for value in own(rec, layer) if value != "x")
            page.call(f"await e.look({{layer: {layer!r}, value: {value!r}, unit: {unit}}})")
            page.call(f"e.go({t})")
            expected = {
                value: rows[t, unit].item()
                for value, rows in own(rec, layer).items()
                if value != "x" and unit < rows.shape[1]
            }
            assert page.numbers() == expected
            assert f"= {written(expected[value], 7)} ·" in page.text(".caption")


@pytest.mark.parametrize("name", NETS)
def test_the_arithmetic_is_that_of_explain(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    for layer in rec.layers:
        page.call(f"await e.layer({layer!r}); e.jump()")
        t, unit = page.state("t"), page.state("unit")
        expected = typeset(str(rec.explain(t, unit, layer))).splitlines()
        titles = "cells => cells.map(cell => cell.title)"
        assert page.page.eval_on_selector_all(".arithmetic", titles) == expected


@pytest.mark.parametrize("name", NETS)
def test_the_diagram_has_the_numbers_of_the_step(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    layer = rec.layers[-1]
    page.call(f"await e.layer({layer!r}); e.jump()")
    t, unit = page.state("t"), page.state("unit")
    numbers = """places => places.map(place => [place.dataset.value, place.textContent])"""
    shown = dict(page.page.eval_on_selector_all(".diagram .number[data-value]", numbers))
    rows = own(rec, layer)
    expected = {n: written(rows[n][t, unit].item(), 4) for n in shown if n != "x"}
    assert {n: text for n, text in shown.items() if n != "x"} == expected
    assert len(shown) >= 3
    page.page.hover(f".diagram .number[data-value={list(expected)[-1]}]")
    (line,) = str(rec.explain(t, unit, layer, names=list(expected)[-1])).splitlines()
    assert page.text(".tip") == typeset(line)
    page.shot()


def test_the_net_s_output_is_a_value_too(watched: Callable, tmp_path: Path):
    rec = recorded("bidirectional")
    page = watched(rec.to_html(tmp_path / "page.html"))
    page.call("await e.layer(''); e.unit(1); e.go(3)")
    assert page.numbers() == {"output": rec.output[3, 0, 1].item()}


def test_it_begins_with_what_is_asked_for(watched: Callable, tmp_path: Path):
    rec = recorded("stacked")
    page = watched(rec.to_html(tmp_path / "page.html", begin=("0.f", 2)))
    page.until("explorer.state.layer === '0' && explorer.state.value === 'f'")
    page.until("explorer.state.unit === 2")
    changes = rec["0.f"][:, 0, 2].diff().abs()
    assert page.state("t") == 1 + int(changes.argmax())
    page = watched(rec.to_html(tmp_path / "page.html", begin=("0.f", 2, 5)))
    assert page.state("t") == 5


@pytest.mark.parametrize("name", NETS)
def test_text_is_coloured_by_any_value_of_any_unit(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    tokens = page.page.eval_on_selector_all(".token", "all => all.map(one => one.textContent)")
    assert "".join(tokens) == TEXT.replace("\n", "↵")
    for layer in rec.layers:
        for value, rows in own(rec, layer).items():
            unit = rows.shape[1] - 1
            page.call(f"await e.look({{layer: {layer!r}, value: {value!r}, unit: {unit}}})")
            # As blue for each number below the middle as orange for one above it.
            numbers = rows[:, unit]
            gate = page.state("shown.kind") == "gate"
            low, high = (0.0, 1.0) if gate else colour_ends(numbers)
            shares = (2 * numbers - high - low) / (high - low)
            colours = page.page.eval_on_selector_all(
                ".token", "all => all.map(one => one.style.background.match(/\\d+/g).map(Number))"
            )
            for share, (red, _, blue) in zip(shares.tolist(), colours, strict=True):
                assert (red - blue) == pytest.approx(
                    190 * share if share > 0 else 122 * share, abs=3
                )


@pytest.mark.parametrize("name", NETS)
def test_the_curve_is_the_unit_along_time(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    layer, value = page.state("layer"), page.state("value")
    page.call("e.unit(1)")
    numbers = own(rec, layer)[value][:, 1]
    low, high = numbers.min().item(), numbers.max().item()
    near = (high - low) / 2  # so far, zero is in sight
    low, high = 0 if 0 < low < near else low, 0 if -near < high < 0 else high
    heights = 16 + 88 * (high - numbers) / (high - low)
    drawn = page.call("""
        const context = picture(e.scene.curve), ratio = devicePixelRatio;
        return Array.from({length: s.shown.length}, (_, t) => {
            const x = Math.round((t + 0.5) * s.zoom * ratio);
            const { data } = context.getImageData(x, 0, 1, 120 * ratio);
            const at = Array.from({length: 120 * ratio}, (_, y) => y)
                .filter((y) => data[4 * y + 2] - data[4 * y] > 120);
            return at.reduce((sum, y) => sum + y + 0.5, 0) / at.length / ratio;
        })""")
    assert drawn == pytest.approx(heights.tolist(), abs=4)


@pytest.mark.parametrize("name", NETS)
def test_every_step_by_keyboard(name: str, shown: tuple[cello.Recording, Any]):
    _, page = shown
    page.page.focus(".cello")
    for keys, t in (
        (["Home", "ArrowRight"], 1),
        (["ArrowRight", "ArrowRight", "ArrowLeft"], 2),
        (["End"], T - 1),
        (["ArrowRight"], T - 1),
        (["Shift+ArrowLeft"], T - 11),
        (["Home"], 0),
        (["ArrowLeft"], 0),
    ):
        page.press(*keys)
        assert page.state("t") == t
    page.call("e.unit(0)")
    page.press("ArrowDown")
    assert page.state("unit") == 1
    value = page.state("value")
    page.press("]")
    assert page.state("value") != value
    page.press("[")
    assert page.state("value") == value
    zoom = page.state("zoom")
    page.press("+")
    assert page.state("zoom") == pytest.approx(zoom * 1.5)
    page.press("0")
    assert page.state("zoom") == zoom
    theme = page.state("theme")
    page.press("d")
    assert page.state("theme") != theme
    page.press("m")
    assert page.state("marks[0]") == 1
    page.press("?")
    assert page.page.locator("dialog").is_visible()
    page.press("Escape", "/")
    assert page.page.evaluate("document.activeElement.type") == "search"


@pytest.mark.parametrize("name", NETS)
def test_playing_goes_on_to_the_end_and_stops(name: str, shown: tuple[cello.Recording, Any]):
    _, page = shown
    page.call(f"e.go({T - 5})")
    page.press(">", ">", "Space")
    assert page.page.evaluate("explorer.seconds") == pytest.approx(0.1)
    page.until("!explorer.state.playing")
    assert page.state("t") == T - 1  # so it has played


@pytest.mark.parametrize("name", NETS)
def test_the_largest_changes_come_first(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    values = rec.layer(page.state("layer")).rows[page.state("value")][:, page.state("unit")]
    changes = torch.cat([values[:1], values.diff()]).abs()
    page.page.focus(".cello")
    for expected in changes.argsort(descending=True)[:3].tolist():
        page.press("c")
        assert page.state("t") == expected


@pytest.mark.parametrize("reverse", [False, True])
def test_the_largest_change_counts_from_the_state_at_the_beginning(
    reverse: bool, watched: Callable, tmp_path: Path
):
    """A passage that begins in the middle of a text changes little at its first step."""
    layer = cello.Recurrent(cello.ElmanCell(1, 1, activation="identity"), reverse=reverse)
    with torch.no_grad():
        layer.cell.W.fill_(1)
        layer.cell.R.fill_(1)
        layer.cell.b.zero_()
        steps = torch.tensor([0.5, 0, 2, 0, 1]).reshape(-1, 1, 1)
        x = steps.flip(0) if reverse else steps
        rec = cello.record(cello.Stack(layer), x, (torch.full((1, 1), 9.0),))
    page = watched(rec.to_html(tmp_path / "page.html"))
    order = [2, 4, 0]  # in the order of reading; nothing changes at 1 and 3
    places = [4 - step for step in order] if reverse else order
    assert page.state("t") == places[0]  # where it begins
    for place in places:
        page.press("c")
        assert page.state("t") == place


@pytest.mark.parametrize("name", NETS)
def test_the_heat_map_tells_what_is_under_the_pointer(
    name: str, shown: tuple[cello.Recording, Any]
):
    rec, page = shown
    values = rec.layer(page.state("layer")).rows[page.state("value")]
    box = page.page.locator(".map canvas").first.bounding_box()
    zoom, row = page.state("zoom"), box["height"] / values.shape[1]
    for t, unit in ((0, 0), (5, 1), (T - 1, values.shape[1] - 1)):
        page.page.mouse.move(box["x"] + (t + 0.5) * zoom, box["y"] + (unit + 0.5) * row)
        page.settle()
        number = written(values[t, unit].item(), 7)
        assert page.text(".tip").startswith(f"{page.state('value')}[{unit}] = {number} · step {t}")
        page.page.mouse.down()
        page.page.mouse.up()
        assert (page.state("t"), page.state("unit")) == (t, unit)


def test_zooming_keeps_the_step_in_its_place(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman", 500).to_html(tmp_path / "page.html"))
    page.call("e.go(250)")
    for _ in range(5):
        before = (250 - page.state("left")) * page.state("zoom")
        page.press("+")
        assert (250 - page.state("left")) * page.state("zoom") == pytest.approx(before, abs=2)
    page.call("e.go(499)")
    assert page.state("left") + page.state("width") / page.state("zoom") >= 499


# ------------------------------------------------------------ orders


def test_units_in_other_orders(watched: Callable, tmp_path: Path):
    time = torch.arange(40.0)
    one, other = torch.sin(time / 3), torch.cos(time / 2)
    bump = torch.exp(-((time - 5) ** 2)) * 9
    columns = [one, other, bump, one * 1.1 + 0.01 * other, other * 0.9, bump.roll(20) * 2]
    net = cello.Recurrent(cello.ElmanCell(6, 6, activation="identity", bias=False))
    with torch.no_grad():
        net.cell.W.copy_(torch.eye(6))
        net.cell.R.zero_()
        rec = cello.record(net, torch.stack(columns, 1).unsqueeze(1))
    page = watched(rec.to_html(tmp_path / "page.html"))

    def order(how: str) -> list[int]:
        page.page.select_option("[data-control=order]", how)
        page.settle()
        return page.page.evaluate("explorer.order()")

    assert order("number") == list(range(6))
    assert order("variance")[0] == 5
    peaks = order("peak")
    assert peaks.index(2) < peaks.index(5)
    clusters = order("cluster")
    assert sorted(clusters) == list(range(6))
    assert abs(clusters.index(0) - clusters.index(3)) == 1
    assert abs(clusters.index(1) - clusters.index(4)) == 1
    page.shot()


@pytest.mark.parametrize("name", NETS)
def test_units_of_every_net_in_other_orders(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    values = rec.layer(page.state("layer")).rows[page.state("value")]
    apart = (values - values.mean(0)).abs()
    for how, expected in (
        ("variance", (-values.var(0)).argsort().tolist()),
        ("peak", apart.argmax(0).argsort(stable=True).tolist()),
        ("number", list(range(values.shape[1]))),
    ):
        page.page.select_option("[data-control=order]", how)
        page.settle()
        assert page.page.evaluate("explorer.order()") == expected
        box = page.page.locator(".map canvas").first.bounding_box()
        page.page.mouse.move(box["x"] + 3, box["y"] + 3)  # on the first row
        page.settle()
        assert page.text(".tip").startswith(f"{page.state('value')}[{expected[0]}] = ")
        page.page.mouse.move(0, 0)
    page.page.select_option("[data-control=order]", "cluster")
    clusters = page.page.evaluate("explorer.order()")
    assert sorted(clusters) == list(range(values.shape[1]))
    near = torch.corrcoef(values.T).fill_diagonal_(-2)
    one, other = divmod(int(near.argmax()), values.shape[1])  # which are joined first
    assert abs(clusters.index(one) - clusters.index(other)) == 1


# ------------------------------------------------------------ several sequences


@pytest.mark.parametrize("name", NETS)
def test_two_sequences_side_by_side(name: str, watched: Callable, tmp_path: Path):
    rec = recorded(name, 6, batch=3)
    page = watched(rec.to_html(tmp_path / "page.html", ["abcdef", "ghijkl", "mnopqr"]))
    page.page.select_option("[data-control=sequence]", "1")
    page.page.select_option("[data-control=compare-with]", "2")
    page.settle()
    assert page.page.locator(".map:visible").count() == 2
    texts = page.page.eval_on_selector_all(".text", "all => all.map(one => one.textContent)")
    assert texts == ["ghijkl", "mnopqr"]
    found = page.call("return [Array.from(s.shown.data), Array.from(s.shownOther.data)]")
    values = rec[f"{page.state('layer')}.{page.state('value')}".removeprefix(".")]
    assert found == [values[:, 1].flatten().tolist(), values[:, 2].flatten().tolist()]
    page.shot()

    page.page.get_by_label("difference of the other").check()
    page.call("e.go(4); e.unit(1)")
    difference = values[:, 2] - values[:, 1]
    assert page.call("return Array.from(e.scene.all[1].data)") == difference.flatten().tolist()
    said = written(difference[4, 1].item(), 7)
    assert page.text(".caption.other").startswith(f"Δ{page.state('value')}[1] = {said} · step 4")
    page.shot("difference")


def test_sequences_of_different_lengths(watched: Callable, tmp_path: Path):
    net = cello.Recurrent(cello.GRUCell(3, 4))
    with torch.no_grad():
        rec = cello.record(net, torch.randn(5, 3, 3), lengths=torch.tensor([5, 0, 2]))
    page = watched(rec.to_html(tmp_path / "page.html", ["abcde", "", "fg"]))
    page.call("e.go(4)")
    page.call("await e.sequence(2)")
    assert page.state("t") == 1
    assert page.numbers()["h"] == rec["h"][1, 2, page.state("unit")].item()
    page.call("await e.sequence(1)")
    assert page.text(".caption") == "This sequence is empty."
    assert page.page.inner_text(".detail") == ""


# ------------------------------------------------------------ numbers of other kinds


def test_half_precision_is_near_and_said(watched: Callable, tmp_path: Path):
    rec = recorded("own")
    page = watched(rec.to_html(tmp_path / "page.html", TEXT, precision="float16"))
    page.call("e.unit(3); e.go(9)")
    shown = page.numbers()
    assert shown == pytest.approx({n: rec[n][9, 0, 3].item() for n in shown}, rel=2**-10)
    assert "rounded to half precision" in page.text(".caption")


@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
def test_what_is_no_number_is_shown_as_such(precision: str, watched: Callable, tmp_path: Path):
    x = torch.tensor([2.0**19, math.nan, math.inf, -math.inf, -3e-7, 0.0]).reshape(-1, 1, 1)
    with torch.no_grad():
        rec = cello.record(cello.Recurrent(cello.ElmanCell(1, 2)), x)
    page = watched(rec.to_html(tmp_path / "page.html", precision=precision))
    page.call("await e.value('x')")
    for t, expected in enumerate(("524288", "nan", "inf", "−inf")):
        page.call(f"e.go({t})")
        assert page.text(".caption").startswith(f"x = {expected} ·")
    page.shot()
