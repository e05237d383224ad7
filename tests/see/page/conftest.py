"""A headless Chromium, and what every page must hold to: no errors, nothing loaded from a network.

Screenshots are kept in `.pytest_cache/screenshots`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.patience import LIMIT
from tests.see.page.nets import TEXT, recorded

#: The one without windows takes a fifth of the time for a page.
KINDS = ("chromium-headless-shell", "chromium", "chrome")
CHROMIUM = os.environ.get("CELLO_CHROMIUM") or next(filter(None, map(shutil.which, KINDS)), None)
SCREENSHOTS = Path(__file__).parents[3] / ".pytest_cache" / "screenshots"


@pytest.hookimpl(trylast=True)  # of those that -k and -m have left
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where there is no browser, one test says so for all."""
    without = [item for item in items if "browser" in getattr(item, "fixturenames", ())]
    if CHROMIUM is None and without:
        first, *rest = without
        reason = (
            f"no Chromium, so {len(without)} tests of pages and drawings are left out: install "
            "one (on Debian, the package chromium-headless-shell), or name it in $CELLO_CHROMIUM"
        )
        first.add_marker(pytest.mark.skip(reason))
        config.hook.pytest_deselected(items=rest)
        items[:] = [item for item in items if item not in set(rest)]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Inside a container, and as root, Chromium's sandbox cannot be set up.
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=1000 * LIMIT
        )
        for name in ("new_context", "new_page"):
            setattr(chromium, name, patient(getattr(chromium, name)))
        yield chromium
        chromium.close()


def patient(make: Callable[..., Any]) -> Callable[..., Any]:
    """Makes pages that wait as long as it takes."""

    def made(**options: Any) -> Any:
        page = make(**options)
        page.set_default_timeout(1000 * LIMIT)
        return page

    return made


@cache
def axe() -> str:
    """What looks for barriers: axe-core, https://github.com/dequelabs/axe-core."""
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


# A canvas to read pixels from.
PICTURE = """(canvas) => {
    const size = [canvas.width, canvas.height];
    const copy = new OffscreenCanvas(...size).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    return copy;
}"""


class Watched:
    """A page of the explorer, and what went wrong on it."""

    def __init__(self, page: Any, name: str) -> None:
        self.page, self.name = page, name
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, where: Path | str, settled: bool = True) -> Watched:
        self.page.goto(where.as_uri() if isinstance(where, Path) else where)
        if settled:
            self.settle()
        return self

    def settle(self) -> None:
        """Wait until what is asked for has been loaded and drawn."""
        self.until(
            "window.explorer?.state.shown && !explorer.loading && !explorer.state.changed.size"
        )
        self.until("explorer.detail.drawn === explorer.detail.wanted")

    def until(self, condition: str) -> None:
        """Wait for something; the page's policy does not let Playwright do it."""
        self.page.evaluate(f"""async () => {{
            for (let tries = 0; !({condition}); tries++) {{
                if (tries > {100 * LIMIT}) throw new Error("waited in vain");
                await new Promise((next) => setTimeout(next, 10));
            }}
        }}""")

    def call(self, code: str) -> Any:
        """Evaluate `code`, and let it settle.

        In it `e` is the explorer, `s` its state, and `picture` makes a canvas readable.
        """
        names = f"e = window.explorer, s = e.state, picture = {PICTURE}"
        result = self.page.evaluate(f"async () => {{ const {names}; {code} }}")
        self.settle()
        return result

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def begin_anew(self) -> None:
        """The explorer as it was when the page was opened."""
        self.page.evaluate("""() => {
            const old = window.explorer, { book } = old.state;
            const numbers = (block) => book.loaded.get(block) ?? book.source.numbers(block);
            const root = document.createElement("div");
            old.close();
            old.root.replaceWith(root);
            window.explorer = new old.constructor(root, book.head, { numbers });
        }""")
        self.settle()

    def unfold(self, summary: Any) -> None:
        """Open what is folded up; the page makes what stands in it a little later."""
        summary.click()
        summary.locator("xpath=following-sibling::*").first.wait_for()

    def state(self, name: str) -> Any:
        return self.page.evaluate(f"window.explorer.state.{name}")

    def numbers(self) -> dict[str, float]:
        """What the table of the step says of the unit, with all digits."""
        rows = "rows => rows.map(row => [row.dataset.name, row.dataset.number])"
        found = self.page.eval_on_selector_all(".detail tr[data-number]", rows)
        return {name: float(number.replace("Infinity", "inf")) for name, number in found}

    def barriers(self) -> list[str]:
        """What keeps somebody out of the page as it is now, by all rules of axe-core."""
        self.page.evaluate(axe())
        return self.page.evaluate("""async () => {
            const { violations } = await axe.run({ resultTypes: ["violations"] });
            return violations.flatMap(({ id, nodes }) =>
                nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`));
        }""")

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def shot(self, what: str = "") -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", f"{self.name} {what}").strip("-")
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture(scope="session")
def kept() -> Iterator[dict[str, tuple[Any, Watched]]]:
    """One recording and one page of each net, for the tests that need no page of their own."""
    pages: dict[str, tuple[Any, Watched]] = {}
    yield pages
    for _, page in pages.values():
        page.page.context.close()


@pytest.fixture
def shown(
    browser: Any,
    kept: dict[str, tuple[Any, Watched]],
    name: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Any, Watched]]:
    """The recording of the net `name`, and its page as it begins."""
    if name not in kept:
        torch.manual_seed(0)
        rec = recorded(name)
        path = rec.to_html(tmp_path_factory.mktemp("pages") / "page.html", TEXT, title=name)
        page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        kept[name] = rec, Watched(page, "").open(path)
    rec, watched = kept[name]
    watched.name = request.node.name.removeprefix("test_")
    watched.begin_anew()
    yield rec, watched
    assert watched.errors == []


@pytest.fixture
def watched(browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Watched]]:
    """Opens pages; at the end, none of them may have said or loaded anything it should not."""
    pages: list[Watched] = []

    def open_page(where: Path | str, settled: bool = True, **options: Any) -> Watched:
        options = {"viewport": {"width": 1280, "height": 860}, "locale": "en-GB", **options}
        context = browser.new_context(**options)
        name = request.node.name.removeprefix("test_")
        pages.append(Watched(context.new_page(), name))
        return pages[-1].open(where, settled)

    yield open_page
    for watched in pages:
        watched.page.context.close()
        assert watched.errors == []
        here = ("file:", "blob:", "data:", "http://127.0.0.1:")
        assert [url for url in watched.requests if not url.startswith(here)] == []
