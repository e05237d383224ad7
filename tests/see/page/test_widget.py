"""The widget: what it answers, and its front end in a browser; a notebook's part is played here."""

from __future__ import annotations

import base64
import gc
import json
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comm
import pytest
import torch
from comm.base_comm import BaseComm

import cello
from cello.errors import ArgumentError, UnknownNameError
from tests.see.page.nets import NETS, TEXT, recorded, typeset

# What a notebook does: shows views in its own layout and colours, carries messages to the kernel
# and its answers to every view, and has keys of its own.
NOTEBOOK = """<!DOCTYPE html><meta charset="utf-8"><style>STYLE</style>
<body><div id="moved" style="contain: layout; margin: 30px 0 0 50px"></div>
<script type="module">
const module = await import(URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" })));
const [head, listeners] = [HEAD, new Set()];
Object.assign(window, { asked: [], questions: [], keys: [], held: null, ended: false });
addEventListener("keydown", (event) => keys.push(event.key));
const model = {
  get: () => head,
  on: (_, listener) => listeners.add(listener),
  off: (_, listener) => listeners.delete(listener),
  send(message) {
    if (ended) throw new Error("Cannot send"); // as JupyterLab does
    asked.push(message.id);
    questions.push(message.question);
    if (held) held.push(message);
    else carry(message);
  },
};
window.carry = async (message) => {
  const [content, buffer] = await window.kernel(JSON.stringify(message));
  const bytes = buffer === null ? [] : [new DataView(Uint8Array.from(atob(buffer),
    (letter) => letter.charCodeAt(0)).buffer)];
  listeners.forEach((listener) => listener(content, bytes));
};
window.listening = () => listeners.size;
window.show = (style = "", later = 0) => {
  const el = document.createElement("div");
  el.style = style;
  setTimeout(() => moved.append(el), later);
  return module.default.render({ model, el });
};
window.ready = true;
</script>"""


class Notebook:
    """A page with views of a widget on it."""

    def __init__(self, page: Any, line: Line, path: Path) -> None:
        self.page = page
        state = line.said[0][0]["state"]  # with which the comm was opened
        self.head = state["head"]
        parts = {"STYLE": state["_css"], "SOURCE": script(state["_esm"]), "HEAD": script(self.head)}
        text = NOTEBOOK
        for place, part in parts.items():
            text = text.replace(place, part)
        path.write_text(text, encoding="utf-8")
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text))
        page.expose_function("kernel", lambda message: kernel(line, message))
        page.goto(path.as_uri())
        page.wait_for_function("window.ready")

    def show(self, style: str = "") -> None:
        """Another view."""
        self.page.evaluate("(style) => { window.leave = show(style); }", style)

    def settle(self) -> None:
        self.page.wait_for_selector(".arithmetic")

    def until_step(self, t: int) -> None:
        self.page.wait_for_function(
            f"document.querySelector('.detail h2').textContent.startsWith('step {t} ')"
        )

    def theme(self) -> str:
        return str(self.page.get_attribute(".cello", "data-theme"))

    def until_theme(self, theme: str) -> None:
        self.page.wait_for_selector(f".cello[data-theme={theme}]")


def kernel(line: Line, message: str) -> list[Any]:
    content, buffers = line.ask(json.loads(message))
    return [content, base64.b64encode(buffers[0]).decode() if buffers else None]


@pytest.fixture
def notebook(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Notebook]]:
    pages: list[Notebook] = []

    def opened(rec: cello.Recording, tokens: str | None = TEXT) -> Notebook:
        line = rec.explore(tokens).comm
        page = browser.new_page(viewport={"width": 1100, "height": 700})
        pages.append(Notebook(page, line, tmp_path / "notebook.html"))
        return pages[-1]

    yield opened
    for shown in pages:
        shown.page.close()
        assert shown.errors == []


class Line(BaseComm):
    """A comm between kernel and notebook, with the notebook's end in our hands."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        self.said: list[tuple[dict[str, Any], list[bytes]]] = []
        super().__init__(*args, **keys)

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any
    ) -> None:
        self.said.append((json.loads(json.dumps(data, allow_nan=False)), buffers or []))

    def ask(self, message: Any) -> tuple[dict[str, Any], list[bytes]]:
        data = {"method": "custom", "content": message}
        self.handle_msg({"content": {"data": data}, "buffers": []})
        answer, buffers = self.said.pop()
        assert answer["method"] == "custom"
        return answer["content"], buffers


@pytest.fixture(autouse=True)
def _comms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "create_comm", Line)


def test_questions_are_answered():
    rec = recorded("elman")
    widget = rec.explore(TEXT, title="Elman")
    ask = widget.comm.ask
    assert widget.head["title"] == "Elman"
    content, (data,) = ask({"id": 3, "question": "numbers", "about": {"run": 0, "block": 0}})
    assert content == {"id": 3}
    assert data == rec["x"].numpy().tobytes()
    about = {"run": 0, "t": 1, "blocks": [0, 2]}
    content, (data,) = ask({"id": 5, "question": "step", "about": about})
    rows = torch.cat([rec["x"][1, 0], rec["z"][1, 0]])
    assert data == rows.double().numpy().tobytes()
    about = {"run": 0, "sequence": 0, "layer": "", "t": 1, "unit": 2}
    content, _ = ask({"id": 4, "question": "explain", "about": about})
    assert [line for _, line in content["answer"]["lines"]] == str(rec.explain(1, 2)).splitlines()


def test_it_begins_with_what_is_asked_for():
    rec = recorded("bidirectional")
    widget = rec.explore(begin=("0.backward.c", 3))
    values = torch.cat([rec["0.backward.c"][:, 0, 3], torch.zeros(1)])  # 0 was before the end
    turn = int(values.diff().abs().argmax())
    assert widget.head["begin"] == {
        "layer": "0.backward",
        "value": "c",
        "unit": 3,
        "t": turn,
    }
    with pytest.raises(UnknownNameError):
        rec.explore(begin=("q", 0))
    with pytest.raises(ArgumentError, match="units 0 to 3, got 4"):
        rec.explore(begin=("0.backward.c", 4))


def test_a_closed_widget_keeps_nothing():
    widget = recorded("elman").explore()
    session = weakref.ref(widget.session)
    widget.close()
    del widget
    gc.collect()
    assert session() is None


def test_where_no_python_is_it_says_what_to_do():
    widget = recorded("elman").explore(TEXT, title="Elman")
    assert widget._repr_mimebundle_()[0]["text/plain"] == (
        "<Explorer 'Elman': run the cell, or write a page with to_html>"
    )


@pytest.mark.parametrize(
    "message",
    [
        {"question": "rm", "about": {}},
        {"question": "numbers", "about": {"run": 7, "block": 0}},
        {"question": "numbers", "about": {}},
        {"question": "explain", "about": 3},
        {"question": "step", "about": {"run": 0, "t": 0, "blocks": [99]}},
        {},
    ],
)
def test_wrong_questions_get_errors(message: dict):
    content, _ = recorded("elman").explore().comm.ask({"id": 1, **message})
    assert content["id"] == 1
    assert content["error"]


def test_whatever_fails_is_answered(monkeypatch: pytest.MonkeyPatch):
    widget = recorded("elman").explore()

    def failing(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(widget.session, "numbers", failing)
    content, _ = widget.comm.ask({"id": 1, "question": "numbers", "about": {"run": 0, "block": 0}})
    assert content == {"id": 1, "error": "RuntimeError: out of memory"}


def in_browser(test: Any) -> Any:
    return pytest.mark.slow(pytest.mark.xdist_group("browser")(test))


@in_browser
@pytest.mark.parametrize("name", NETS)
def test_in_a_notebook(name: str, notebook: Callable[..., Notebook]):
    rec = recorded(name)
    shown = notebook(rec)
    page = shown.page
    shown.show()
    shown.settle()
    layers = shown.head["sequences"][0]["layers"]
    layer = next(part for part in layers if part["cell"])
    assert page.text_content(".detail h2").startswith("step ")
    page.focus(".cello")
    page.keyboard.press("End")
    shown.until_step(len(TEXT) - 1)
    unit = int(page.input_value("[data-control=unit]"))
    expected = typeset(str(rec.explain(len(TEXT) - 1, unit, layer["name"]))).splitlines()
    shown.settle()
    titles = page.eval_on_selector_all(".arithmetic", "cells => cells.map(cell => cell.title)")
    assert titles == expected
    page.evaluate("leave()")
    assert page.evaluate("listening()") == 0


@in_browser
def test_the_net_runs_in_the_notebook(notebook: Callable[..., Notebook]):
    rec = recorded("own")
    shown = notebook(rec)
    page = shown.page
    shown.show()
    shown.settle()
    page.focus(".cello")
    page.keyboard.press("Home")
    shown.until_step(0)
    page.click(".whatif [data-key=swap]")  # which is there once the net has run as recorded
    page.wait_for_selector(".outcome")
    x = rec.call.x.clone()
    x[[0, 1]] = x[[1, 0]]
    with torch.no_grad():
        h = rec.call.net(x)[0][0, 0]
    told = page.locator(".outcome tbody tr").first.locator("td").last.inner_text()
    said = [float(number) for number in told.replace("−", "-").split(", ")]
    assert said == pytest.approx(h.tolist(), abs=1e-3)


@in_browser
def test_of_large_values_only_a_step_is_asked_for(
    notebook: Callable[..., Notebook],
):
    net = cello.Recurrent(cello.ElmanCell(3, 512))
    with torch.no_grad():
        rec = cello.record(net, torch.randn(2100, 1, 3))
    shown = notebook(rec, None)
    page = shown.page
    shown.show()
    shown.settle()
    page.focus(".cello")
    page.keyboard.press("End")
    shown.until_step(2099)
    unit = int(page.input_value("[data-control=unit]"))
    for name in ("z", "h", "h_prev"):
        number = page.get_attribute(f".detail [data-name={name}]", "data-number")
        assert float(number) == rec[name][2099, 0, unit].item()
    questions = page.evaluate("questions")
    assert questions.count("numbers") == 2  # of x, which is small, and of h, which is looked at
    assert questions.count("step") == 2


@in_browser
def test_keys_do_not_reach_the_notebook(notebook: Callable[..., Notebook]):
    shown = notebook(recorded("elman"))
    shown.show()
    shown.settle()
    page = shown.page
    page.focus(".cello")
    for key in ("x", "a", "c", "m", "ArrowDown", "Enter", "/", "d", "Escape", "?", "Escape"):
        page.keyboard.press(key)
    assert page.evaluate("keys") == []
    page.wait_for_selector("dialog", state="hidden")
    for key in ("ArrowRight", "Shift+Enter", "Control+s", "Escape"):
        page.keyboard.press(key)
    assert page.evaluate("keys") == ["Enter", "Control", "s", "Escape"]


@in_browser
def test_colours_are_those_of_the_notebook(notebook: Callable[..., Notebook]):
    shown = notebook(recorded("elman"))
    page = shown.page
    page.evaluate("document.body.style.background = 'oklch(0.2 0.01 90)'")
    page.evaluate("void show('', 300)")
    shown.until_theme("dark")
    page.evaluate("document.body.style.background = 'transparent'")
    shown.until_theme("light")
    page.click("[data-control=light-or-dark]")
    shown.until_theme("dark")
    page.evaluate("document.body.style.background = 'white'")
    page.wait_for_timeout(100)
    assert shown.theme() == "dark"  # as it was chosen


@in_browser
def test_two_views_of_a_widget(notebook: Callable[..., Notebook]):
    shown = notebook(recorded("stacked"))
    shown.show()
    shown.show()
    one, other = shown.page.locator(".within").all()
    for view in (one, other):
        view.locator(".arithmetic").first.wait_for()
    asked = shown.page.evaluate("asked")
    assert len(set(asked)) == len(asked) > 2  # for answers go to both
    one.locator(".shares button").first.click()
    one.locator('.chain [data-control="layer shares"]').wait_for()
    other.locator("[data-control=value]").select_option("o")
    other.locator(".caption", has_text="o[").first.wait_for()
    assert other.locator('.chain [data-control="layer shares"]').count() == 0


@in_browser
def test_a_kernel_that_is_slow_or_gone(notebook: Callable[..., Notebook]):
    shown = notebook(recorded("elman"))
    page = shown.page
    page.evaluate("held = []")
    shown.show()
    page.wait_for_selector("text=has not answered yet")
    page.evaluate("held.forEach(carry); held = null")
    shown.settle()
    assert page.locator(".extra").text_content() == ""
    page.evaluate("ended = true")
    page.focus(".cello")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=run the cell again")
    shown.until_step(1)  # whose numbers are here


@in_browser
def test_a_view_that_is_hidden_at_first(notebook: Callable[..., Notebook]):
    shown = notebook(recorded("elman"))
    page = shown.page
    shown.show("display: none")
    page.wait_for_selector(".arithmetic", state="attached")
    page.evaluate("moved.lastChild.style.display = ''")
    page.wait_for_selector(".text .line")
    assert page.locator(".text .line").count() == 2  # as the text has
    page.wait_for_function("document.querySelector('.scroller').scrollWidth <= innerWidth")
    assert page.locator(".map canvas").first.bounding_box()["width"] > 400


@in_browser
def test_a_narrow_view_in_a_wide_window(notebook: Callable[..., Notebook]):
    shown = notebook(recorded("elman"))
    page = shown.page
    shown.show("width: 700px")
    shown.settle()
    main, detail = (page.locator(f".cello {name}").bounding_box() for name in ("main", ".detail"))
    assert main["x"] == detail["x"]  # one column
    canvas = page.locator(".map canvas").first
    canvas.hover(position={"x": 200, "y": 30})
    box, tip = canvas.bounding_box(), page.locator(".tip").bounding_box()
    assert abs(tip["x"] - box["x"] - 200) < 30  # wherever the notebook's layout has put the view
    assert abs(tip["y"] - box["y"] - 30) < 40


def script(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")
