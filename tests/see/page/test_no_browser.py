"""Where there is no browser, the tests that need one are left out in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.patience import LIMIT

HERE = Path(__file__).parent


def test_one_line_says_what_is_left_out_and_how_to_get_a_browser(tmp_path: Path):
    environment = os.environ | {"PATH": str(tmp_path), "CELLO_CHROMIUM": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "readable"]
    done = subprocess.run(
        [*command, str(HERE / "test_drawn_text.py")],
        cwd=HERE.parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert "no Chromium, so 2 tests of pages and drawings are left out: install one" in line
    assert "1 skipped" in done.stdout.splitlines()[-1]
    assert "passed" not in done.stdout
