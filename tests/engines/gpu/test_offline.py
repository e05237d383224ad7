"""What the loops take of a card, found out without one: nothing spilled, tensor cores used."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
CELLS = ["ElmanCell", "GRUCell", "LSTMCell"] if FULL else ["LSTMCell"]
CARDS = (80, 90) if FULL else (90,)
SIZES = (16, 32, 64) if FULL else (32,)

SCRIPT = """
import json, sys
import torch, cello
from cello.engines.gpu.engine import gpu_plan
from cello.engines.gpu.offline import compile_offline
from cello.program import program_of

found = []
for name, size, card in json.loads(sys.argv[1]):
    cell = getattr(cello, name)(size, size)
    plan = gpu_plan(program_of(cell, torch.float32, torch.device("cpu")), cell.feedback)
    needed = frozenset(value.name for value in plan.shared)
    for loop in (
        plan.forward(save=True), plan.backward(names=(), seen=(), x=True, needed=needed)
    ):
        for function, taken in compile_offline(loop.library.whole, card).items():
            found.append([name, size, card, loop.kernel.name, function, *taken])
print(json.dumps(found))
"""


def test_nothing_is_spilled() -> None:
    wanted = [(name, size, card) for name in CELLS for size in SIZES for card in CARDS]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(wanted)],
        env={**os.environ, "TRITON_INTERPRET": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {(name, size, card) for name, size, card, *_ in found} == set(wanted)
    for *what, registers, spilled, shared, products in found:
        assert registers <= 255, what
        assert spilled == 0, what
        assert shared <= 227 * 1024, what
        if what[4] == "loop":
            assert products > 0, what
