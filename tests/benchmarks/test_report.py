"""What the benchmarks print: medians, aims, groups, tables, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import report
from benchmarks.case import ERROR, MIB, Case, Group


def case_of(name: str = "case", **options: object) -> Case:
    return Case(name, int, int, **options)


def test_medians_and_ratios():
    # Pairs theirs / ours: 2, 4, 1. Medians: ours 1, theirs 2.
    result = report.summarize(case_of(least_ratio=2), [1, 0.5, 4], [2, 2, 4], 1e-7)
    assert (result.ours, result.theirs) == (1000, 2000)
    assert (result.ratio, result.pair_ratio) == (2, 2)
    assert (result.pair_low, result.pair_high) == (1.5, 3)
    assert result.extra == -1000
    assert (result.aim, result.reached) == ("ratio ≥ 2", True)


@pytest.mark.parametrize(
    ("options", "ours", "theirs", "aim", "reached"),
    [
        ({}, 1, 2, "", None),
        ({"least_ratio": 2.1}, 1, 2, "ratio ≥ 2.1", False),
        ({"most_times": 1.5}, 3, 2, "ours ≤ 1.5 × theirs", True),
        ({"most_times": 1.5}, 3.1, 2, "ours ≤ 1.5 × theirs", False),
        ({"most_extra": 1000}, 3, 2, "extra ≤ 1000 ms", True),
        ({"most_extra": 999}, 3, 2, "extra ≤ 999 ms", False),
    ],
)
def test_aims(options: dict[str, float], ours: float, theirs: float, aim: str, reached: object):
    result = report.summarize(case_of(**options), [ours], [theirs], 0)
    assert (result.aim, result.reached) == (aim, reached)


def test_groups():
    one, other = Group("one", least_mean=3), Group("other")
    results = [
        report.summarize(case_of("a", sizes={"B": 1, "H": 32}, group=one), [1], [2], 0),
        report.summarize(case_of("b", group=other), [1], [5], 0),
        report.summarize(case_of("c"), [1], [1], 0),
        report.summarize(case_of("a", sizes={"B": 2, "H": 32}, group=one), [1], [8], 0),
    ]
    first, second = report.groups_of(results)
    assert first[:2] == ("one", 2)
    assert first.mean == pytest.approx(4)
    assert first[3:] == (2, "a, B 1 H 32", "mean ≥ 3", True)
    assert second == ("other", 1, pytest.approx(5), 5, "b", "", None)
    assert report.group_lines(results) == [
        "one: geometric mean 4.00 of 2, least 2.00 (a, B 1 H 32); mean ≥ 3: reached",
        "other: geometric mean 5.00 of 1, least 5.00 (b)",
    ]
    missed = report.summarize(case_of(group=Group("one", least_mean=3)), [1], [2], 0)
    assert report.group_lines([missed])[0].endswith("; mean ≥ 3: MISSED")


def test_the_table():
    one = Case("one", int, int, {"B": 1}, least_ratio=2)
    two = Case("two", int, int, {"H": 32}, most_extra=1)
    results = [
        report.summarize(one, [1e-3] * 3, [2e-3] * 3, 3e-8),
        report.summarize(two, [4e-3] * 3, [2e-3] * 3, 0),
    ]
    lines = [line.split() for line in report.table(results).splitlines()]
    assert lines[0][:7] == "case B H ours ms theirs ms".split()
    assert lines[2] == (
        "one 1 1.000 2.000 2.00 2.00 (2.00 to 2.00) -1.000 3e-08 ratio ≥ 2: reached".split()
    )
    assert lines[3] == (
        "two 32 4.000 2.000 0.50 0.50 (0.50 to 0.50) +2.000 0e+00 extra ≤ 1 ms: MISSED".split()
    )


def test_the_table_names_units():
    memory = report.summarize(case_of(unit=MIB), [3 * 2**20], [2**20], 0)
    error = report.summarize(case_of(unit=ERROR), [2e-7], [1e-7], 0)
    assert "ours MiB    theirs MiB" in report.table([memory])
    assert report.table([memory]).split().count("3.0") == 1
    mixed = report.table([memory, error])
    assert "3.0 MiB" in mixed
    assert "2.00e-07 error" in mixed


def test_the_file(tmp_path: Path):
    result = report.summarize(case_of(unit=MIB, group=Group("g")), [2**20], [2**21], 0)
    report.write_json(tmp_path / "a.json", [result])
    written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert written["machine"] == report.machine()
    assert written["results"][0]["unit"] == "MiB"
    assert written["results"][0]["theirs"] == 2
    assert written["groups"] == [report.groups_of([result])[0]._asdict()]


def test_the_machine_is_named():
    told = report.machine()
    assert told["torch"] == torch.__version__
    assert told["threads"] == 1
    assert told["cores"] >= 1
    assert len(told["cpu"]) > 3
