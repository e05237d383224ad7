"""The command `python -m benchmarks`: every case of every bench_*.py, a table for each file."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.case import Case, Skipped
from benchmarks.harness import QUICK, SHORT, Effort, Unequal, measure
from benchmarks.report import Result, group_lines, groups_of, machine, table, write_json
from cello.engines.cpu.node.extension import make

__all__ = ["main"]


def bench_modules() -> list[ModuleType]:
    """The bench_*.py files, each with a function `cases()`."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    return [importlib.import_module(f"benchmarks.{name}") for name in names]


def main(arguments: Sequence[str] | None = None, modules: Sequence[ModuleType] = ()) -> int:
    """Run what is asked for; return the exit code.

    It is 0, or 1 if results were unequal, or if `--check` was given and an aim was missed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look: few cases, few rounds")
    parser.add_argument("--short", action="store_true", help="all cases, in a third of the rounds")
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="only files or cases with it; a|b: with either"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--threads", type=int, metavar="N", help="threads for torch")
    parser.add_argument("--check", action="store_true", help="exit with 1 if an aim is missed")
    options = parser.parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)

    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    begin = time.perf_counter()
    effort = QUICK if options.quick else SHORT if options.short else Effort()
    make()  # what is built behind a user's back is there before anything is timed
    results: list[Result] = []
    unequal = 0
    for module in modules or bench_modules():
        measured, wrong = _run_file(module, options.filter, options.quick, effort, begin)
        results += measured
        unequal += wrong
    if options.quick:
        print("\n--quick: too few rounds and cases to quote")
    if options.json:
        write_json(options.json, results)
    verdicts = [one.reached for one in results] + [group.reached for group in groups_of(results)]
    missed = verdicts.count(False)
    minutes = (time.perf_counter() - begin) / 60
    print(
        f"\n{len(results)} cases measured in {minutes:.1f} minutes, {unequal} unequal, "
        f"{missed} aims missed"
    )
    return int(bool(unequal or (options.check and missed)))


def _run_file(
    module: ModuleType, text: str, quick: bool, effort: Effort, begin: float
) -> tuple[list[Result], int]:
    """Measure a file's cases and print its table; return the results, and how many were unequal.

    Cases are made one by one, so that what one needs is gone before the next one is there.
    """
    torch.manual_seed(0)
    file = module.__name__.rpartition(".")[2]
    title = f"\n{file}: {(module.__doc__ or '').partition(chr(10))[0]}"
    measured: list[Result] = []
    unequal = 0
    for case in _chosen(module.cases(), file, text, quick):
        if title:
            print(title, flush=True)
            title = ""
        if isinstance(case, Skipped):
            print(f"not measured: {case.name}: {case.reason}")
            continue
        try:
            measured.append(measure(case, effort))
        except Unequal as error:
            unequal += 1
            print(f"UNEQUAL, not timed: {error}", file=sys.stderr, flush=True)
        else:
            _progress(measured[-1], time.perf_counter() - begin)
    if measured:
        print("\n".join([table(measured), *group_lines(measured)]), flush=True)
    return measured, unequal


def _chosen(
    cases: Iterable[Case | Skipped], file: str, text: str, quick: bool
) -> Iterator[Case | Skipped]:
    for case in cases:
        fits = any(part in f"{file} {case.name}".lower() for part in text.lower().split("|"))
        if fits and (isinstance(case, Skipped) or case.quick or not quick):
            yield case


def _progress(result: Result, seconds: float) -> None:
    """A line for the case just measured, beside the tables."""
    words = [result.name, *(f"{key} {size}" for key, size in result.sizes.items())]
    line = f"  {seconds:5.0f} s  {' '.join(words)}: {result.pair_ratio:.2f}"
    print(line, file=sys.stderr, flush=True)
