"""The page is for everyone: without a mouse, colours, a large screen, and by ear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cello
from tests.see.page.nets import NETS, TEXT, recorded

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

SIZES = [1440, 1024, 390, 320]
PHONES = [320, 360, 390]
TAP = 44  # pixels


def phone(width: int) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": 640}, "has_touch": True}


@pytest.mark.parametrize("name", NETS)
def test_no_net_s_page_has_a_barrier(name: str, shown: tuple[cello.Recording, Any]):
    _, page = shown
    assert page.barriers() == []
    page.page.hover("canvas:visible >> nth=0")  # what it says there belongs to the page too
    assert page.barriers() == []


@pytest.mark.parametrize("width", SIZES)
def test_no_size_and_no_theme_has_a_barrier(width: int, watched: Callable, tmp_path: Path):
    texts = ["she said 'yes' and\nleft 'Rome' by train. " * 50, "it rained. " * 30]
    texts = [text[:300] for text in texts]
    rec = recorded("bidirectional", 300, batch=2)
    page = watched(
        rec.to_html(tmp_path / "page.html", texts), viewport={"width": width, "height": 700}
    )
    page.call("await e.other(1); e.controls.element.querySelector('.more').click()")
    page.page.fill("input[type=search]", "'")
    page.page.get_by_role("button", name="rank units").click()
    page.unfold(page.page.locator("summary").last)
    page.settle()
    for theme in ("light", "dark"):
        page.call(f"e.set({{theme: '{theme}'}})")
        assert page.barriers() == []
    page.page.get_by_role("button", name="show", exact=True).click()
    page.press("g", "?")
    assert page.page.locator("dialog").is_visible()
    assert page.barriers() == []


@pytest.mark.parametrize("width", PHONES)
def test_a_phone_shows_all_that_a_wide_window_shows(width: int, watched: Callable, tmp_path: Path):
    path = recorded("bidirectional", batch=2).to_html(tmp_path / "page.html", [TEXT, TEXT])
    page = watched(path, **phone(width))
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    for what in (".text", ".curve canvas", ".map canvas", ".detail", ".drawing svg"):
        box = page.page.locator(f"{what} >> visible=true").first.bounding_box()
        assert box["width"] > 0.6 * width, what
        assert box["x"] + box["width"] <= width, what
    assert page.page.locator(".text").first.bounding_box()["y"] < 180  # not below the buttons
    page.shot()
    drawing = page.page.locator(".drawing svg").first  # of the direction that is looked at
    page.page.get_by_role("button", name="larger").first.tap()
    assert drawing.bounding_box()["width"] == float(drawing.get_attribute("width"))
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", PHONES[:1])
def test_fingers_find_what_they_tap(width: int, watched: Callable, tmp_path: Path):
    path = recorded("stacked", batch=2).to_html(tmp_path / "page.html", [TEXT, TEXT])
    page = watched(path, **phone(width))
    page.page.fill("input[type=search]", "'")
    page.page.get_by_role("button", name="rank units").tap()
    page.page.wait_for_selector(".found button")
    page.page.get_by_role("button", name="choices").tap()
    page.page.select_option("[data-control=compare-with]", "1")
    page.settle()
    sizes = page.page.eval_on_selector_all(
        "button, select, input, summary",
        """all => all.filter((one) => one.checkVisibility()).map((one) => {
            const whole = one.type === "checkbox" ? one.closest("label") : one;
            const { width, height } = whole.getBoundingClientRect();
            return [one.textContent || one.labels?.[0]?.textContent, width, height];
        })""",
    )
    assert len(sizes) > 25
    assert [size for size in sizes if min(size[1:]) < TAP] == []
    steps = page.page.locator(".steps")
    page.page.evaluate("scrollTo(0, 1e6)")
    assert steps.bounding_box()["y"] + steps.bounding_box()["height"] == 640  # where a thumb is


def test_the_focus_stays_on_what_was_pressed(watched: Callable, tmp_path: Path):
    path = recorded("bidirectional", batch=2).to_html(tmp_path / "page.html", [TEXT, TEXT])
    page = watched(path)
    page.page.get_by_label("play", exact=True).click()
    page.press("ArrowRight", "ArrowRight")
    assert page.state("t") >= 2
    page.page.get_by_label("pause", exact=True).press("Enter")
    page.settle()
    t = page.state("t")
    page.press("ArrowLeft")
    assert page.state("t") == t - 1
    for name in ("zoom in", "中文"):  # the second draws everything anew
        page.page.locator(f"[data-control='{name.replace(' ', '-')}']").click()
        page.settle()
        page.press("ArrowRight")
        assert page.state("t") == t
        page.press("ArrowLeft")
