"""The manual's search where the manual is opened as files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.docs_checker import ROOT

PAGE = """<!doctype html><body><script src="worker.js"></script><script>
const worker = new Worker("answers.js"), sent = { words: ["a"] };
window.told = [];
worker.onmessage = ({ data }) => told.push(data);
worker.postMessage(sent);
sent.words.push("later");
worker.postMessage({ words: [] });
</script>"""
ANSWERS = """self.onmessage = ({ data }) => {
  self.postMessage(data);
  data.words.push("after");
};"""


def test_a_frame_does_what_a_worker_would(browser: Any, tmp_path: Path):
    shutil.copy(ROOT / "tools" / "manual" / "worker.js", tmp_path)
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "answers.js").write_text(ANSWERS)
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("told.length == 2")
    assert page.evaluate("told") == [{"words": ["a"]}, {"words": []}]
    page.evaluate("worker.terminate()")
    assert page.evaluate("document.querySelector('iframe')") is None
    page.close()
