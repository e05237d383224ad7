"""The side-by-side harness: no speed for a wrong result, and honest arithmetic."""

from __future__ import annotations

import gc
import time

import numpy as np
import pytest
import torch

from benchmarks import harness
from benchmarks.case import Case, Measured
from benchmarks.harness import Effort, Unequal

BRIEF = Effort(rounds=3, sample_seconds=0.0, warmup_seconds=0.0, settle_seconds=0.0)


def case_of(ours: object, theirs: object, **options: object) -> Case:
    return Case("case", lambda: ours, lambda: theirs, **options)


# ------------------------------------------------------------ equality


def test_the_largest_difference_is_found_anywhere():
    ours = {"y": torch.zeros(3), "states": (torch.ones(2), [torch.tensor([1.0, 2.0])])}
    theirs = {"y": torch.zeros(3), "states": (torch.ones(2), [torch.tensor([1.0, 2.25])])}
    assert harness.largest_difference(case_of(ours, theirs, atol=0.25)) == 0.25


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (torch.zeros(2), torch.tensor([0.0, 0.1]), r"case \{'B': 2\}: result differs"),
        ((torch.zeros(2), 1.0), (torch.zeros(2), 2.0), r"result\[1\] differs"),
        ({"h": torch.zeros(2)}, {"h": torch.zeros(3)}, r"result\['h'\] differs"),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64), "dtype"),
        (torch.tensor([torch.nan]), torch.tensor([torch.nan]), "result differs"),
        ((torch.zeros(2),), (torch.zeros(2),) * 2, "ours has 1 values, theirs 2"),
        ({"h": 1.0}, {"c": 1.0}, "ours has 1 values, theirs 1"),
        ("2.13", "2.12", "'2.13' and '2.12'"),
        (torch.zeros(2), "2.12", "differs"),
    ],
)
def test_what_differs_raises(ours: object, theirs: object, message: str):
    with pytest.raises(Unequal, match=message):
        harness.largest_difference(case_of(ours, theirs, sizes={"B": 2}))


def test_arrays_are_compared_as_tensors():
    ours, theirs = torch.tensor([1.0, 2.0]), np.array([1.0, 2.5], np.float32)
    assert harness.largest_difference(case_of([ours], (theirs,), atol=0.5)) == 0.5
    with pytest.raises(Unequal, match=r"result\[0\] differs"):
        harness.largest_difference(case_of([ours], [theirs], atol=0.4))


def test_of_what_is_returned_a_part_may_be_compared():
    both = (lambda result: result["y"], lambda result: result[0])
    ours, theirs = {"y": torch.ones(2), "more": 1}, (torch.ones(2),)
    assert harness.largest_difference(case_of(ours, theirs, compared=both)) == 0
    with pytest.raises(Unequal, match="differs"):
        harness.largest_difference(case_of(ours, (torch.zeros(2),), compared=both))


def test_nothing_is_timed_when_results_differ():
    calls = []

    def ours() -> torch.Tensor:
        calls.append("ours")
        return torch.zeros(1)

    with pytest.raises(Unequal):
        harness.measure(Case("case", ours, lambda: torch.ones(1)), BRIEF)
    assert calls == ["ours"]


# ------------------------------------------------------------ time


class Clock:
    """A clock that only moves when somebody takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def take(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(time, "sleep", clock.take)
    return clock


def test_the_two_sides_take_turns():
    calls = []
    case = Case("case", lambda: calls.append("A"), lambda: calls.append("B"))
    harness.measure(case, BRIEF)
    assert "".join(calls).endswith("ABABAB")


def test_a_slower_side_is_seen(clock: Clock):
    case = Case("case", lambda: clock.take(0.001), lambda: clock.take(0.01))
    result = harness.measure(case, BRIEF)
    assert result.ours == pytest.approx(1)
    assert result.theirs == pytest.approx(10)
    assert result.ratio == pytest.approx(10)
    assert result.extra == pytest.approx(-9)


def test_garbage_is_not_collected_while_timing():
    seen = []
    case = Case("case", lambda: seen.append(gc.isenabled()), lambda: None)
    harness.measure(case, BRIEF)
    assert seen[-BRIEF.rounds :] == [False] * BRIEF.rounds
    assert gc.isenabled()


def test_short_calls_are_repeated(clock: Clock):
    calls = []

    def ours() -> None:
        calls.append(1)
        clock.take(0.0001)

    effort = Effort(rounds=1, sample_seconds=0.01, warmup_seconds=0.001, settle_seconds=0.0)
    harness.measure(Case("case", ours, lambda: clock.take(0.01)), effort)
    assert 100 < len(calls) < 130


def test_each_sample_begins_with_a_rest(monkeypatch: pytest.MonkeyPatch):
    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)
    effort = Effort(rounds=2, sample_seconds=0.0, warmup_seconds=0.0, settle_seconds=0.5)
    harness.measure(case_of(None, None), effort)
    assert rests == [0.5] * 4


def test_a_slow_case_ends_early_but_not_too_early(clock: Clock):
    slow = Case("slow", lambda: clock.take(0.002), lambda: clock.take(0.001))
    effort = {"sample_seconds": 0.0, "warmup_seconds": 0.0, "settle_seconds": 0.0}
    few = Effort(rounds=50, enough_seconds=0.0, least_rounds=4, **effort)
    assert harness.measure(slow, few).rounds == 4
    many = Effort(rounds=6, enough_seconds=60.0, least_rounds=1, **effort)
    assert harness.measure(slow, many).rounds == 6


def test_a_function_may_measure_itself():
    case = Case(
        "case", lambda: Measured(0.5, "2.13"), lambda: Measured(0.25, "2.13"), most_extra=249
    )
    result = harness.measure(case, BRIEF)
    assert (result.ours, result.theirs, result.ratio, result.extra) == (500, 250, 0.5, 250)
    assert (result.rounds, result.reached) == (3, False)


def test_one_side_alone_may_measure_itself(clock: Clock):
    case = Case("case", lambda: clock.take(0.001), lambda: Measured(1.0, None))
    result = harness.measure(case, BRIEF)
    assert result.ours == pytest.approx(1)
    assert result.theirs == 1000


def test_a_case_of_one_round_runs_once():
    calls = []

    def ours() -> Measured:
        calls.append("ours")
        return Measured(3e-8, torch.ones(1))

    case = Case("case", ours, lambda: Measured(1e-8, torch.ones(1)), rounds=1, most_times=3)
    result = harness.measure(case, BRIEF)
    assert calls == ["ours"]
    assert result.rounds == 1
    assert result.reached is True
