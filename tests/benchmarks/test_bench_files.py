"""The bench_*.py files: their cases can be made, and compute the same thing on both sides."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from benchmarks import bench_gpu, bench_memory, bench_page, bench_peers, bench_zoo
from benchmarks.case import Case, Skipped
from benchmarks.harness import largest_difference
from benchmarks.run import bench_modules
from cello import zoo

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = bench_modules()
PEERS = ("jax", "onnx", "onnxruntime")
PROCESSES = ("bench_import", "bench_compile", "bench_memory", "bench_page")
MANY_NUMBERS = ("bench_accuracy", "bench_peak", "bench_recording")  # also in the smallest case


@cache
def cases_of(module: ModuleType) -> list[Case | Skipped]:
    """Made once, for some call what they are to measure."""
    return list(module.cases())


def smallest(module: ModuleType) -> list[Case]:
    """The smallest case of each name, of those for a quick look."""
    by_name: dict[str, Case] = {}
    for case in sorted((c for c in cases_of(module) if isinstance(c, Case)), key=work):
        if case.quick:
            by_name.setdefault(case.name, case)
    return [*by_name.values()]


def work(case: Case) -> float:
    """How long a case may take, more or less."""
    B, T, H = (int(case.sizes.get(axis, 1)) for axis in "BTH")
    return math.prod((B, T, H, H))


def each(modules: Sequence[ModuleType]) -> list[Any]:
    """Parameters of tests; what is asked of one module is asked in one process."""
    return [
        pytest.param(
            module,
            id=(name := module.__name__.rpartition(".")[2]),
            marks=[
                pytest.mark.xdist_group(name),
                *(pytest.mark.slow,) * (name in PROCESSES),
                *(pytest.mark.optimised,) * (name in MANY_NUMBERS),
            ],
        )
        for module in modules
    ]


@pytest.mark.parametrize("module", each(MODULES))
def test_cases_can_be_made(module: ModuleType):
    every = cases_of(module)
    cases = [case for case in every if isinstance(case, Case)]
    peers_missing = len(cases) < len(every)  # they may be those of a quick look
    assert peers_missing or any(case.quick for case in cases)
    for case in cases:
        aims = (case.least_ratio, case.most_times, case.most_extra)
        assert sum(aim is not None for aim in aims) <= 1, case.name
        assert callable(case.atol) or min(case.rtol, case.atol) >= 0
    # What a table shows in one line each must be told apart there.
    assert len({(case.name, tuple(case.sizes.values())) for case in cases}) == len(cases)


# Those of peers need packages; they and the browser need a process of their own.
ALONE = (bench_page, bench_peers)


@pytest.mark.parametrize("module", each([one for one in MODULES if one not in ALONE]))
def test_both_sides_compute_the_same(module: ModuleType):
    for case in smallest(module):
        assert largest_difference(case) < 1, case.name


@pytest.mark.xdist_group("bench_zoo")
def test_every_cell_of_the_zoo_is_measured():
    measured = {case.name for case in cases_of(bench_zoo)}
    assert set(zoo.__all__) <= measured
    assert {"ElmanCell", "JordanCell", "LSTMCell", "GRUCell"} <= measured


@pytest.mark.slow
def test_memory_of_a_step_is_seen():
    amount, losses = next(iter(bench_memory.cases())).theirs()
    # Outputs are 400 kB; the gates that are kept, and their gradients, four times that each.
    assert 3e6 < amount < 100e6
    assert losses[1] < losses[0]


@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
@pytest.mark.skipif(sys.platform != "linux", reason="Triton is there for Linux")
def test_loops_for_a_gpu_compute_the_same_on_the_interpreter():
    cases = [*bench_gpu.cases_on(torch.device("cpu"), (2, 3, 4), "none")]
    assert len(cases) == 3 * len(bench_gpu.CUDNN)
    for case in cases:
        assert largest_difference(case) < 1e-3, case.name


# ------------------------------------------------------------ peers


def test_a_peer_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_peers, "find_spec", lambda name: None)
    cases = [*bench_peers.cases()]
    skipped = [case for case in cases if isinstance(case, Skipped)]
    names = ["JAX lax.scan", "one LSTM step in ONNX Runtime", "exported C"]
    assert [case.name for case in skipped] == names
    assert skipped[0].reason == 'jax is not installed; pip install "cello[bench]"'
    assert skipped[1].reason.startswith("onnx and onnxruntime are not installed")
    assert any(isinstance(case, Case) for case in cases)


def printed(code: str) -> list[str]:
    """The lines that Python code prints in a process of its own, which must end well."""
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.splitlines()


@pytest.mark.slow
def test_peers_that_are_installed_compute_the_same():
    # In a process of its own: JAX starts threads, and warns of every fork from then on.
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from benchmarks import bench_peers, case, harness\n"
        "for one in bench_peers.cases():\n"
        "    if isinstance(one, case.Skipped): print('skipped', one.reason)\n"
        "    elif one.quick and one.sizes['H'] == 32:\n"
        "        print('equal', one.name, harness.largest_difference(one) < 1e-5)\n"
    )
    lines = printed(code)
    there = {name: importlib.util.find_spec(name) is not None for name in PEERS}
    equal = [line for line in lines if line.startswith("equal")]
    onnx = there["onnx"] and there["onnxruntime"]
    expected = 4 * there["jax"] + 5 * onnx
    assert [line.endswith(" True") for line in equal] == [True] * expected
    assert len(lines) - len(equal) == 3 - there["jax"] - 2 * onnx


@pytest.mark.slow
@pytest.mark.skipif(bench_page.chromium() is None, reason="there is no Chromium")
def test_pages_are_measured():
    # In a process of its own: of Playwright there is one in each.
    code = (
        "from benchmarks import bench_page, harness\n"
        "for one in bench_page.cases():\n"
        "    if one.quick: print(harness.largest_difference(one) < 1)\n"
    )
    assert {*printed(code)} == {"True"}
