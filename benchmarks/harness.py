"""Compare two ways to compute the same thing: equality first, then time.

A `Case` holds two functions, ours and theirs. `measure` first compares what they return and raises
`Unequal` if it differs by more than the case allows, so that a wrong result never has a speed. Then
it runs them in turn, A B A B, after a warm-up, so that a change of the machine's clock meets both.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tabulate import tabulate
from torch import Tensor

__all__ = [
    "Case",
    "Effort",
    "Result",
    "Timed",
    "Unequal",
    "largest_difference",
    "machine",
    "measure",
    "table",
    "write_json",
]


class Unequal(Exception):
    """Two functions that should compute the same thing don't; nothing was timed."""


class Timed(NamedTuple):
    """What a function returns that measures its own seconds, such as a fresh process."""

    seconds: float
    value: Any


@dataclass(frozen=True)
class Case:
    """Two functions that compute the same thing.

    Attributes:
        name: what is compared, e.g. "LSTMCell forward".
        ours: returns tensors, numbers or strings, in tuples, lists or dicts; or `Timed`.
        theirs: returns the same.
        sizes: columns of the table, e.g. ``{"B": 1, "T": 100, "H": 32}``.
        rtol: allowed relative difference of the results.
        atol: allowed absolute difference of the results.
        least_ratio: the aim for theirs / ours, if there is one.
        most_extra_ms: the aim for ours - theirs in milliseconds, if there is one.
    """

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    sizes: Mapping[str, int | str] = field(default_factory=dict)
    rtol: float = 1e-5
    atol: float = 1e-6
    least_ratio: float | None = None
    most_extra_ms: float | None = None


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` samples of each side, each of at least `sample_seconds`."""

    rounds: int = 25
    sample_seconds: float = 0.02
    warmup_seconds: float = 0.2


QUICK = Effort(rounds=5, sample_seconds=0.01, warmup_seconds=0.02)


@dataclass(frozen=True)
class Result:
    """What was measured for one case; times are milliseconds a call.

    Attributes:
        ours_ms: median over the rounds.
        theirs_ms: median over the rounds.
        ratio: theirs_ms / ours_ms; above 1, ours is faster.
        pair_ratio: median over the rounds of theirs / ours within the round.
        pair_low: the lower quartile of these.
        pair_high: the upper quartile of these.
        extra_ms: median over the rounds of ours - theirs within the round.
        difference: the largest difference between the results.
        rounds: how many rounds there were.
        reached: whether the case's aim was reached, None without an aim.
    """

    name: str
    sizes: dict[str, int | str]
    ours_ms: float
    theirs_ms: float
    ratio: float
    pair_ratio: float
    pair_low: float
    pair_high: float
    extra_ms: float
    difference: float
    rounds: int
    aim: str
    reached: bool | None


# ---------------------------------------------------------------- equality


def _leaves(thing: Any, path: str = "result") -> Iterator[tuple[str, Any]]:
    if isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _leaves(value, f"{path}[{key!r}]")
    elif isinstance(thing, tuple | list):
        for index, value in enumerate(thing):
            yield from _leaves(value, f"{path}[{index}]")
    else:
        yield path, thing


def largest_difference(case: Case) -> float:
    """Run both sides once and compare; return the largest difference of all numbers.

    Raises:
        Unequal: a shape, dtype, number of values, or a value differs by more than the case allows,
            or a result is NaN.
    """
    ours, theirs = ([*_leaves(_value(side()))] for side in (case.ours, case.theirs))
    if [path for path, _ in ours] != [path for path, _ in theirs]:
        raise Unequal(f"{case.name}: ours has {len(ours)} values, theirs {len(theirs)}")
    largest = 0.0
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        if isinstance(a, Tensor | float) and isinstance(b, Tensor | float):
            try:
                torch.testing.assert_close(a, b, rtol=case.rtol, atol=case.atol)
            except AssertionError as error:
                raise Unequal(f"{case.name} {dict(case.sizes)}: {path} differs. {error}") from None
            gap = torch.as_tensor(a).double() - torch.as_tensor(b).double()
            largest = max(largest, gap.abs().max().item() if gap.numel() else 0.0)
        elif a != b:
            raise Unequal(f"{case.name}: {path} differs: {a!r} and {b!r}")
    return largest


def _value(returned: Any) -> Any:
    return returned.value if isinstance(returned, Timed) else returned


# ---------------------------------------------------------------- time


def _seconds(side: Callable[[], Any], calls: int) -> float:
    """Seconds a call, over `calls` calls."""
    begin = time.perf_counter()
    for _ in range(calls):
        returned = side()
    elapsed = time.perf_counter() - begin
    return returned.seconds if isinstance(returned, Timed) else elapsed / calls


def _calls(side: Callable[[], Any], effort: Effort) -> int:
    """Warm up, and find how many calls last as long as a sample should."""
    if isinstance(side(), Timed):
        return 1
    done, begin = 0, time.perf_counter()
    while done < 2 or time.perf_counter() - begin < effort.warmup_seconds:
        side()
        done += 1
    a_call = (time.perf_counter() - begin) / done
    return max(1, math.ceil(effort.sample_seconds / a_call))


def measure(case: Case, effort: Effort | None = None) -> Result:
    """Compare the results of a case, then its times.

    Raises:
        Unequal: the results differ; nothing is timed then.
    """
    effort = effort or Effort()
    difference = largest_difference(case)
    calls = _calls(case.ours, effort), _calls(case.theirs, effort)
    ours, theirs = [], []
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(effort.rounds):
            ours.append(_seconds(case.ours, calls[0]))
            theirs.append(_seconds(case.theirs, calls[1]))
    finally:
        if collects:
            gc.enable()
    return summarize(case, ours, theirs, difference)


def summarize(
    case: Case, ours: Sequence[float], theirs: Sequence[float], difference: float
) -> Result:
    """The medians and ratios of the seconds of each round."""
    pairs = [b / a for a, b in zip(ours, theirs, strict=True)]
    quartiles = (
        statistics.quantiles(pairs, n=4, method="inclusive") if len(pairs) > 1 else pairs * 3
    )
    extra = 1e3 * statistics.median(a - b for a, b in zip(ours, theirs, strict=True))
    ratio = statistics.median(theirs) / statistics.median(ours)
    aim, reached = "", None
    if case.least_ratio is not None:
        aim, reached = f"ratio ≥ {case.least_ratio:g}", quartiles[1] >= case.least_ratio
    elif case.most_extra_ms is not None:
        aim, reached = f"extra ≤ {case.most_extra_ms:g} ms", extra <= case.most_extra_ms
    return Result(
        name=case.name,
        sizes=dict(case.sizes),
        ours_ms=1e3 * statistics.median(ours),
        theirs_ms=1e3 * statistics.median(theirs),
        ratio=ratio,
        pair_ratio=quartiles[1],
        pair_low=quartiles[0],
        pair_high=quartiles[2],
        extra_ms=extra,
        difference=difference,
        rounds=len(pairs),
        aim=aim,
        reached=reached,
    )


# ---------------------------------------------------------------- showing


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "cores": usable or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _cpu_model() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def table(results: Sequence[Result]) -> str:
    """The results as a table; ratios are theirs / ours, so above 1 ours is faster."""
    columns = [*dict.fromkeys(key for result in results for key in result.sizes)]
    headers = ["case", *columns, "ours ms", "theirs ms", "ratio", "paired (quartiles)", "extra ms"]
    rows = [
        [
            result.name,
            *(result.sizes.get(key, "") for key in columns),
            f"{result.ours_ms:.3f}",
            f"{result.theirs_ms:.3f}",
            f"{result.ratio:.2f}",
            f"{result.pair_ratio:.2f} ({result.pair_low:.2f} to {result.pair_high:.2f})",
            f"{result.extra_ms:+.3f}",
            f"{result.difference:.0e}",
            result.aim and f"{result.aim}: {'reached' if result.reached else 'MISSED'}",
        ]
        for result in results
    ]
    headers += ["results differ by", "aim"]
    align = ["left", *["right"] * (len(headers) - 2), "left"]
    return tabulate(rows, headers, disable_numparse=True, colalign=align if rows else None)


def write_json(path: Path, results: Iterable[Result]) -> None:
    """Write the machine and all results to a file that other programs can read."""
    content = {"machine": machine(), "results": [asdict(result) for result in results]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
