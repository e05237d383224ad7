"""The widget: what it answers, and its front end in a browser; a notebook's part is played here."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.see.page.nets import NETS, TEXT, recorded

# What a notebook does: loads the module, and carries messages to the kernel and back.
NOTEBOOK = """<!DOCTYPE html><meta charset="utf-8"><style>STYLE</style><div id="cell"></div>
<script type="module">
const module = await import(URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" })));
const listeners = [];
const model = {
  get: () => (HEAD),
  on: (_, listener) => listeners.push(listener),
  send: async (message) => {
    const [content, buffer] = await window.kernel(JSON.stringify(message));
    const bytes = buffer === null ? [] : [new DataView(Uint8Array.from(atob(buffer),
      (letter) => letter.charCodeAt(0)).buffer)];
    listeners.forEach((listener) => listener(content, bytes));
  },
};
const el = document.getElementById("cell");
window.leave = module.default.render({ model, el });
</script>"""


def answers(widget: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict], tuple[dict, Any]]:
    """Asks the widget as a notebook does."""
    sent: list[tuple[dict, Any]] = []
    monkeypatch.setattr(
        widget, "send", lambda content, buffers=None: sent.append((content, buffers))
    )

    def ask(message: dict) -> tuple[dict, Any]:
        widget._asked(widget, message, [])
        return sent.pop()

    return ask


def test_questions_are_answered(monkeypatch: pytest.MonkeyPatch):
    rec = recorded("elman")
    widget = rec.explore(TEXT, title="Elman")
    ask = answers(widget, monkeypatch)
    assert widget.head["title"] == "Elman"
    content, (data,) = ask({"id": 3, "question": "numbers", "about": {"run": 0, "block": 0}})
    assert content == {"id": 3}
    assert data == rec["x"].numpy().tobytes()
    about = {"run": 0, "sequence": 0, "layer": "", "t": 1, "unit": 2}
    content, _ = ask({"id": 4, "question": "explain", "about": about})
    assert [line for _, line in content["answer"]["lines"]] == str(rec.explain(1, 2)).splitlines()


@pytest.mark.parametrize(
    "message",
    [
        {"question": "rm", "about": {}},
        {"question": "numbers", "about": {"run": 7, "block": 0}},
        {"question": "numbers", "about": {}},
        {},
    ],
)
def test_wrong_questions_get_errors(message: dict, monkeypatch: pytest.MonkeyPatch):
    ask = answers(recorded("elman").explore(), monkeypatch)
    content, _ = ask({"id": 1, **message})
    assert content["id"] == 1
    assert content["error"]


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("name", NETS)
def test_in_a_notebook(name: str, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rec = recorded(name)
    widget = rec.explore(TEXT)
    ask = answers(widget, monkeypatch)

    def kernel(message: str) -> list[Any]:
        content, buffers = ask(json.loads(message))
        return [content, base64.b64encode(buffers[0]).decode() if buffers else None]

    path = tmp_path / "notebook.html"
    parts = {"STYLE": widget._css, "SOURCE": script(widget._esm), "HEAD": script(widget.head)}
    text = NOTEBOOK
    for place, part in parts.items():
        text = text.replace(place, part)
    path.write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.expose_function("kernel", kernel)
    page.goto(path.as_uri())
    page.wait_for_selector(".arithmetic", timeout=15_000)
    layer = next(part for part in widget.head["sequences"][0]["layers"] if part["cell"])
    assert page.text_content(".detail h2").startswith("step 0")
    page.focus(".cello")
    page.keyboard.press("End")
    page.wait_for_function(
        f"document.querySelector('.detail h2').textContent.startsWith('step {len(TEXT) - 1}')"
    )
    unit = int(page.input_value("[data-control=unit]"))
    expected = str(rec.explain(len(TEXT) - 1, unit, layer["name"])).splitlines()
    page.wait_for_selector(".arithmetic", timeout=15_000)
    titles = page.eval_on_selector_all(".arithmetic", "cells => cells.map(cell => cell.title)")
    assert titles == expected
    page.evaluate("window.leave()")
    page.close()
    assert errors == []


def script(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")
