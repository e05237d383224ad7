"""Where else a pattern of units is: a stretch is marked, and the page finds others like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cello

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

TEXTS = ["..ab...ab..a.", "b..ab........"]


def seen() -> cello.Recording:
    """A memory of what was read just now: unit 0 is 1 at an a, unit 1 at a b, unit 2 at both."""
    cell = cello.ElmanCell(3, 3, "relu")
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.W.copy_(torch.eye(3))
    rows = {"a": [1.0, 0, 1], "b": [0.0, 1, 1], ".": [0.0, 0, 0]}
    x = torch.tensor([[rows[letter] for letter in text] for text in TEXTS]).transpose(0, 1)
    with torch.no_grad():
        return cello.record(cello.Recurrent(cell), x)


def test_other_stretches_with_the_same_units_on(watched: Callable, tmp_path: Path):
    page = watched(seen().to_html(tmp_path / "page.html", TEXTS))
    find = page.page.locator(".pattern button[type=submit]")
    find.click()
    assert page.text(".pattern [role=status]") == "Mark some steps first."
    page.call("e.go(2); e.mark(); s.set({ t: 3 }); e.mark()")  # ab, where unit 2 is on throughout
    find.click()
    page.until("document.querySelector('.pattern [role=status]').textContent.includes('other')")
    assert page.text(".pattern [role=status]") == "1 unit is on there: 2. 4 other stretches."
    found = page.page.locator(".pattern .found button")
    assert [one.split()[-3:] for one in found.all_text_contents()] == [
        ["7–8", "ab", "1/1"],
        ["3–4", "ab", "1/1"],
        ["11–11", "a", "1/1"],
        ["0–0", "b", "1/1"],
    ]
    found.nth(1).click()
    page.until("window.explorer.state.sequence === 1 && window.explorer.state.t === 3")
    page.shot()


def test_no_unit_is_on(watched: Callable, tmp_path: Path):
    page = watched(seen().to_html(tmp_path / "page.html", TEXTS))
    page.call("e.go(0); e.mark()")
    page.page.locator(".pattern button[type=submit]").click()
    said = "No unit is on at all steps from 0 to 0 and off elsewhere."
    page.until(f"document.querySelector('.pattern [role=status]').textContent === '{said}'")
