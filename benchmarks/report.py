"""What was measured, and how it is shown: medians and ratios, a table, a line for each group."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.case import Case, Unit
from cello.tables import text_table

__all__ = [
    "GroupResult",
    "Result",
    "group_lines",
    "groups_of",
    "machine",
    "summarize",
    "table",
    "write_json",
]


@dataclass(frozen=True)
class Result:
    """What was measured for one case, in `unit`.

    Attributes:
        ours: median over the rounds; of times, those of a call.
        theirs: median over the rounds.
        ratio: theirs / ours; above 1, ours is better.
        pair_ratio: median over the rounds of theirs / ours within the round.
        pair_low: the lower quartile of these.
        pair_high: the upper quartile of these.
        extra: median over the rounds of ours - theirs within the round.
        difference: the largest difference between the results.
        rounds: how many rounds there were.
        aim: the case's aim in words, empty without one.
        reached: whether it was reached, None without an aim.
        group: name of the group, empty without one.
        least_mean: the group's aim.
    """

    name: str
    sizes: dict[str, int | str]
    unit: Unit
    ours: float
    theirs: float
    ratio: float
    pair_ratio: float
    pair_low: float
    pair_high: float
    extra: float
    difference: float
    rounds: int
    aim: str
    reached: bool | None
    group: str
    least_mean: float | None


def summarize(
    case: Case, ours: Sequence[float], theirs: Sequence[float], difference: float
) -> Result:
    """The medians and ratios of the amounts of each round."""
    pairs = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, middle, high = (
        statistics.quantiles(pairs, n=4, method="inclusive") if len(pairs) > 1 else pairs * 3
    )
    scale = case.unit.per_one
    extra = scale * statistics.median(a - b for a, b in zip(ours, theirs, strict=True))
    aim, reached = _aim(case, middle, extra)
    return Result(
        name=case.name,
        sizes=dict(case.sizes),
        unit=case.unit,
        ours=scale * statistics.median(ours),
        theirs=scale * statistics.median(theirs),
        ratio=statistics.median(theirs) / statistics.median(ours),
        pair_ratio=middle,
        pair_low=low,
        pair_high=high,
        extra=extra,
        difference=difference,
        rounds=len(pairs),
        aim=aim,
        reached=reached,
        group=case.group.name if case.group else "",
        least_mean=case.group.least_mean if case.group else None,
    )


def _aim(case: Case, ratio: float, extra: float) -> tuple[str, bool | None]:
    if case.least_ratio is not None:
        return f"ratio ≥ {case.least_ratio:g}", ratio >= case.least_ratio
    if case.most_times is not None:
        return f"ours ≤ {case.most_times:g} × theirs", 1 / ratio <= case.most_times
    if case.most_extra is not None:
        return f"extra ≤ {case.most_extra:g} {case.unit.name}", extra <= case.most_extra
    return "", None


# ---------------------------------------------------------------- groups


class GroupResult(NamedTuple):
    """What the cases of a group come to.

    Attributes:
        name: the group's.
        cases: how many were measured.
        mean: the geometric mean of their paired ratios.
        least: the smallest of these.
        least_at: the sizes that it was measured at.
        aim: the aim for the mean in words, empty without one.
        reached: whether it was reached, None without an aim.
    """

    name: str
    cases: int
    mean: float
    least: float
    least_at: str
    aim: str
    reached: bool | None


def groups_of(results: Iterable[Result]) -> list[GroupResult]:
    """The groups, in the order in which they first come."""
    members: dict[str, list[Result]] = {}
    for result in results:
        if result.group:
            members.setdefault(result.group, []).append(result)
    return [_group(name, inside) for name, inside in members.items()]


def _group(name: str, members: list[Result]) -> GroupResult:
    mean = statistics.geometric_mean(result.pair_ratio for result in members)
    worst = min(members, key=lambda result: result.pair_ratio)
    where = " ".join(f"{key} {size}" for key, size in worst.sizes.items())
    aim = members[0].least_mean
    return GroupResult(
        name,
        len(members),
        mean,
        worst.pair_ratio,
        f"{worst.name}, {where}" if where else worst.name,
        "" if aim is None else f"mean ≥ {aim:g}",
        None if aim is None else mean >= aim,
    )


def group_lines(results: Iterable[Result]) -> list[str]:
    """A line for each group."""
    return [
        f"{group.name}: geometric mean {group.mean:.2f} of {group.cases}, "
        f"least {group.least:.2f} ({group.least_at})" + _verdict("; ", group.aim, group.reached)
        for group in groups_of(results)
    ]


def _verdict(before: str, aim: str, reached: bool | None) -> str:
    return aim and f"{before}{aim}: {'reached' if reached else 'MISSED'}"


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
    """The results as a table; ratios are theirs / ours, so above 1 ours is better."""
    columns = [*dict.fromkeys(key for result in results for key in result.sizes)]
    units = {result.unit.name for result in results}
    unit = f" {units.pop()}" if len(units) == 1 else ""
    headers = ["case", *columns, f"ours{unit}", f"theirs{unit}", "ratio", "paired (quartiles)"]
    headers += [f"extra{unit}", "results differ by", "aim"]
    rows = [
        [
            result.name,
            *(result.sizes.get(key, "") for key in columns),
            _amount(result.ours, result, unit),
            _amount(result.theirs, result, unit),
            f"{result.ratio:.2f}",
            f"{result.pair_ratio:.2f} ({result.pair_low:.2f} to {result.pair_high:.2f})",
            _amount(result.extra, result, unit, sign="+"),
            f"{result.difference:.0e}",
            _verdict("", result.aim, result.reached),
        ]
        for result in results
    ]
    return text_table(headers, rows, right=range(1, len(headers) - 1))


def _amount(amount: float, result: Result, unit_above: str, sign: str = "") -> str:
    return f"{amount:{sign}{result.unit.form}}" + ("" if unit_above else f" {result.unit.name}")


def write_json(path: Path, results: Sequence[Result]) -> None:
    """Write the machine and all results to a file that other programs can read."""
    content = {
        "machine": machine(),
        "results": [asdict(result) | {"unit": result.unit.name} for result in results],
        "groups": [group._asdict() for group in groups_of(results)],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
