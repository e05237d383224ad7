"""How large the explorer's page of a large recording is, how soon it opens, how smoothly it moves.

``python tools/explorer_frames.py`` records 20,000 steps of an LSTM of 256 units, writes 8 of its
values as a page, and opens it in a headless Chromium. Frames are counted while it is scrolled,
hovered over, stepped through and zoomed, one change a frame; the screen shows 60 a second, so that
16.7 ms is the best there is.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

import cello

STEPS, UNITS, VALUES = 20_000, 256, ["i", "f", "g", "o", "c", "h", "z_i", "z_f"]
TEXT = ("def f(x):\n    return 'twice ' + x  # why not\n" * STEPS)[:STEPS]

#: What is done at each frame; `e` is the explorer, `i` the number of the frame.
MOVES = {
    "scroll time": "e.scene.scroller.scrollLeft += 97",
    "scroll text": "e.scene.texts[0].element.scrollTop += 60",
    "hover": "e.scene.stacks[0].dispatchEvent(new PointerEvent('pointermove', "
    "{clientX: 50 + 3 * i, clientY: 500 + i % 250}))",
    "step": "e.move(1)",
    "zoom": "e.zoom(i % 2 ? 1.1 : 1 / 1.1)",
    "unit": "e.unit(i)",
}
FRAMES = """async () => {
    const e = window.explorer, times = [];
    let last = await new Promise(requestAnimationFrame);
    for (let i = 0; i < 200; i++) {
        MOVE;
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
    }
    return times.sort((a, b) => a - b);
}"""


def write(path):
    """Write the page; its size over that of its numbers in half precision."""
    torch.manual_seed(0)
    net = cello.Recurrent(cello.LSTMCell(64, UNITS))
    with torch.no_grad():
        recording = cello.record(net, 2 * torch.randn(STEPS, 1, 64), only=VALUES)
    recording.to_html(path, TEXT, title="large")
    return path.stat().st_size / (STEPS * UNITS * len(VALUES) * 2)


def measure(page, path):
    """Open the page and move about in it."""
    begin = time.perf_counter()
    page.goto(path.as_uri(), wait_until="commit")
    ready = "Boolean(window.explorer?.state.shown && !explorer.state.changed.size)"
    while not page.evaluate(ready):
        time.sleep(0.01)
    print(f"opened after {time.perf_counter() - begin:.2f} s")
    while page.evaluate("document.readyState") != "complete":
        time.sleep(0.01)
    print(f"all of it read after {time.perf_counter() - begin:.2f} s")
    for zoom in ("all steps in sight", "12 pixels a step"):
        for move, code in MOVES.items():
            times = page.evaluate(FRAMES.replace("MOVE", code))
            half, most = times[len(times) // 2], times[int(len(times) * 0.95)]
            print(f"{zoom}, {move}: median {half:.1f} ms, 95th percentile {most:.1f} ms")
        page.evaluate("explorer.go(0), explorer.scene.zoom(12 / explorer.state.zoom, 0)")


def main():
    """Write, open, print."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("error: no Chromium here: install Debian's package chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "page.html"
        print(f"the file is {write(path):.2f} times its numbers in half precision")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        measure(browser.new_page(viewport={"width": 1280, "height": 900}), path)
        browser.close()


if __name__ == "__main__":
    main()
