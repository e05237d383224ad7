"""How the page looks and is used: language, colours, place, by keyboard, by fingers."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cello
from tests.cli.running import run
from tests.see.page.nets import NETS, TEXT, colour_ends, recorded, written

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.mark.parametrize("name", NETS)
def test_every_net_in_both_languages(name: str, shown: tuple[cello.Recording, Any]):
    _, page = shown
    page.press("Home")
    english = page.text("body")
    for title in ("时间步 0", "step 0"):
        page.call("e.language()")
        page.until(f"document.querySelector('.detail h2').textContent.startsWith('{title}')")
        page.shot(title)
        shown = page.text("body")
    assert shown == english


@pytest.mark.parametrize("name", ["elman", "jordan", "bidirectional", "stacked", "lstm"])
def test_lecture_examples_open_as_pages(name: str, watched: Callable, tmp_path: Path):
    run("example", name, "--html", tmp_path / "page.html")
    page = watched(tmp_path / "page.html")
    last = page.state("shown.length") - 1
    page.press("End")
    assert page.state("t") == last
    said = page.page.eval_on_selector_all(".arithmetic", "all => all.map(one => one.title)")
    assert len(said) >= 2
    assert len(page.text(".about .given")) > 50  # the example's own words
    for line in said:  # such as c = 3·1 + 1·0 = 3
        assert re.fullmatch(r"\w+(\[\d+\])? = .+ = −?[\d.e-]+", line)
    states = name != "stacked"  # whose file states nothing
    assert (page.page.locator(".detail .right").count() > 0) == states
    assert ("✓ stands beside" in page.text(".about")) == states
    assert page.page.locator(".detail .wrong").count() == 0
    if name == "jordan":
        assert page.text(".chain button").splitlines()[0] == "Jordan"
    page.shot()


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("elman", "1 recurrent layer: Elman with 5 units."),
        ("bidirectional", "1 recurrent layer: LSTM with 4 units in each direction."),
        ("stacked", "2 recurrent layers: LSTM with 4 units, LSTM with 4 units."),
        ("own", "1 recurrent layer: Leaky with 6 units."),
    ],
)
def test_it_says_what_it_is_about(name: str, layers: str, watched: Callable, tmp_path: Path):
    path = tmp_path / "page.html"
    page = watched(recorded(name).to_html(path, TEXT, description="Made of <b>noise</b>."))
    assert page.text(".about .given") == "Made of <b>noise</b>."
    assert page.text(".about").count(f"The net has {layers} It reads 39 steps") == 1
    gives = {"bidirectional": 2, "stacked": 4}.get(name)
    assert (f"and gives {gives} numbers at each." in page.text(".about")) == (gives is not None)
    page.page.click(".about summary")
    assert not page.page.locator(".about p").first.is_visible()
    phone = watched(path, viewport={"width": 390, "height": 700})
    assert not phone.page.locator(".about p").first.is_visible()


def test_an_example_opens_on_the_step_that_its_file_explains(watched: Callable, tmp_path: Path):
    run("example", "lstm", "--html", tmp_path / "page.html")
    page = watched(tmp_path / "page.html")
    assert [page.state(name) for name in ("value", "unit", "t")] == ["c", 0, 0]
    assert page.text(".detail h2").startswith("step 0 · “\u20683, 1, 0\u2069”")


def test_what_is_not_as_the_file_states_is_marked_so(watched: Callable, tmp_path: Path):
    run("example", "lstm", "--copy", tmp_path / "mine.toml")
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(
        text.replace("\nc = [3, 7,", "\nc = [5, 7,"), encoding="utf-8"
    )
    run("run", tmp_path / "mine.toml", "--html", tmp_path / "page.html")
    page = watched(tmp_path / "page.html")
    assert page.text(".detail .wrong").strip() == "✗"
    assert page.page.locator(".detail tr[data-name=c] .wrong").count() == 1
    page.press("ArrowRight")
    assert page.page.locator(".detail tr[data-name=c] .right").count() == 1
    page.call("await window.whatif.setInput(1, 0, 9)")  # of what has been changed nothing is stated
    page.until("explorer.state.sequence === 1")
    page.settle()
    assert page.page.locator(".detail :is(.right, .wrong)").count() == 0


def test_the_text_opens_at_the_step_that_is_looked_at(watched: Callable, tmp_path: Path):
    text = "she said 'yes' and\nleft 'Rome' by train\n" * 25
    rec = recorded("elman", len(text))
    page = watched(rec.to_html(tmp_path / "page.html", text, begin=("h", 0, len(text) - 20)))
    inside = page.page.locator(".text").first.bounding_box()
    step = page.page.locator(".token.now").bounding_box()
    assert inside["y"] <= step["y"] <= inside["y"] + inside["height"] - step["height"]


def test_a_large_unit_leaves_the_others_their_colours(watched: Callable, tmp_path: Path):
    net = cello.Recurrent(cello.ElmanCell(2, 2, activation="identity", bias=False))
    with torch.no_grad():
        net.cell.W.copy_(torch.tensor([[1.0, 0], [0, -282]]))
        net.cell.R.zero_()
        rec = cello.record(net, torch.tensor([[1.0, 1.0], [-1.0, 1.0]]).unsqueeze(1))
    page = watched(rec.to_html(tmp_path / "page.html"))
    pixel = """const at = picture(e.scene.canvases[0]).getImageData(
        Math.floor(0.5 * s.zoom), 5 + 26 * UNIT, 1, 1).data; return [at[0], at[2]]"""
    assert page.call(pixel.replace("UNIT", "0")) == [200, 10]
    assert page.call(pixel.replace("UNIT", "1")) == [38, 160]


def test_in_chinese(watched: Callable, tmp_path: Path):
    path = recorded("bidirectional").to_html(tmp_path / "page.html", TEXT)
    page = watched(path, locale="zh-CN", color_scheme="dark")
    assert page.text(".search h2") == "查找单元"
    assert page.page.get_attribute(".cello", "lang") == "zh"
    assert page.state("theme") == "dark"
    page.shot()
    legend = """return Array.from(e.detail.diagram.shadowRoot.querySelectorAll("text.small"),
        (line) => line.textContent)"""
    assert page.call(legend) == ["i: 1 放入，0 挡住", "f: 1 记住，0 遗忘", "o: 1 放出，0 保留"]
    page.page.click("[data-control=中文]")
    page.settle()
    assert page.text(".search h2") == "Find a unit"
    assert page.call(legend)[1] == "f: 1 remembers, 0 forgets"


def test_every_control_has_a_name(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman", 4, batch=2).to_html(tmp_path / "page.html"))
    nameless = """all => all.filter(one =>
        !(one.getAttribute("aria-label") || one.labels?.length || one.textContent.trim()))"""
    assert page.page.eval_on_selector_all("button, select, input", nameless) == []


@pytest.mark.parametrize("name", NETS)
def test_light_dark_and_greys(name: str, shown: tuple[cello.Recording, Any]):
    _, page = shown
    numbers = torch.tensor(page.call("return Array.from(s.shown.data)"))
    units = page.state("shown.size")
    column = numbers.view(-1, units)[:, page.state("unit")]
    if page.state("theme") == "dark":
        page.press("d")
    for key, lighter in (("g", -1), ("d", 1)):  # more is darker on white, and lighter on black
        page.press(key)
        shades = page.page.eval_on_selector_all(
            ".token", "all => all.map(one => Number(one.style.background.match(/\\d+/)[0]))"
        )
        order = sorted(range(len(shades)), key=lambda t: float(column[t]))
        assert [lighter * shades[t] for t in order] == sorted(lighter * s for s in shades)
        page.shot(key)


@pytest.mark.parametrize("name", NETS)
def test_all_that_is_focused_by_tab_can_be_seen_and_has_a_name(
    name: str, shown: tuple[cello.Recording, Any]
):
    _, page = shown
    page.page.evaluate("document.activeElement.blur()")
    seen: list[str] = []
    for _ in range(60):
        page.page.keyboard.press("Tab")
        told = page.page.evaluate("""() => {
            const one = document.activeElement, style = getComputedStyle(one);
            if (one === document.body) return null;
            const box = one.getBoundingClientRect();
            const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
            const name = one.getAttribute("aria-label") || one.labels?.[0]?.textContent
                || one.textContent;
            return [name.trim(), outlined && box.width > 0 && box.height > 0];
        }""")
        if told is None:
            break
        assert told[0]
        assert told[1], told[0]
        seen.append(told[0])
    assert seen[0].startswith(("layer", "value"))
    for name in ("play", "along time: arrow keys, ? for all keys", "regular expression"):
        assert name in seen
    page.press("ArrowRight")


def test_keys_work_at_once_and_after_a_field_has_been_left(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman").to_html(tmp_path / "page.html", TEXT))
    page.press("Home", "ArrowRight")
    assert page.state("t") == 1
    page.press("/", "a", "Escape", "ArrowRight")
    assert page.state("t") == 2
    page.page.click("input[type=search]")
    page.page.click('.token[data-t="7"]')
    page.press("ArrowRight")
    assert page.state("t") == 8
    page.page.get_by_label("paint").check()
    page.press("ArrowRight")
    assert page.state("t") == 9


def test_what_is_written_from_right_to_left_is_shown_so(watched: Callable, tmp_path: Path):
    words = ["זה", "יום", "יפה", "the", "end", "كتاب"]
    page = watched(recorded("elman", 6).to_html(tmp_path / "page.html", words))
    places = page.page.eval_on_selector_all(
        ".token", "all => all.map(one => one.getBoundingClientRect().left)"
    )
    assert places == sorted(places, reverse=True)
    page.call("e.go(2)")
    assert page.text(".caption").endswith("read “\u2068יפה\u2069”")
    page.shot()


def test_the_pointer_tells_the_number_on_text_and_curve(watched: Callable, tmp_path: Path):
    rec = recorded("elman")
    page = watched(rec.to_html(tmp_path / "page.html", TEXT))
    page.call("e.unit(2)")
    page.page.hover('.token[data-t="5"]')
    page.settle()
    number = written(rec["h"][5, 0, 2].item(), 7)
    assert page.text(".tip").startswith(f"h[2] = {number} · step 5")
    box, zoom = page.page.locator(".curve").bounding_box(), page.state("zoom")
    page.page.mouse.move(box["x"] + 9.5 * zoom, box["y"] + 30)
    page.settle()
    assert "· step 9 ·" in page.text(".tip")
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 12.5 * zoom, box["y"] + 30)
    page.page.mouse.up()
    page.settle()
    assert page.state("t") == 12


def test_the_legends_tell_the_range_of_the_colours(watched: Callable, tmp_path: Path):
    rec = recorded("stacked")
    page = watched(rec.to_html(tmp_path / "page.html", TEXT))
    page.call("await e.look({layer: '1', value: 'c', unit: 2})")
    page.page.get_by_label("each by its own range").uncheck()
    page.settle()
    values = rec["1.c"][:, 0]
    shown = [[written(end, 3) for end in colour_ends(of)] for of in (values[:, 2], values)]
    legends = page.page.locator(".legend")
    assert [legends.nth(i).inner_text().split() for i in (0, 1)] == shown
    assert page.text(".maphead").startswith("c: 4 units, one a row")
    pixel = """const at = picture(e.scene.canvases[0]).getImageData(
        Math.floor((T + 0.5) * s.zoom), 13 + 26 * UNIT, 1, 1).data; return [at[0], at[2]]"""
    unit = int(values.abs().max(0).values.argmin())  # which the common range makes pale
    t = int(values[:, unit].abs().argmax())
    place = pixel.replace("UNIT", str(unit)).replace("T +", f"{t} +")
    before = page.call(place)
    page.page.get_by_label("each by its own range").check()
    page.settle()
    red, blue = page.call(place)
    assert abs(red - blue) > abs(before[0] - before[1])
    assert (red, blue) == (200, 10) if values[t, unit] > 0 else (38, 160)
    assert legends.nth(1).inner_text().split() == ["low", "high"]
    page.call("await e.value('f')")
    assert legends.nth(0).inner_text().split() == ["0", "1"]


def test_what_is_far_from_zero_has_all_colours(watched: Callable, tmp_path: Path):
    net = cello.Recurrent(cello.ElmanCell(1, 1, activation="linear", bias=False))
    with torch.no_grad():
        net.cell.W.fill_(1)
        net.cell.R.fill_(0)
        rec = cello.record(net, torch.tensor([5.0, 6.0, 7.0]).reshape(-1, 1, 1))
    page = watched(rec.to_html(tmp_path / "page.html"))
    assert page.page.locator(".legend").first.inner_text().split() == ["5", "7"]
    colours = page.call("""const map = picture(e.scene.canvases[0]);
        const at = (t) => map.getImageData((t + 0.5) * s.zoom, 3, 1, 1).data.slice(0, 3);
        return [0, 2].map((t) => Array.from(at(t)))""")
    assert colours == [[38, 88, 160], [200, 92, 10]]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_numbers_can_be_saved(precision: str, watched: Callable, tmp_path: Path):
    rec = recorded("stacked")
    page = watched(rec.to_html(tmp_path / "page.html", TEXT, precision=precision))
    page.call("await e.look({layer: '1', value: 'c'})")
    with page.page.expect_download() as saving:
        page.page.get_by_role("button", name="save as CSV").click()
    assert saving.value.suggested_filename == "1.c.csv"
    with Path(saving.value.path()).open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["step", "read", "c[0]", "c[1]", "c[2]", "c[3]"]
    assert [int(row[0]) for row in rows] == list(range(len(TEXT)))
    assert "".join(row[1] for row in rows) == TEXT
    numbers = torch.tensor([[float(cell) for cell in row[2:]] for row in rows])
    assert torch.equal(numbers, rec["1.c"][:, 0])


def test_the_place_is_kept_in_the_address(watched: Callable, tmp_path: Path):
    path = recorded("stacked", 6, batch=2).to_html(tmp_path / "page.html", ["abcdef", "ghijkl"])
    page = watched(path)
    page.call("await e.look({sequence: 1, layer: '1', value: 'f', unit: 2}); e.go(3)")
    page.until("location.hash.includes('t=3')")
    link = page.page.url
    page.page.reload()
    page.until("window.explorer?.state.shown?.name === 'f'")
    for again in (page, watched(link)):
        again.until("window.explorer?.state.shown?.name === 'f'")
        kept = [again.state(name) for name in ("sequence", "layer", "value", "unit", "t")]
        assert kept == [1, "1", "f", 2, 3]
    page.page.evaluate("location.hash = '#sequence=9&layer=<b>&value=toString&unit=-1&t=1e9'")
    page.settle()
    assert page.state("value") == "f"
    page.page.evaluate("location.hash = '#sequence=0&layer=0&value=c&unit=99&t=99'")
    page.until("explorer.state.shown.name === 'c'")
    assert page.state("unit") < 4
    assert page.state("t") == 5


def test_what_fits_goes_on_to_fit(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman", 60).to_html(tmp_path / "page.html"))
    for width in (700, 1100):
        page.page.set_viewport_size({"width": width, "height": 700})
        page.until(
            f"Math.abs(explorer.state.zoom * 60 - explorer.state.width) < 1 && "
            f"explorer.state.width > {0.5 * width}"
        )
    page.press("+")
    zoom = page.state("zoom")
    page.page.set_viewport_size({"width": 900, "height": 700})
    page.settle()
    assert page.state("zoom") == zoom


def test_on_paper_it_is_light_and_no_wider_than_the_sheet(watched: Callable, tmp_path: Path):
    path = recorded("bidirectional", 60, batch=2).to_html(tmp_path / "page.html", ["ab " * 20] * 2)
    page = watched(path, color_scheme="dark")
    page.call("e.zoom(4, 9); e.go(9)")
    before = [page.state(name) for name in ("theme", "zoom", "width", "t")]
    sheet = """async () => {
        const seen = new Promise((done) => addEventListener("beforeprint", () => {
            const { root, state, scene } = explorer;
            done([root.dataset.theme, state.width, scene.curve.clientWidth,
                Math.max(...Array.from(root.querySelectorAll("canvas, svg, table, .text"),
                    (one) => one.getBoundingClientRect().right)),
                scene.texts[0].element.scrollHeight <= scene.texts[0].element.clientHeight]);
        }));
        setTimeout(print);
        return seen;
    }"""
    theme, width, curve, right, whole = page.page.evaluate(sheet)
    assert theme == "light"
    assert 400 < width == curve <= 690
    assert right <= 690
    assert whole
    page.page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.settle()
    assert [page.state(name) for name in ("theme", "zoom", "width", "t")] == before
    page.page.emulate_media(media="print")
    assert page.page.evaluate("getComputedStyle(explorer.root).printColorAdjust") == "exact"
    for what in (".choices", ".buttons", ".search", ".shares"):
        assert not page.page.locator(what).first.is_visible()
    page.shot()


def test_two_fingers_zoom(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman", 500).to_html(tmp_path / "page.html"), has_touch=True)
    box = page.page.locator(".map").first.bounding_box()
    touch = page.page.context.new_cdp_session(page.page)
    middle, y = box["x"] + 300, box["y"] + 20

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": middle + side * apart, "y": y, "id": i} for i, side in enumerate((-1, 1))]
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": points if kind != "touchEnd" else []},
        )

    zoom, under = page.state("zoom"), page.call(f"return e.scene.stepAt({middle})")
    fingers("touchStart", 40)
    for apart in (50, 60, 80, 120):
        fingers("touchMove", apart)
    fingers("touchEnd", 0)
    page.settle()
    assert page.state("zoom") == pytest.approx(3 * zoom, rel=0.02)
    assert page.call(f"return e.scene.stepAt({middle})") == pytest.approx(under, abs=2)


def test_a_finger_paints(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman").to_html(tmp_path / "page.html", TEXT), has_touch=True)
    page.page.get_by_label("paint").check()
    page.page.evaluate("scrollTo(0, 0)")  # the box may stand below the window
    touch = page.page.context.new_cdp_session(page.page)
    for kind, t in (("touchStart", 3), ("touchMove", 5), ("touchMove", 6), ("touchEnd", None)):
        points = []
        if t is not None:
            box = page.page.locator(f'.token[data-t="{t}"]').bounding_box()
            points = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + 8}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.settle()
    marks = page.call("return Array.from(s.marks)")
    assert [t for t, mark in enumerate(marks) if mark] == [3, 4, 5, 6]


def test_the_largest_change_is_to_become_no_number(watched: Callable, tmp_path: Path):
    x = torch.randn(20, 1, 3)
    x[13] = torch.nan
    with torch.no_grad():
        rec = cello.record(cello.Recurrent(cello.ElmanCell(3, 2)), x)
    page = watched(rec.to_html(tmp_path / "page.html"))
    page.press("c")
    assert page.state("t") == 13


def test_a_diagram_that_is_too_wide_shrinks(watched: Callable, tmp_path: Path):
    path = recorded("stacked", 6).to_html(tmp_path / "page.html")
    page = watched(path, viewport={"width": 640, "height": 900})
    own, shown, room = page.call("""
        const { diagram } = e.detail;
        const drawing = diagram.shadowRoot.querySelector("svg");
        return [Number(drawing.getAttribute("width")), diagram.scrollWidth, diagram.clientWidth];
    """)
    assert shown <= room < own


def test_on_a_phone_the_diagram_stands_below_its_numbers(watched: Callable, tmp_path: Path):
    """It can be made as large as it is drawn, if it is not so already."""
    for name, shrinks in (("stacked", True), ("elman", False)):
        path = recorded(name, 6).to_html(tmp_path / f"{name}.html")
        page = watched(path, viewport={"width": 390, "height": 844})
        numbers, diagram, below = (
            page.page.locator(part).bounding_box()["y"]
            for part in (".detail", ".diagram", ".search")
        )
        assert numbers < diagram < below
        larger = page.page.get_by_role("button", name="larger")
        assert larger.is_visible() == shrinks
        if shrinks:
            larger.click()
            assert page.call("""const { diagram } = e.detail;
                return diagram.scrollWidth > diagram.clientWidth""")


def test_both_directions_stand_side_by_side(watched: Callable, tmp_path: Path):
    rec = recorded("bidirectional")
    page = watched(rec.to_html(tmp_path / "page.html", TEXT, begin=("0.forward.c", 2, 7)))
    captions = {"forward": "layer 0.forward", "backward": "layer 0.backward · read from the end"}
    for hosts in (["diagram", "diagram-beside"], ["diagram-beside", "diagram"]):
        boxes = [page.page.locator(f".{host}").bounding_box() for host in hosts]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        assert boxes[0]["y"] == boxes[1]["y"]
        for host, way in zip(hosts, captions, strict=True):
            assert page.text(f".drawing:has(.{host}) .caption") == captions[way]
            told = page.page.locator(f".{host} .number[data-value=f]").text_content()
            assert told == written(rec[f"0.{way}.f"][7, 0, 2].item(), 4)
        assert page.state("layer") == f"0.{'forward' if hosts[0] == 'diagram' else 'backward'}"
        page.page.locator(".diagram-beside .number[data-value=f]").click()
        page.settle()
    assert page.barriers() == []
    page.shot()


def test_a_thousand_units_leave_the_diagram_in_reach(watched: Callable, tmp_path: Path):
    with torch.no_grad():
        rec = cello.record(cello.Recurrent(cello.ElmanCell(1, 1024)), torch.randn(9, 1, 1))
    page = watched(rec.to_html(tmp_path / "page.html"))
    map_, drawing = (page.page.locator(what).first for what in (".map", ".drawing"))
    assert map_.bounding_box()["height"] < 600
    assert drawing.bounding_box()["y"] < 1000
    page.call("e.unit(1000)")
    scrolled = page.page.evaluate("explorer.scene.stacks[0].scrollTop")
    assert scrolled < 1000 < scrolled + 600  # its row is in sight
    map_.scroll_into_view_if_needed()
    box = map_.bounding_box()
    page.page.mouse.move(box["x"] + 9, box["y"] + 1000 - scrolled + 0.5)
    page.settle()
    assert page.text(".tip").startswith("h[1000] = ")


def test_the_colour_of_no_number_is_explained(watched: Callable, tmp_path: Path):
    x = torch.randn(9, 1, 3)
    with torch.no_grad():
        rec = cello.record(cello.Recurrent(cello.ElmanCell(3, 2)), x)
        x[4] = torch.nan
        nan = cello.record(cello.Recurrent(cello.ElmanCell(3, 2)), x)
    for name, recording, told in (("a", rec, 0), ("b", nan, 1)):
        page = watched(recording.to_html(tmp_path / f"{name}.html"))
        assert page.page.locator("text=no number >> visible=true").count() == told


def test_words_are_not_cut_where_a_line_ends(watched: Callable, tmp_path: Path):
    words = ["it", "rained", "in", "the", "night", "and", "nobody", "knew", "why"]
    text = " ".join(words * 6)
    page = watched(recorded("elman", len(text)).to_html(tmp_path / "page.html", text))
    for width in (320, 500, 900):
        page.page.set_viewport_size({"width": width, "height": 900})
        page.until(f"explorer.root.clientWidth === {width}")
        page.settle()
        lines = page.page.eval_on_selector_all(".line", "all => all.map(one => one.textContent)")
        assert len(lines) > 1
        assert "".join(lines) == text
        assert {word for line in lines for word in line.split()} == set(words)


@pytest.mark.parametrize("tokens", [[""] * 6, None], ids=str)
def test_where_nothing_was_read_there_is_no_empty_box(
    tokens: list[str] | None, watched: Callable, tmp_path: Path
):
    with torch.no_grad():
        rec = cello.record(cello.Recurrent(cello.ElmanCell(9, 2)), torch.randn(6, 1, 9))
    page = watched(rec.to_html(tmp_path / "page.html", tokens))
    assert not page.page.locator(".text").first.is_visible()


@pytest.mark.parametrize("width", [400, 800, 1920])
def test_nothing_is_wider_than_the_window(width: int, watched: Callable, tmp_path: Path):
    path = recorded("stacked", 6, batch=2).to_html(tmp_path / "page.html", ["abcdef", "ghijkl"])
    page = watched(path, viewport={"width": width, "height": 700})
    page.call("await e.other(1)")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    page.shot()
