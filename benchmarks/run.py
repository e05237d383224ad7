"""The command `python -m benchmarks`: every case of every bench_*.py, a table for each file."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.harness import QUICK, Effort, Result, Unequal, machine, measure, table, write_json

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
    parser.add_argument("--quick", action="store_true", help="few short rounds: a look")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only files or cases with it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--threads", type=int, metavar="N", help="threads for torch")
    parser.add_argument("--check", action="store_true", help="exit with 1 if an aim is missed")
    options = parser.parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)

    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    results: list[Result] = []
    unequal = 0
    for module in modules or bench_modules():
        torch.manual_seed(0)
        file = module.__name__.rpartition(".")[2]
        chosen = [
            case
            for case in module.cases()
            if options.filter.lower() in f"{file} {case.name}".lower()
        ]
        if not chosen:
            continue
        print(f"\n{file}: {(module.__doc__ or '').partition(chr(10))[0]}", flush=True)
        measured = []
        for case in chosen:
            try:
                measured.append(measure(case, QUICK if options.quick else Effort()))
            except Unequal as error:
                unequal += 1
                print(f"UNEQUAL, not timed: {error}", file=sys.stderr)
        print(table(measured), flush=True)
        results += measured
    if options.quick:
        print("\n--quick: too few rounds to quote")
    if options.json:
        write_json(options.json, results)
    missed = [result for result in results if result.reached is False]
    print(f"\n{len(results)} cases measured, {unequal} unequal, {len(missed)} aims missed")
    return int(bool(unequal or (options.check and missed)))
