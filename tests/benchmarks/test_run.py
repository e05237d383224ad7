"""The command `python -m benchmarks`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks.case import Case, Group, Skipped
from benchmarks.report import machine
from benchmarks.run import bench_modules, main


def bench(*cases: Case | Skipped) -> ModuleType:
    module = ModuleType("benchmarks.bench_fake", "What it compares.\n\nMore.")
    module.cases = lambda: iter(cases)
    return module


def case_of(name: str, theirs: torch.Tensor | None = None, **options: object) -> Case:
    expected = torch.ones(1) if theirs is None else theirs
    return Case(name, lambda: torch.ones(1), lambda: expected, **options)


RIGHT = case_of("right", least_ratio=1e-9)
WRONG = case_of("wrong", torch.zeros(1))
SLOW = case_of("slow", least_ratio=1e9)


def test_the_command_prints_tables_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["--quick", "--json", str(tmp_path / "a.json")], [bench(RIGHT)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"cpu {machine()['cpu']}, cores ")
    assert "bench_fake: What it compares.\n" in printed.out
    assert re.search(
        r"^1 cases measured in \d+\.\d minutes, 0 unequal, 0 aims missed$", printed.out, re.M
    )
    assert "s  right: " in printed.err
    written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [result["name"] for result in written["results"]] == ["right"]


def test_the_command_gives_no_number_for_a_wrong_result(capsys: pytest.CaptureFixture[str]):
    assert main(["--quick"], [bench(WRONG, RIGHT)]) == 1
    printed = capsys.readouterr()
    assert "UNEQUAL, not timed: wrong" in printed.err
    assert not any(line.startswith("wrong") for line in printed.out.splitlines())
    assert "1 cases measured" in printed.out
    assert "1 unequal" in printed.out


def test_the_command_can_insist_on_aims():
    assert main(["--quick"], [bench(SLOW)]) == 0
    assert main(["--quick", "--check"], [bench(SLOW)]) == 1


def test_the_command_can_insist_on_the_aim_of_a_group():
    case = case_of("one", group=Group("all", least_mean=1e9))
    assert main(["--quick", "--check"], [bench(case)]) == 1


def test_the_command_filters_by_file_and_case(capsys: pytest.CaptureFixture[str]):
    assert main(["--quick", "--filter", "RIGHT"], [bench(WRONG, RIGHT)]) == 0
    assert "bench_fake" in capsys.readouterr().out
    assert main(["--quick", "--filter", "nothing"], [bench(WRONG)]) == 0
    printed = capsys.readouterr().out
    assert "0 cases measured" in printed
    assert "bench_fake" not in printed


def test_a_quick_look_leaves_cases_out(capsys: pytest.CaptureFixture[str]):
    long = case_of("long", torch.zeros(1), quick=False)
    assert main(["--quick"], [bench(long)]) == 0
    assert main([], [bench(long)]) == 1
    assert "long" in capsys.readouterr().err


def test_what_cannot_be_measured_is_told(capsys: pytest.CaptureFixture[str]):
    assert main(["--quick"], [bench(Skipped("a peer", "it is not here"), RIGHT)]) == 0
    printed = capsys.readouterr().out
    assert "not measured: a peer: it is not here\n" in printed
    assert "1 cases measured" in printed


def test_every_bench_file_says_what_it_compares():
    for module in bench_modules():
        assert (module.__doc__ or "").strip()
        assert callable(module.cases)
