"""Drawings in a browser: where the fonts that there are put the letters, and in which colours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import cello
from tests.registry import make
from tests.see.draw.drawn_nets import NETS, recorded
from tests.see.odd_cells import ODD

FONTS = ["as it is", "'DejaVu Sans'", "'Liberation Sans'", "serif"]

# In each drawing, texts that touch one another, or reach across the border of a box.
COLLISIONS = """() => {
  const found = [];
  const touch = (a, b) => a.x < b.x + b.width - 0.5 && b.x < a.x + a.width - 0.5
    && a.y + 3 < b.y + b.height && b.y + 3 < a.y + a.height;  // lines of letters have some air
  const within = (a, b) => a.x >= b.x - 0.5 && a.x + a.width <= b.x + b.width + 0.5;
  for (const drawing of document.querySelectorAll("svg")) {
    const texts = [...drawing.querySelectorAll("text")].filter((text) => text.textContent);
    const rooms = [...drawing.querySelectorAll("rect")].map((rect) => rect.getBBox());
    const boxes = texts.map((text) => text.getBBox());
    boxes.forEach((box, i) => {
      const others = boxes.filter((other, k) => k < i && touch(box, other));
      const crossed = rooms.filter((room) => touch(box, room) && !within(box, room));
      if (others.length + crossed.length) found.push([drawing.id, texts[i].textContent]);
    });
  }
  return found;
}"""


@pytest.fixture(scope="module")
def drawings() -> str:
    torch.manual_seed(0)
    found = {name: cello.draw(ODD[name]()).svg for name in ODD}
    for name in ("lstm-peephole", "torch-lstm", "SLSTMCell", "two-sizes"):
        found[name] = cello.draw(make(name, torch.float32), parameters=True).svg
    for name, make_net in NETS.items():
        net = make_net()
        recording = recorded(net)
        found[f"{name}, numbers"] = cello.draw(net, recording=recording, t=0).svg
        found[f"{name}, unrolled"] = cello.draw(net, unrolled=3, recording=recording).svg
    return "".join(svg.replace("<svg ", f'<svg id="{n}" ', 1) for n, svg in found.items())


@pytest.mark.parametrize("font", FONTS)
def test_no_text_touches_another(browser: Any, drawings: str, font: str):
    page = browser.new_page()
    try:
        other = re.sub(r"(font:13px )[^}]*", rf"\1{font}", drawings)
        page.set_content(drawings if font == FONTS[0] else other)
        assert page.locator("svg").count() > 30
        assert page.evaluate(COLLISIONS) == []
    finally:
        page.close()


def test_what_touches_is_found(browser: Any):
    page = browser.new_page()
    text, rect = '<text x="{}" y="20">word</text>', '<rect x="0" y="0" width="{}" height="30"/>'
    try:
        for inside, hits in (
            (text.format(5) + text.format(60) + rect.format(50), 0),
            (text.format(5) + text.format(20), 1),
            (text.format(5) + rect.format(20), 1),
        ):
            page.set_content(f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>')
            assert len(page.evaluate(COLLISIONS)) == hits
    finally:
        page.close()


def brightness(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(brightness, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_is_readable_by_day_and_by_night(browser: Any, scheme: str, tmp_path: Path):
    cello.draw(cello.LSTMCell(3, 2)).save(tmp_path / "a.svg")
    page = browser.new_page(color_scheme=scheme)
    try:
        page.goto((tmp_path / "a.svg").as_uri())
        style = "(name) => getComputedStyle(document.querySelector(name))"
        ground = page.evaluate(f"({style})('svg').backgroundColor")
        assert (brightness(ground) > 0.5) == (scheme == "light")
        assert contrast(page.evaluate(f"({style})('text').fill"), ground) > 7
        for line in (".wire", ".loop", ".gate", ".memory"):
            assert contrast(page.evaluate(f"({style})('{line}').stroke"), ground) > 3, line
    finally:
        page.close()
