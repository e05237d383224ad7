"""What the loops take of a card, found out without one: next to nothing spilled, tensor cores."""

from __future__ import annotations

import pytest

from benchmarks.bench_zoo import cells
from benchmarks.gpu_resources import apart, fault
from tests.effort import FULL

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", ["80", "90"] if FULL else ["90"])
@pytest.mark.parametrize("name", cells() if FULL else ["LSTMCell"])
def test_a_card_has_what_the_loops_take(name: str, target: str) -> None:
    """With lengths, resets and known outputs, each in the way that such a card would run."""
    sizes = (32, 64) if FULL else (32,)
    rows = apart(name, sizes, target)
    assert {row["size"] for row in rows} == set(sizes), rows
    assert [(row, fault(row)) for row in rows if fault(row) is not None] == []
    loops = [row for row in rows if row.get("function") == "loop"]
    assert FULL or len(loops) == 2
    assert all(row["products"] > 0 for row in loops if row["multiplies"])
