"""Running commands: in this process, or in one of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cello.cli import cli

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}


def run(*words: object, stdin: str | bytes | None = None, code: int = 0, **env: str) -> Result:
    """Run `cello WORDS`, which must exit with `code`, and when that is not 0 with one line."""
    result = CliRunner().invoke(cli, [str(word) for word in words], input=stdin, env=env)
    assert result.exit_code == code, result.output
    if code:
        (line,) = result.stderr.splitlines()
        assert line.startswith("cello: error: ")
    return result


def run_json(*words: object, **options: Any) -> Any:
    """What `cello WORDS --json` prints."""
    return json.loads(run(*words, "--json", **options).stdout)


def process(
    *words: object, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `python -m cello WORDS` as a process, with `env` beside the usual environment."""
    return subprocess.run(
        [sys.executable, "-m", "cello", *map(str, words)],
        env={**ENVIRONMENT, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
