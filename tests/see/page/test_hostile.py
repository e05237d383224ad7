"""Text and files that mean harm, or are damaged."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cello
from tests.see.page.nets import LeakyCell, recorded

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

HOSTILE = [
    "<script>window.harm = 1</script>",
    "</script><script>window.harm = 1</script>",
    "<!--<script>",
    "<img src=x onerror='window.harm = 1'>",
    "\"'`&amp;&lt;",
    "\u202egnp.exe",  # from right to left
    "שלום",
    "e\u0301\u0327",  # combining
    "\u0301",
    "👩‍👩‍👧‍👦",
    "\ud800",  # half of a surrogate pair
    "\u2028\u2029",
    "\x00\x07\x1b[31m",
    "{{constructor}}",
    "\\u003cscript>",
    "",
]


def test_tokens_are_text_whatever_they_hold(watched: Callable, tmp_path: Path):
    rec = recorded("own", len(HOSTILE))
    path = rec.to_html(tmp_path / "page.html", HOSTILE, title=HOSTILE[1])
    page = watched(path)
    for t in range(len(HOSTILE)):
        page.call(f"e.go({t})")
    assert page.page.evaluate("window.harm") is None
    assert page.page.title() == HOSTILE[1]
    assert page.text("h1") == HOSTILE[1]
    shown = page.page.eval_on_selector_all(".token", "all => all.map(one => one.textContent)")
    assert shown[0] == HOSTILE[0]
    assert shown[5] == "‹202e›gnp.exe"
    assert shown[8] == "◌\u0301"
    assert shown[9] == HOSTILE[9]
    assert shown[10] == "?"
    assert page.page.locator("img").count() == 0
    page.shot()
    page.page.fill("input[type=search]", "<script>")
    page.settle()
    assert page.page.evaluate("Array.from(explorer.state.marks).slice(0, 2)") == [1, 1]


def test_names_of_a_user_s_code_are_text(watched: Callable, tmp_path: Path):
    net = cello.Stack(cello.Recurrent(LeakyCell(3, 2)))
    torch.nn.Module.add_module(net, "0", net[0])
    with torch.no_grad():
        rec = cello.record(net, torch.randn(3, 1, 3))
    rec.by_layer["0"].layer = "<b>0</b>"
    layers = list(rec.by_layer.values())
    page = watched(cello.Recording(layers, None).to_html(tmp_path / "page.html"))
    assert "<b>0</b>" in page.text(".detail h2")


def test_a_token_of_ten_megabytes(watched: Callable, tmp_path: Path):
    path = recorded("elman", 3).to_html(tmp_path / "page.html", ["a", "b" * 10_000_000, "c"])
    short = recorded("elman", 3).to_html(tmp_path / "short.html", ["a", "b", "c"])
    assert path.stat().st_size < short.stat().st_size + 1000
    page = watched(path)
    assert len(page.page.inner_text('.token[data-t="1"]')) == 80


def test_an_empty_sequence(watched: Callable, tmp_path: Path):
    with torch.no_grad():
        rec = cello.record(cello.Recurrent(cello.LSTMCell(3, 4)), torch.randn(0, 1, 3))
    page = watched(rec.to_html(tmp_path / "page.html", ""))
    assert page.text(".caption") == "This sequence is empty."
    for key in ("ArrowRight", "End", "c", "m", "+", "0", "]", "ArrowDown", "Space"):
        page.press(key)
    page.shot()


def _garbled(text: str) -> str:
    return re.sub(r'(id="block-\d+" value=").{40}', r"\1((((((((((", text)


def _cut_off(text: str) -> str:
    return text[: text.index('id="block-') + 60]


@pytest.mark.parametrize("damage", [_garbled, _cut_off])
def test_a_damaged_page_says_so(watched: Callable, tmp_path: Path, damage: Callable[[str], str]):
    path = recorded("elman").to_html(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert damage(text) != text
    path.write_text(damage(text), encoding="utf-8")
    page = watched(path, settled=False)
    page.until("document.querySelector('.failed')")
    assert page.text(".caption") == "The numbers of this page are damaged."
    page.shot()


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_large_values_are_unpacked_beside_the_page(
    precision: str, watched: Callable, tmp_path: Path
):
    net = cello.Recurrent(cello.ElmanCell(2, 64))
    with torch.no_grad():
        rec = cello.record(net, torch.randn(9000, 1, 2), only="h")
    path = rec.to_html(tmp_path / "page.html", precision=precision)
    begun: list[int] = []
    page = watched(path, settled=False)
    page.page.on("worker", lambda worker: begun.append(1))
    page.page.reload()
    page.settle()
    assert begun
    for t in (0, 8999):
        row = page.page.evaluate(
            f"Array.from(explorer.state.shown.data.subarray(64 * {t}, 64 * {t + 1}))"
        )
        assert row == pytest.approx(
            rec["h"][t, 0].tolist(), abs=1e-3 if precision == "float16" else 0
        )
    path.write_text(_garbled(path.read_text(encoding="utf-8")), encoding="utf-8")
    damaged = watched(path, settled=False)
    damaged.until("document.querySelector('.failed')")
    assert damaged.text(".caption") == "The numbers of this page are damaged."


def test_a_page_that_was_cut_off_shows_what_it_has(watched: Callable, tmp_path: Path):
    path = recorded("elman").to_html(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    second = text.index('id="block-', text.index('id="block-') + 1)
    path.write_text(text[: second + 60], encoding="utf-8")
    page = watched(path)
    assert page.page.evaluate("explorer.state.shown.name") == "h"
    assert page.text(".detail") == "The numbers of this page are damaged."


def test_nothing_but_our_script_may_run(watched: Callable, tmp_path: Path):
    path = recorded("elman").to_html(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert "unsafe-inline" not in re.search(r"script-src ([^;]*);", text).group(1)
    path.write_text(text.replace("</body>", "<script>window.harm = 1</script></body>"))
    page = watched(path)
    assert page.page.evaluate("window.harm") is None
    assert len(page.errors) == 1
    assert "Content Security Policy" in page.errors.pop()
