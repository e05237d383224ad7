"""Finding a unit by what it tells, in a browser; the numbers are computed in Python too."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cello
from cello.see.numbers import short
from cello.see.probing.scores import auc
from cello.see.probing.units import rank_units
from tests.see.page.nets import NETS, TEXT, recorded

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

T = len(TEXT)
FOUND = "document.querySelector('.found button')"
QUOTED = torch.zeros(T, dtype=torch.bool)
for begin, end in ((9, 14), (24, 30)):
    assert TEXT[begin] == TEXT[end - 1] == "'"
    QUOTED[begin:end] = True


def strengths(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    areas = auc(values, labels)
    return torch.maximum(areas, 1 - areas)


def chance(values: torch.Tensor, labels: torch.Tensor) -> float:
    """The best strength of all units for labels that are rolled along time."""
    shifts = [math.floor(k * len(labels) / 20 + 0.5) for k in range(1, 20)]
    return max(strengths(values, labels.roll(shift)).max().item() for shift in shifts)


def ranked_units(page: Any) -> list[str]:
    return page.page.eval_on_selector_all(".found button", "all => all.map(o => o.textContent)")


@pytest.mark.parametrize("name", NETS)
def test_units_are_ranked_by_what_they_tell(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    page.page.fill("input[type=search]", "'[^']*'")
    page.page.press("input[type=search]", "Enter")
    page.until(FOUND)
    assert page.page.evaluate("Array.from(explorer.state.marks, Boolean)") == QUOTED.tolist()
    values = rec.layer(page.state("layer")).rows[page.state("value")]
    expected = rank_units(values, QUOTED)
    scores = page.page.evaluate("explorer.state.scores")
    assert scores == pytest.approx([s for _, s in sorted((t.unit, t.strength) for t in expected)])
    assert page.state("unit") == expected[0].unit
    assert page.page.evaluate("explorer.order()[0]") == expected[0].unit
    page.press("Escape", "]")  # of another value, nothing is known
    assert (page.state("order"), page.state("scores")) == ("number", None)
    page.press("[")
    page.settle()
    page.shot()


@pytest.mark.parametrize("name", NETS)
def test_beside_it_stands_what_comes_by_chance(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    page.page.fill("input[type=search]", "'[^']*'")
    page.page.get_by_label("among").select_option("all values of the layer")
    page.page.click(".rank")
    page.until(FOUND)
    held = rec.layer(page.state("layer")).rows
    values = torch.cat(list(held.values()), dim=1)
    best = chance(values, QUOTED)
    assert page.text(".search [role=status]").endswith(
        f"shifted along time in 19 ways, the best of the {values.shape[1]} units reaches "
        f"{short(best, 3)}."
    )
    doubtful = page.page.eval_on_selector_all(
        ".found button", "all => all.map(one => one.className === 'doubtful')"
    )
    expected = strengths(values, QUOTED).sort(descending=True).values[: len(doubtful)]
    assert doubtful == (expected <= best).tolist()


def test_noise_is_not_above_chance_and_a_planted_unit_is(watched: Callable, tmp_path: Path):
    torch.manual_seed(0)
    net = cello.Recurrent(cello.ElmanCell(60, 60, activation="identity", bias=False))
    with torch.no_grad():
        net.cell.W.copy_(torch.eye(60))
        net.cell.R.zero_()
        x = torch.randn(T, 1, 60)
        x[:, 0, 41] += 4 * QUOTED
        rec = cello.record(net, x, only="h")
    page = watched(rec.to_html(tmp_path / "page.html", TEXT))
    page.page.fill("input[type=search]", "'[^']*'")
    page.page.click(".rank")
    page.until(FOUND)
    assert ranked_units(page)[0].startswith("h[41]  ")
    above = page.page.locator(".found button:not(.doubtful)").count()
    assert above == 1


@pytest.mark.parametrize("name", NETS)
def test_what_is_painted_is_searched(name: str, shown: tuple[cello.Recording, Any]):
    rec, page = shown
    page.page.get_by_label("paint").check()
    page.page.hover('.token[data-t="4"]')
    page.page.mouse.down()
    for t in range(5, 9):
        page.page.hover(f'.token[data-t="{t}"]')
    page.page.mouse.up()
    box, zoom = page.page.locator(".curve").bounding_box(), page.state("zoom")
    page.page.mouse.move(box["x"] + 20.5 * zoom, box["y"] + 40)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 22.5 * zoom, box["y"] + 50)
    page.page.mouse.up()
    painted = torch.zeros(T, dtype=torch.bool)
    painted[4:9] = painted[20:23] = True
    assert page.page.evaluate("Array.from(explorer.state.marks, Boolean)") == painted.tolist()
    page.page.click(".rank")
    page.until(FOUND)
    best = rank_units(rec.layer(page.state("layer")).rows[page.state("value")], painted)[0]
    assert ranked_units(page)[0].startswith(
        f"{page.state('value')}[{best.unit}]  {short(best.strength, 3)}"
    )
    page.page.click("text=clear")
    assert page.state("marks") is None


def test_marks_by_keyboard(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman").to_html(tmp_path / "page.html"))
    page.press(
        "Home", "ArrowRight", "ArrowRight", "m", "Shift+ArrowRight", "Shift+M", "Home", "Shift+M"
    )
    marked = [t for t, mark in enumerate(page.call("return Array.from(s.marks)")) if mark]
    assert marked == [0, *range(2, 13)]
    page.press("m")
    assert page.state("marks[0]") == 0


def test_units_of_all_layers(watched: Callable, tmp_path: Path):
    torch.manual_seed(0)
    rec = recorded("bidirectional")
    page = watched(rec.to_html(tmp_path / "page.html", TEXT))
    page.page.fill("input[type=search]", "'[^']*'")
    page.page.get_by_label("among").select_option("all layers")
    page.page.click(".rank")
    page.until(FOUND)
    places = {
        f"{layer}.{value}[{unit}]": strength
        for layer in rec.layers
        for value, rows in rec.layer(layer).rows.items()
        for unit, strength in enumerate(strengths(rows, QUOTED).tolist())
    } | {
        f"output[{unit}]": strength
        for unit, strength in enumerate(strengths(rec.output[:, 0], QUOTED).tolist())
    }
    found = [text.split("  ")[:2] for text in ranked_units(page)]
    assert len(found) == 40
    assert [strength.removesuffix(" (−)") for _, strength in found] == [
        short(places[name], 3) for name, _ in found
    ]
    assert [places[name] for name, _ in found] == pytest.approx(sorted(places.values())[:-41:-1])
    last = page.page.locator(".found button").last
    last.click()
    page.settle()
    name = ".".join(part for part in (page.state("layer"), page.state("value")) if part)
    assert f"{name}[{page.state('unit')}]" == found[-1][0]


def test_what_an_expression_marks_follows_the_sequence(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman", 4, batch=2).to_html(tmp_path / "page.html", ["abab", "baab"]))
    page.page.fill("input[type=search]", "a+")
    page.settle()
    assert page.page.evaluate("Array.from(explorer.state.marks)") == [1, 0, 1, 0]
    page.call("await e.sequence(1)")
    assert page.page.evaluate("Array.from(explorer.state.marks)") == [0, 1, 1, 0]
    page.page.fill("input[type=search]", "")
    page.press("Escape", "Home", "m")
    assert page.page.evaluate("Array.from(explorer.state.marks)") == [1, 0, 0, 0]
    page.call("await e.sequence(0)")
    assert page.state("marks") is None


def test_an_expression_that_takes_for_ever_is_given_up(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman", 60).to_html(tmp_path / "page.html", "a" * 59 + "b"))
    page.page.fill("input[type=search]", "(a+)+$")
    page.press("Escape", "Home", "ArrowRight")  # nothing stands still meanwhile
    assert page.state("t") == 1
    assert page.text(".search [role=status]") == "This expression takes too long."
    page.page.fill("input[type=search]", "(a+)+$")
    page.page.fill("input[type=search]", "b")  # the one before is not waited for
    page.settle()
    assert page.text(".search [role=status]") == "1 step is marked"
    assert page.state("marks[59]") == 1


def test_units_in_the_list_can_be_told_apart(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman").to_html(tmp_path / "page.html", TEXT))
    page.page.fill("input[type=search]", "'[^']*'")
    page.page.click(".rank")
    page.until(FOUND)
    bars = page.page.eval_on_selector_all(
        ".found button",
        """all => all.map((one) => [one.textContent.split("  ")[1],
            parseFloat(one.style.getPropertyValue("--strength"))])""",
    )
    assert len(bars) == 5
    for told, share in bars:
        assert share == pytest.approx(100 * (2 * float(told.split()[0]) - 1), abs=0.2)


def test_numbers_that_are_damaged_are_not_ranked(watched: Callable, tmp_path: Path):
    path = recorded("elman").to_html(tmp_path / "page.html", TEXT)
    text = path.read_text(encoding="utf-8")
    begin = text.index('id="block-0" value="') + len('id="block-0" value="')  # that of x
    path.write_text(text[:begin] + "(" * 40 + text[begin + 40 :], encoding="utf-8")
    page = watched(path)
    page.page.fill("input[type=search]", "e")
    page.page.get_by_label("among").select_option("all values of the layer")
    page.page.click(".rank")
    page.until("document.querySelector('.search [role=status]').textContent.includes('damaged')")
    assert ranked_units(page) == []


def test_a_wrong_expression_is_said_and_harmless(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman").to_html(tmp_path / "page.html", TEXT))
    page.page.fill("input[type=search]", "(")
    page.settle()
    assert page.text(".search [role=status]") == "not a regular expression"
    page.page.fill("input[type=search]", "zzz")
    page.page.click(".rank")
    page.settle()
    assert page.text(".search [role=status]") == "Mark some steps, but not all."
