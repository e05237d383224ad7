"""The side-by-side harness: no speed for a wrong result, and honest arithmetic."""

from __future__ import annotations

import gc
import json
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks import harness
from benchmarks.harness import Case, Effort, Timed, Unequal
from benchmarks.run import bench_modules, main

BRIEF = Effort(rounds=3, sample_seconds=0.0, warmup_seconds=0.0)


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


def test_nothing_is_timed_when_results_differ():
    calls = []

    def ours() -> torch.Tensor:
        calls.append("ours")
        return torch.zeros(1)

    with pytest.raises(Unequal):
        harness.measure(Case("case", ours, lambda: torch.ones(1)), BRIEF)
    assert calls == ["ours"]


# ------------------------------------------------------------ time


def test_the_two_sides_take_turns():
    calls = []
    case = Case("case", lambda: calls.append("A"), lambda: calls.append("B"))
    harness.measure(case, BRIEF)
    assert "".join(calls).endswith("ABABAB")


def test_a_slower_side_is_seen():
    case = Case("case", lambda: time.sleep(0.001), lambda: time.sleep(0.01))
    result = harness.measure(case, BRIEF)
    assert result.ours_ms >= 1
    assert result.theirs_ms >= 10
    assert result.ratio > 1.5
    assert result.extra_ms < 0


def test_garbage_is_not_collected_while_timing():
    seen = []
    case = Case("case", lambda: seen.append(gc.isenabled()), lambda: None)
    harness.measure(case, BRIEF)
    assert seen[-BRIEF.rounds :] == [False] * BRIEF.rounds
    assert gc.isenabled()


def test_short_calls_are_repeated():
    calls = []
    effort = Effort(rounds=1, sample_seconds=0.01, warmup_seconds=0.001)
    harness.measure(Case("case", lambda: calls.append(1), lambda: None), effort)
    assert len(calls) > 100


def test_a_function_may_measure_itself():
    case = Case("case", lambda: Timed(0.5, "2.13"), lambda: Timed(0.25, "2.13"), most_extra_ms=249)
    result = harness.measure(case, BRIEF)
    assert (result.ours_ms, result.theirs_ms, result.ratio, result.extra_ms) == (500, 250, 0.5, 250)
    assert result.reached is False


def test_medians_and_ratios():
    # Pairs theirs / ours: 2, 4, 1. Medians: ours 1, theirs 2.
    result = harness.summarize(case_of(1, 1, least_ratio=2), [1, 0.5, 4], [2, 2, 4], 1e-7)
    assert (result.ours_ms, result.theirs_ms) == (1000, 2000)
    assert (result.ratio, result.pair_ratio) == (2, 2)
    assert (result.pair_low, result.pair_high) == (1.5, 3)
    assert result.extra_ms == -1000
    assert result.reached is True
    assert result.aim == "ratio ≥ 2"
    assert harness.summarize(case_of(1, 1, least_ratio=2.1), [1], [2], 0).reached is False
    assert harness.summarize(case_of(1, 1), [1], [2], 0).reached is None


# ------------------------------------------------------------ showing


def test_the_table():
    results = [
        harness.summarize(
            Case("one", int, int, {"B": 1}, least_ratio=2), [1e-3] * 3, [2e-3] * 3, 3e-8
        ),
        harness.summarize(
            Case("two", int, int, {"H": 32}, most_extra_ms=1), [4e-3] * 3, [2e-3] * 3, 0
        ),
    ]
    lines = [line.split() for line in harness.table(results).splitlines()]
    assert lines[2] == (
        "one 1 1.000 2.000 2.00 2.00 (2.00 to 2.00) -1.000 3e-08 ratio ≥ 2: reached".split()
    )
    assert lines[3] == (
        "two 32 4.000 2.000 0.50 0.50 (0.50 to 0.50) +2.000 0e+00 extra ≤ 1 ms: MISSED".split()
    )


def test_the_machine_is_named():
    told = harness.machine()
    assert told["torch"] == torch.__version__
    assert told["threads"] == 1
    assert told["cores"] >= 1
    assert len(told["cpu"]) > 3


# ------------------------------------------------------------ the command


def bench(*cases: Case) -> ModuleType:
    module = ModuleType("benchmarks.bench_fake", "What it compares.\n\nMore.")
    module.cases = lambda: iter(cases)
    return module


RIGHT = Case("right", lambda: torch.ones(1), lambda: torch.ones(1), least_ratio=1e-9)
WRONG = Case("wrong", lambda: torch.ones(1), lambda: torch.zeros(1))
SLOW = Case("slow", lambda: torch.ones(1), lambda: torch.ones(1), least_ratio=1e9)


def test_the_command_prints_tables_and_writes_json(tmp_path: Path, capsys):
    assert main(["--quick", "--json", str(tmp_path / "a.json")], [bench(RIGHT)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"cpu {harness.machine()['cpu']}, cores ")
    assert "bench_fake: What it compares.\n" in printed
    assert printed.endswith("1 cases measured, 0 unequal, 0 aims missed\n")
    written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert written["machine"] == harness.machine()
    assert [result["name"] for result in written["results"]] == ["right"]


def test_the_command_gives_no_number_for_a_wrong_result(capsys):
    assert main(["--quick"], [bench(WRONG, RIGHT)]) == 1
    printed = capsys.readouterr()
    assert "UNEQUAL, not timed: wrong" in printed.err
    assert not any(line.startswith("wrong") for line in printed.out.splitlines())
    assert "1 cases measured, 1 unequal" in printed.out


def test_the_command_can_insist_on_aims():
    assert main(["--quick"], [bench(SLOW)]) == 0
    assert main(["--quick", "--check"], [bench(SLOW)]) == 1


def test_the_command_filters_by_file_and_case(capsys):
    assert main(["--quick", "--filter", "RIGHT"], [bench(WRONG, RIGHT)]) == 0
    assert main(["--quick", "--filter", "nothing"], [bench(WRONG)]) == 0
    assert "0 cases measured" in capsys.readouterr().out


def test_every_bench_file_says_what_it_compares():
    for module in bench_modules():
        assert (module.__doc__ or "").strip()
        assert callable(module.cases)
