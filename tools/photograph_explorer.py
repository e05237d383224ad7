"""Make docs/images/explorer.png anew: the page that docs/seeing.md writes, in a headless Chromium.

It is no part of `make pictures`, for it looks as the fonts of a machine do.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests import docs_checker  # noqa: E402

SIZE = {"width": 1240, "height": 960}


def photograph(page, path):
    """Look for the unit that knows where quotations are, and go into one of them."""
    page.goto(path.as_uri())
    page.fill("input[type=search]", '"[^"]*"')
    page.click(".rank")
    page.wait_for_selector(".found button")
    page.click('.token[data-t="4"]')
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # until all is drawn
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def main():
    """Run the document, open its page, keep the picture."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("error: no Chromium here: install Debian's package chromium")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        docs_checker.check(ROOT / "docs" / "seeing.md")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, locale="en-GB", color_scheme="light")
            picture = photograph(page, Path("quotation.html").resolve())
            browser.close()
        picture.save(ROOT / "docs" / "images" / "explorer.png", optimize=True)


if __name__ == "__main__":
    main()
