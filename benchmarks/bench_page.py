"""The explorer's page in a headless Chromium: how soon it opens, answers a change, and draws.

The page of an LSTM of 100 units over 500 steps runs the net itself; that of 20,000 steps of 256
units carries 8 of its values. Beside each stands the same of an empty page. Frames and answers are
the 95th percentile; the screen shows 60 frames a second, so that 16.7 ms is the best there is.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import cello
from benchmarks.case import MIB, Case, Measured, Skipped

#: How long a page may take to open, to answer a change, and how much longer than 16.7 a frame, in
#: milliseconds; and how much larger than its numbers a file may be.
SMALL_OPENS, LARGE_OPENS, ANSWERS, FRAME, TIMES = 1000.0, 2000.0, 100.0, 1.0, 1.3
ROUNDS = 5
VALUES = ("i", "f", "g", "o", "c", "h", "z_i", "z_f")
TEXT = "def f(x):\n    return 'twice ' + x  # why not\n"

READY = """async () => {
    while (!(window.explorer?.state.shown && !explorer.loading && !explorer.state.changed.size)) {
        await new Promise((next) => setTimeout(next, 2));
    }
    await new Promise(requestAnimationFrame);
}"""

#: One number of the input after the other, until what it changes has been drawn.
CHANGES = """async () => {
    while (!window.whatif.before?.equal) await new Promise((next) => setTimeout(next, 5));
    const times = [], steps = whatif.input.length / whatif.size;
    for (let i = 0; i < 40; i++) {
        const begin = performance.now();
        await whatif.setInput((i * 37) % steps, 0, Math.sin(i));
        await new Promise(requestAnimationFrame);
        await new Promise((next) => setTimeout(next));
        times.push(performance.now() - begin);
    }
    return times.sort((a, b) => a - b)[Math.floor(0.95 * times.length)] / 1000;
}"""

#: What is done at each frame; `e` is the explorer, `i` the number of the frame.
MOVES = (
    "e.scene.scroller.scrollLeft += 97",
    "e.scene.texts[0].element.scrollTop += 60",
    "e.move(1)",
    "e.zoom(i % 2 ? 1.1 : 1 / 1.1)",
    "e.unit(i)",
)
FRAMES = """async () => {
    const e = window.explorer, times = [];
    let last = await new Promise(requestAnimationFrame);
    for (let i = 0; i < 60; i++) {
        MOVE;
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
    }
    return times.sort((a, b) => a - b)[Math.floor(0.95 * times.length)] / 1000;
}"""


def chromium() -> str | None:
    """One that is here: named in $CELLO_CHROMIUM, or installed."""
    names = ("chromium-headless-shell", "chromium", "chrome")
    return os.environ.get("CELLO_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@cache
def browser() -> Any:
    """It is started once, and ends with the process."""
    from playwright.sync_api import sync_playwright

    driver = sync_playwright().start()
    atexit.register(driver.stop)
    started = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
    atexit.register(started.close)
    return started


@cache
def folder() -> Path:
    """A place for pages, as long as the process runs."""
    made = tempfile.TemporaryDirectory()
    atexit.register(made.cleanup)
    return Path(made.name)


@cache
def small() -> Path:
    """The page of a net that it runs itself."""
    torch.manual_seed(0)
    net = cello.Stack(cello.LSTM(2, 100), nn.Linear(100, 3))
    with torch.no_grad():
        recording = cello.record(net, torch.randn(500, 1, 2))
    return recording.to_html(folder() / "small.html", title="small", precision="float16")


@cache
def large() -> Path:
    """The page of many numbers."""
    torch.manual_seed(0)
    net = cello.Recurrent(cello.LSTMCell(64, 256))
    with torch.no_grad():
        recording = cello.record(net, 2 * torch.randn(20_000, 1, 64), only=VALUES)
    text = (TEXT * 20_000)[:20_000]
    return recording.to_html(folder() / "large.html", text, title="large")


@cache
def empty() -> Path:
    """A page with nothing on it."""
    path = folder() / "empty.html"
    path.write_text("<!DOCTYPE html><title>empty</title>", encoding="utf-8")
    return path


def open_page(page: Any, path: Path) -> float:
    """Seconds until it can be used."""
    begin = time.perf_counter()
    page.goto(path.as_uri(), wait_until="commit")
    if path != empty():
        page.evaluate(READY)
    return time.perf_counter() - begin


def on_page(path: Callable[[], Path], *scripts: str) -> Measured:
    """The longest that a script says; without one, how long the page takes to open."""
    page = browser().new_page(viewport={"width": 1280, "height": 900})
    try:
        seconds = open_page(page, path())
        return Measured(max(map(page.evaluate, scripts), default=seconds), "done")
    finally:
        page.close()


def size(path: Callable[[], Path]) -> Measured:
    return Measured(path().stat().st_size, "bytes")


def numbers(count: int) -> Measured:
    """So many in half precision."""
    return Measured(2 * count, "bytes")


def cases() -> Iterator[Case | Skipped]:
    """What a page costs beside an empty one, and its file beside its numbers."""
    if chromium() is None:
        yield Skipped("the explorer's page", "there is no Chromium: install one, such as Debian's")
        return
    moves = [FRAMES.replace("MOVE", move) for move in MOVES]
    for name, path, most in (
        ("500 × 100", small, SMALL_OPENS),
        ("20,000 × 256", large, LARGE_OPENS),
    ):
        yield Case(
            f"a page of {name} opens | an empty page",
            ours=partial(on_page, path),
            theirs=partial(on_page, empty),
            rounds=ROUNDS,
            most_extra=most,
            quick=path is small,
        )
    yield Case(
        "a change is answered | a frame of an empty page",
        ours=partial(on_page, small, CHANGES),
        theirs=partial(on_page, empty, FRAMES.replace("MOVE", "")),
        rounds=ROUNDS,
        most_extra=ANSWERS,
    )
    yield Case(
        "frames while one moves about | frames of an empty page",
        ours=partial(on_page, large, *moves),
        theirs=partial(on_page, empty, FRAMES.replace("MOVE", "")),
        rounds=ROUNDS,
        most_extra=FRAME,
        quick=False,
    )
    yield Case(
        "a file | its numbers in half precision",
        ours=partial(size, large),
        theirs=partial(numbers, 20_000 * 256 * len(VALUES)),
        unit=MIB,
        rounds=1,
        most_times=TIMES,
        quick=False,
    )
