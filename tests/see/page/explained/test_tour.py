"""Being shown around: a few stops at which the page explains one memory, then free play."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.see.page.nets import TEXT, recorded

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


def stops(page) -> list[str]:
    """What is said at each stop, from the first on."""
    page.press("t")
    said = []
    while True:
        page.until(
            f"document.querySelector('.tour .what')?.textContent.startsWith('{len(said) + 1} ')"
        )
        said.append(page.text(".tour [role=status]"))
        page.settle()
        if page.page.get_by_role("button", name="look around").count():
            return said
        page.page.locator("[data-control='next stop']").click()


def test_the_gates_of_the_lecture(watched: Callable, tmp_path: Path):
    run("example", "lstm-nine", "--html", tmp_path / "page.html")
    page = watched(tmp_path / "page.html")
    said = stops(page)
    assert said[0].startswith("1 / 6 The net reads 9 steps, and remembers c, h")
    assert said[1].endswith(
        "Step 7 reads “\u20686, 1, 0\u2069”. Gate i is 1: it lets in. c goes from 5.7e-39 to 6."
    )
    assert said[2].endswith(
        "Step 6 reads “\u20683, −1, 0\u2069”. Gate f is 8e-40: it forgets. "
        "c goes from 7 to 5.7e-39."
    )
    assert "Step 5 reads" in said[3]
    assert said[3].endswith("Gate o is 1: it lets out. c is 7.")
    assert said[4].endswith("Here the memory keeps most of what it had. c goes from 7 to 7.")
    page.page.locator("[data-control='stop before']").click()
    page.until("document.querySelector('.tour .what').textContent.startsWith('5 ')")
    told = page.page.locator(".detail tr.told th")
    assert told.all_text_contents() == ["c_prev", "c"]
    assert re.fullmatch(r"c = .+ = 6\.9998", page.text(".tour .sum"))
    lit = page.call(
        "return [...e.detail.drawing.shadow.querySelectorAll('.wire')]"
        ".filter((wire) => wire.style.stroke).map((wire) => wire.dataset.value)"
    )
    assert set(lit) == {"c", "c_prev"}
    thick = page.call(
        "return Object.fromEntries([...e.detail.drawing.shadow.querySelectorAll('.wire')]"
        ".map((wire) => [wire.dataset.value, parseFloat(wire.style.strokeWidth)]))"
    )
    assert thick["f"] > 4.9 > thick["i"] > 0
    assert page.barriers() == []
    page.shot()
    page.press("Escape")
    assert page.page.locator(".tour").is_hidden()
    assert told.count() == 0
    page.press("ArrowLeft")
    assert page.state("t") == page.state("t")


@pytest.mark.parametrize("name", ["elman", "bidirectional", "own"])
def test_any_net_has_a_tour(name: str, watched: Callable, tmp_path: Path):
    page = watched(recorded(name).to_html(tmp_path / "page.html", TEXT))
    said = stops(page)
    assert 4 <= len(said) <= 6
    assert not any("{}" in text or "undefined" in text or "NaN" in text for text in said)
    assert sum(" goes from " in text for text in said) >= 2
    anew = [text for text in said if "computes h anew" in text]
    assert len(anew) == (name == "elman")
    assert not any("keeps most" in text and "from 0 to" in text for text in said)
    page.call("e.language()")
    page.until("document.querySelector('.tour').textContent.includes('现在请自己看看')")
    page.press("t")
    assert page.page.locator(".tour").is_hidden()


def test_a_tour_ends_where_another_layer_is_chosen(watched: Callable, tmp_path: Path):
    page = watched(recorded("stacked").to_html(tmp_path / "page.html", TEXT))
    page.press("t")
    page.until("!document.querySelector('.tour').hidden")
    page.page.locator(".chain button").nth(1).click()
    page.until("document.querySelector('.tour').hidden")
