"""Measurements that need a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from benchmarks.case import Measured

__all__ = ["in_fresh_process", "timed_in_fresh_process"]

ROOT = Path(__file__).resolve().parent.parent


def in_fresh_process(
    module: str, function: str, *arguments: object, env: Mapping[str, str] | None = None
) -> Callable[[], Measured]:
    """A function that calls `module.function(*arguments)` in a new process.

    Args:
        module: where the function is, e.g. "benchmarks.bench_memory".
        function: its name; it returns the amount, and a value to compare, which JSON can hold.
        arguments: what it takes: numbers and strings.
        env: environment variables to add.
    """
    code = (
        f"import json, torch\ntorch.set_num_threads({torch.get_num_threads()})\n"
        f"from {module} import {function}\nprint(json.dumps({function}{arguments!r}))"
    )
    return lambda: _run(code, env or {})


def timed_in_fresh_process(before: str, timed: str, value: str) -> Callable[[], Measured]:
    """A function that runs two statements in a new process and times the second one.

    Args:
        before: what runs first.
        timed: what is timed, in seconds.
        value: an expression for the value to compare.
    """
    code = (
        f"import time\n{before}\nbegin = time.perf_counter()\n{timed}\n"
        f"seconds = time.perf_counter() - begin\nimport json\nprint(json.dumps([seconds, {value}]))"
    )
    return lambda: _run(code, {})


def _run(code: str, env: Mapping[str, str]) -> Measured:
    path = os.pathsep.join(
        [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **env},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    amount, value = json.loads(done.stdout.splitlines()[-1])
    return Measured(float(amount), value)
